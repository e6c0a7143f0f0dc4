//! One op on one set of shapes, with what it must equal.
use crate::Tolerance;
use crate::groups;
use engine::{DType, Graph, TensorId, Weight, compute::op::OpError};
use model_loader::{Bytes, HostTensor};

/// How a case hands a tensor to the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Given at the run, f32 or f16.
    Activation,
    /// A matrix in its stored dtype.
    Matrix,
    /// A constant that is widened to f32.
    Vector,
    /// Integers, given at the run.
    Ids,
}

/// One input with its values.
#[derive(Debug, Clone)]
pub struct CaseInput {
    /// Role in the graph.
    pub role: Role,
    /// Extents.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    /// Spread evenly over a range.
    Range(f64, f64),
    /// The range, with a few values twenty times as large: flat data prove little about reductions.
    Spiked(f64, f64),
    Ids(u32),
    Given(Vec<f64>),
}

impl CaseInput {
    fn new(role: Role, shape: &[usize], dtype: DType) -> Self {
        Self { role, shape: shape.to_vec(), dtype, values: Values::Range(-1.0, 1.0) }
    }

    /// An activation, f32 or f16, in -1..1.
    pub fn activation(shape: &[usize], dtype: DType) -> Self {
        Self::new(Role::Activation, shape, dtype)
    }

    /// A weight matrix stored as f32, f16, bf16 or in groups, of which the values are any and the range none.
    pub fn matrix(shape: &[usize], dtype: DType) -> Self {
        Self::new(Role::Matrix, shape, dtype)
    }

    /// A bias, norm weight or table in f32.
    pub fn vector(shape: &[usize]) -> Self {
        Self::new(Role::Vector, shape, DType::F32)
    }

    /// Integers below `bound`.
    pub fn ids(shape: &[usize], bound: u32) -> Self {
        Self { values: Values::Ids(bound), ..Self::new(Role::Ids, shape, DType::U32) }
    }

    /// Other limits of the values.
    #[must_use]
    pub fn range(self, low: f64, high: f64) -> Self {
        Self { values: Values::Range(low, high), ..self }
    }

    /// Adds a few large values.
    #[must_use]
    pub fn spiked(self) -> Self {
        Self { values: Values::Spiked(-1.0, 1.0), ..self }
    }

    /// Exactly these values.
    #[must_use]
    pub fn values(self, values: Vec<f64>) -> Self {
        assert_eq!(values.len(), self.shape.iter().product::<usize>(), "values of {:?}", self.shape);
        Self { values: Values::Given(values), ..self }
    }

    /// The values as the dtype holds them.
    pub fn data(&self, seed: u64) -> Vec<f64> {
        if let DType::Grouped(grouping) = self.dtype {
            return groups::values(&groups::tensor("weight", grouping, &self.shape, seed));
        }
        let count = self.shape.iter().product();
        let mut random = Random(seed);
        let raw: Vec<f64> = match &self.values {
            Values::Range(low, high) => (0..count).map(|_| low + (high - low) * random.unit()).collect(),
            Values::Spiked(low, high) => (0..count)
                .map(|i| (low + (high - low) * random.unit()) * if i % 37 == 11 { 20.0 } else { 1.0 })
                .collect(),
            Values::Ids(bound) => (0..count).map(|_| (random.unit() * f64::from(*bound)).floor()).collect(),
            Values::Given(values) => values.clone(),
        };
        raw.into_iter().map(|v| round(v, self.dtype)).collect()
    }
}

type Build = dyn Fn(&mut Graph, &[TensorId]) -> Result<TensorId, OpError> + Send + Sync;
type Reference = dyn Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync;

/// One op on one set of shapes.
pub struct Case {
    /// `op/shape/dtypes`.
    pub name: String,
    /// Its inputs.
    pub inputs: Vec<CaseInput>,
    build: Box<Build>,
    reference: Box<Reference>,
    /// What the result may differ by.
    pub tolerance: Tolerance,
}

impl Case {
    /// A case. `reference` computes the output in f64 from the inputs' values, from the formula.
    pub fn new(
        name: impl Into<String>,
        inputs: Vec<CaseInput>,
        build: impl Fn(&mut Graph, &[TensorId]) -> Result<TensorId, OpError> + Send + Sync + 'static,
        reference: impl Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync + 'static,
        tolerance: Tolerance,
    ) -> Self {
        Self { name: name.into(), inputs, build: Box::new(build), reference: Box::new(reference), tolerance }
    }

    /// Whether the case needs f16 in shaders.
    pub fn needs_f16(&self) -> bool {
        self.inputs.iter().any(|i| i.role == Role::Activation && i.dtype == DType::F16)
            || self.graph().is_ok_and(|(graph, out)| {
                graph.desc(out).dtype == DType::F16
                    || graph.nodes().iter().any(|n| graph.desc(n.output).dtype == DType::F16)
            })
    }

    /// The graph, with the output named `out`.
    ///
    /// # Errors
    /// If the op refuses its inputs.
    pub fn graph(&self) -> Result<(Graph, TensorId), OpError> {
        let mut graph = Graph::new();
        let data = self.data();
        let ids: Vec<TensorId> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| match input.role {
                Role::Activation | Role::Ids => graph.input(&format!("{index}"), &input.shape, input.dtype),
                Role::Matrix | Role::Vector => graph.weight(&self.weight(index, &data[index])),
            })
            .collect();
        let out = (self.build)(&mut graph, &ids)?;
        graph.output("out", out);
        Ok((graph, out))
    }

    /// The inputs' values, the same at every call.
    pub fn data(&self) -> Vec<Vec<f64>> {
        self.inputs.iter().enumerate().map(|(index, input)| input.data(self.seed(index))).collect()
    }

    fn seed(&self, index: usize) -> u64 {
        let seed = self
            .name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        seed.wrapping_add((index as u64) << 32)
    }

    fn weight(&self, index: usize, data: &[f64]) -> Weight {
        let input = &self.inputs[index];
        match input.dtype {
            DType::Grouped(grouping) => {
                let name = format!("weight {index}");
                Weight::matrix(groups::tensor(&name, grouping, &input.shape, self.seed(index)))
            }
            _ => weight(index, input, data),
        }
    }

    /// What the output must be.
    pub fn expected(&self) -> Vec<f64> {
        (self.reference)(&self.data())
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

fn weight(index: usize, input: &CaseInput, data: &[f64]) -> Weight {
    use model_loader::Format as Stored;
    let (format, bytes): (Stored, Vec<u8>) = match input.dtype {
        DType::F16 => {
            (Stored::F16, data.iter().flat_map(|v| half::f16::from_f64(*v).to_le_bytes()).collect())
        }
        DType::Bf16 => {
            (Stored::BF16, data.iter().flat_map(|v| half::bf16::from_f64(*v).to_le_bytes()).collect())
        }
        DType::F32 | DType::U32 | DType::Grouped(_) => {
            (Stored::F32, data.iter().flat_map(|v| narrow(*v).to_le_bytes()).collect())
        }
    };
    let tensor = HostTensor::new(format!("weight {index}"), format, &input.shape, Bytes::from(bytes));
    if input.role == Role::Vector { Weight::vector(&tensor) } else { Weight::matrix(tensor) }
}

fn round(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(narrow(value)),
        DType::F16 => half::f16::from_f64(value).to_f64(),
        DType::Bf16 => half::bf16::from_f64(value).to_f64(),
        DType::U32 | DType::Grouped(_) => value,
    }
}

/// The nearest f32.
#[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
pub fn narrow(value: f64) -> f32 {
    value as f32
}

/// SplitMix64: small, seeded, the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
