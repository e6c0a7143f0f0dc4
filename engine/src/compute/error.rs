//! What can go wrong between a graph and its results: lowering, planning, compiling, running, and the device itself.

/// Why an op has no kernel on a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{op}: {what}")]
pub struct LowerError {
    /// The op.
    pub op: &'static str,
    /// What is missing.
    pub what: String,
}

/// Why a graph cannot run on a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A binding is larger than the adapter allows, and the op cannot be cut further.
    #[error("{op}: a {what} of {bytes} bytes exceeds the adapter's largest binding of {limit} bytes")]
    Binding {
        /// The op.
        op: &'static str,
        /// Which operand.
        what: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A tensor is larger than the adapter's largest buffer.
    #[error(
        "{op}: its output {shape:?} of {bytes} bytes exceeds the adapter's largest buffer of {limit} bytes"
    )]
    Buffer {
        /// The op.
        op: &'static str,
        /// The tensor's shape.
        shape: Vec<usize>,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// More elements than shaders can index.
    #[error("{op}: its output {shape:?} has more than 2^32 - 1 elements")]
    TooManyElements {
        /// The op.
        op: &'static str,
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// The op needs something that the target lacks.
    #[error(transparent)]
    Lower(#[from] LowerError),
}

/// Why a device could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No adapter at all, or none of the wanted number.
    #[error("no GPU adapter found{0}")]
    NoAdapter(String),
    /// The adapter refuses a device.
    #[error("adapter `{adapter}` gives no device: {message}")]
    Device {
        /// The adapter's name.
        adapter: String,
        /// The driver's reason.
        message: String,
    },
    /// A kernel does not compile or does not fit its layout.
    #[error("kernel `{kernel}` [{variant}]: {message}")]
    Kernel {
        /// The kernel.
        kernel: &'static str,
        /// Its variant.
        variant: String,
        /// The compiler's or the driver's report.
        message: String,
    },
    /// The device has no memory left.
    #[error("out of GPU memory: {what} needs {bytes} bytes")]
    OutOfMemory {
        /// What was to be allocated.
        what: String,
        /// Its size.
        bytes: u64,
    },
    /// The driver gave the device up: a reset, an unplugged or sleeping GPU, a crash.
    #[error("the GPU device was lost: {0}")]
    Lost(String),
    /// Work was refused.
    #[error("GPU: {0}")]
    Validation(String),
}

/// Why a graph cannot be made ready to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// It does not fit the device.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan was made for something else.
    #[error("the plan is of another graph or another device")]
    OtherPlan,
    /// The device refuses.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The caller asked for it.
    #[error("cancelled")]
    Cancelled,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The caller asked for it.
    #[error("cancelled")]
    Cancelled,
    /// The graph has no such input.
    #[error("the graph has no input `{0}`")]
    UnknownInput(String),
    /// An input of the graph was not given.
    #[error("input `{0}` is missing")]
    MissingInput(String),
    /// An input has the wrong number of values.
    #[error("input `{name}` has {got} values, expected {expected}")]
    InputLength {
        /// The input.
        name: String,
        /// Values given.
        got: usize,
        /// Values needed.
        expected: usize,
    },
    /// The program was compiled by an executor of another kind.
    #[error("the program belongs to another executor")]
    OtherExecutor,
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
