//! Plain JavaScript objects.
use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;

/// An object of these fields.
pub(crate) fn object<const N: usize>(fields: [(&str, JsValue); N]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // An object that was made a line ago takes any field.
        let _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}

/// A count as a number of JavaScript, whole up to 2^53.
pub(crate) fn count(value: usize) -> JsValue {
    bytes(value as u64)
}

/// The same of bytes.
pub(crate) fn bytes(value: u64) -> JsValue {
    (value as f64).into()
}
