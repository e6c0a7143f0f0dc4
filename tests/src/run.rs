//! Runs a case on an executor and judges the result.
use crate::{Case, Role, case::narrow, compare};
use engine::{
    DType,
    compute::adapter::{AdapterKind, AdapterSummary},
    compute::executor::CpuExecutor,
    compute::executor::Executor,
    compute::gpu::{Gpu, GpuExecutor, GpuOptions},
    compute::run::{Cancel, RunInput},
};

/// Runs a case; `Err` says what is wrong with the result.
///
/// # Errors
/// If the op refuses, the run fails, the result is off, or something was written outside its buffer.
pub fn run_case(case: &Case, executor: &mut Executor) -> Result<(), String> {
    let got = outputs(case, executor)?;
    compare(&got, &case.expected(), case.tolerance)
}

/// The output of a case; of an integer one, its bytes.
///
/// # Errors
/// If the op refuses, the run fails, or something was written outside its buffer.
pub fn outputs(case: &Case, executor: &mut Executor) -> Result<Vec<f32>, String> {
    pollster::block_on(outputs_awaited(case, executor))
}

/// The same where nothing may block: in a browser.
///
/// # Errors
/// If the op refuses, the run fails, or something was written outside its buffer.
pub async fn outputs_awaited(case: &Case, executor: &mut Executor) -> Result<Vec<f32>, String> {
    let (graph, out) = case.graph().map_err(|e| e.to_string())?;
    let dtype = graph.desc(out).dtype;
    let named = inputs(case);
    let inputs: Vec<RunInput<'_>> = named.iter().map(|(name, data)| RunInput::f32(name, data)).collect();
    let plan = executor.plan(&graph).map_err(|e| e.to_string())?;
    let mut program = executor.compile(graph, plan).await.map_err(|e| e.to_string())?;
    executor.run(&mut program, &inputs, &Cancel::default(), None).await.map_err(|e| e.to_string())?;
    let got = executor.read(&program, out).await.map_err(|e| e.to_string())?;
    executor.check_guards(&program).await.map_err(|e| e.to_string())?;
    Ok(if dtype == DType::U32 { bytes(&got) } else { got.into_owned() })
}

/// Words of four bytes, the first in the lowest bits.
fn bytes(words: &[f32]) -> Vec<f32> {
    words.iter().flat_map(|word| word.to_bits().to_le_bytes().map(f32::from)).collect()
}

/// Names and values of what a case is given at the run.
pub fn inputs(case: &Case) -> Vec<(String, Vec<f32>)> {
    let data = case.data();
    let given =
        case.inputs.iter().enumerate().filter(|(_, i)| matches!(i.role, Role::Activation | Role::Ids));
    given.map(|(index, input)| (index.to_string(), words(input.role, &data[index]))).collect()
}

/// Integers travel as the bits of floats.
fn words(role: Role, data: &[f64]) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are small integers")]
    let bits = |v: &f64| f32::from_bits(*v as u32);
    match role {
        Role::Ids => data.iter().map(bits).collect(),
        _ => data.iter().map(|v| narrow(*v)).collect(),
    }
}

/// The CPU executor.
pub fn cpu() -> Executor {
    Executor::Cpu(CpuExecutor::default())
}

/// All adapters.
///
/// # Panics
/// If there is none: tests without an adapter have not passed, they have not run.
pub fn adapters() -> Vec<AdapterSummary> {
    let adapters = pollster::block_on(Gpu::adapters());
    assert!(!adapters.is_empty(), "no GPU adapter: install software Vulkan (`.ci/setup` does)");
    adapters
}

/// The adapter that model tests run on: the first that has f16, else the first.
///
/// # Panics
/// If there is no adapter.
pub fn main_adapter() -> AdapterSummary {
    let mut adapters = adapters();
    adapters.sort_by_key(|a| (!a.target.shader_f16, a.kind == AdapterKind::Software));
    adapters.remove(0)
}

/// An executor with guard bands on an adapter.
///
/// # Panics
/// If the adapter gives no device.
pub fn gpu(index: usize, runtime_checks: bool) -> Executor {
    let options = GpuOptions { runtime_checks, guard_bands: true, ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::open(index, options)).unwrap_or_else(|e| panic!("{e}"));
    Executor::Gpu(Box::new(GpuExecutor::new(gpu)))
}
