//! Where model tests run: the CPU and every adapter, each opened once.
use crate::{golden::Recorded, run};
use engine::{
    DType, Graph,
    compute::executor::Executor,
    compute::run::{Cancel, RunInput},
    pipeline::{DeviceChoice, TensorData},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A device, opened at its first use.
#[derive(Debug)]
pub struct Backend {
    /// `cpu`, or such as `llvmpipe0`.
    pub name: String,
    /// Whether it can store activations as f16.
    pub f16: bool,
    adapter: Option<usize>,
    executor: Mutex<Option<Executor>>,
}

impl Backend {
    /// The CPU, then every adapter.
    ///
    /// # Panics
    /// If there is no adapter.
    pub fn all() -> Vec<Arc<Self>> {
        let cpu = Self { name: "cpu".to_owned(), f16: false, adapter: None, executor: Mutex::default() };
        let adapters = run::adapters().into_iter().map(|adapter| {
            let first = adapter.name.split([' ', '(']).next().unwrap_or("gpu").to_lowercase();
            let (name, f16) = (format!("{first}{}", adapter.index), adapter.target.shader_f16);
            Self { name, f16, adapter: Some(adapter.index), executor: Mutex::default() }
        });
        std::iter::once(cpu).chain(adapters).map(Arc::new).collect()
    }

    /// Whether it is the CPU.
    pub fn is_cpu(&self) -> bool {
        self.adapter.is_none()
    }

    /// How a pipeline is told to use it.
    pub fn device(&self) -> DeviceChoice {
        self.adapter.map_or(DeviceChoice::Cpu, |index| DeviceChoice::Gpu(Some(index)))
    }

    /// Works with the executor, with runtime checks and guard bands; one caller at a time.
    pub fn with<T>(&self, work: impl FnOnce(&mut Executor) -> T) -> T {
        let mut executor = self.executor.lock().unwrap_or_else(PoisonError::into_inner);
        work(
            executor.get_or_insert_with(|| self.adapter.map_or_else(run::cpu, |index| run::gpu(index, true))),
        )
    }
}

/// Runs a graph once; its outputs by name. Integers are given as bytes.
///
/// # Errors
/// If it does not compile, does not run, or writes outside its buffers.
pub fn compute(
    executor: &mut Executor,
    graph: Graph,
    inputs: &[RunInput<'_>],
) -> Result<BTreeMap<String, Recorded>, String> {
    pollster::block_on(async {
        let plan = executor.plan(&graph).map_err(|e| e.to_string())?;
        let mut program = executor.compile(graph, plan).await.map_err(|e| e.to_string())?;
        executor.run(&mut program, inputs, &Cancel::default(), None).await.map_err(|e| e.to_string())?;
        let mut found = BTreeMap::new();
        for (name, id) in program.graph().outputs() {
            let values = executor.read(&program, *id).await.map_err(|e| e.to_string())?;
            let desc = program.graph().desc(*id);
            let data = match desc.dtype {
                DType::U32 => {
                    TensorData::U8(values.iter().flat_map(|word| word.to_bits().to_le_bytes()).collect())
                }
                _ => TensorData::F32(values.into_owned()),
            };
            found.insert(name.clone(), Recorded { shape: desc.shape.clone(), data });
        }
        executor.check_guards(&program).await.map_err(|e| e.to_string())?;
        Ok(found)
    })
}
