//! What there is to compute on.
use crate::object::{bytes, object};
use engine::compute::adapter::{AdapterKind, AdapterSummary};
use engine::compute::gpu::Gpu;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// The GPU that the browser gives, or `undefined`.
#[wasm_bindgen(js_name = findGpu)]
pub async fn find_gpu() -> JsValue {
    Gpu::adapters().await.first().map_or(JsValue::UNDEFINED, described)
}

fn described(adapter: &AdapterSummary) -> JsValue {
    let target = &adapter.target;
    object([
        ("name", adapter.name.as_str().into()),
        ("software", (adapter.kind == AdapterKind::Software).into()),
        ("f16", target.shader_f16.into()),
        ("timestamps", adapter.timestamps.into()),
        ("maxBufferBytes", bytes(target.max_buffer_bytes)),
        ("maxBindingBytes", bytes(target.max_binding_bytes)),
    ])
}
