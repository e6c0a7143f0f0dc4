//! Errors as JavaScript has them: an `Error` with a `code` that says which class the package makes of it.
use engine::{
    EngineError,
    compute::error::{DeviceError, PlanError},
};
use js_sys::{Error, Reflect};
use wasm_bindgen::JsValue;

/// An error of this code.
pub(crate) fn error(code: &str, message: &str) -> JsValue {
    let error = Error::new(message);
    // An error that was made a line ago takes any field.
    let _ = Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

/// What went wrong in the engine.
pub(crate) fn of_engine(reason: &EngineError) -> JsValue {
    error(code(reason), &reason.to_string())
}

fn code(reason: &EngineError) -> &'static str {
    match reason {
        EngineError::Cancelled => "cancelled",
        EngineError::Load(_) | EngineError::Mismatch(_) | EngineError::Op(_) => "model",
        EngineError::Memory { .. }
        | EngineError::Device(DeviceError::OutOfMemory { .. })
        | EngineError::Plan(PlanError::Binding { .. } | PlanError::Buffer { .. }) => "memory",
        EngineError::Device(DeviceError::Lost(_)) => "device-lost",
        EngineError::Device(DeviceError::NoAdapter(_) | DeviceError::Device { .. }) => "no-device",
        EngineError::Device(_) => "device",
        EngineError::Broken { .. } => "broken",
        other if other.is_users() => "settings",
        _ => "internal",
    }
}
