//! Every op's cases in a browser, and the text of every kernel variant for its compiler. `tests/cases.test.mjs` runs them.
#![cfg(target_arch = "wasm32")]

use engine::compute::executor::Executor;
use engine::compute::gpu::{Gpu, GpuExecutor, GpuOptions};
use kinora_tests::{Case, compare, ops, run, variants};
use wasm_bindgen::prelude::{JsError, wasm_bindgen};

/// The cases, and the GPU that they run on.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Cases {
    cases: Vec<Case>,
    executor: Executor,
    f16: bool,
}

#[wasm_bindgen]
impl Cases {
    /// Opens the browser's GPU, with guard bands behind every buffer.
    ///
    /// # Errors
    /// If there is none.
    pub async fn open() -> Result<Cases, JsError> {
        let options = GpuOptions { guard_bands: true, ..GpuOptions::default() };
        let gpu = Gpu::open(0, options).await?;
        let f16 = gpu.target().shader_f16;
        Ok(Self { cases: ops::all(), executor: Executor::Gpu(Box::new(GpuExecutor::new(gpu))), f16 })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.cases.len()
    }

    /// What is wrong with a case's result; nothing if it is right, `undefined` where this GPU lacks what the case needs.
    pub async fn run(&mut self, index: usize) -> Option<String> {
        let case = &self.cases[index];
        if !self.f16 && case.needs_f16() {
            return None;
        }
        let verdict = match run::outputs_awaited(case, &mut self.executor).await {
            Ok(got) => compare(&got, &case.expected(), case.tolerance),
            Err(reason) => Err(reason),
        };
        Some(verdict.err().map_or_else(String::new, |reason| format!("{}: {reason}", case.name)))
    }
}

/// Every variant that a browser may get, as JSON: `[{ kernel, label, text, constants }]`. Browsers have no 64-bit integers
/// and no cooperative matrices, and wgpu knows no subgroups there.
#[wasm_bindgen(js_name = allVariants)]
pub fn all_variants() -> String {
    let found = variants::of_targets(&variants::of_browsers(), true);
    let described = found.into_iter().map(|(name, variant)| {
        let text = variants::kernel(name).compose(&variant);
        serde_json::json!({
            "kernel": name,
            "label": variant.label(),
            "text": text.unwrap_or_else(|reason| reason.to_string()),
            "constants": variant.overrides,
        })
    });
    serde_json::Value::Array(described.collect()).to_string()
}
