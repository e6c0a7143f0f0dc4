//! Events of a job as plain objects. The numbers and names are those of `package/src/protocol.ts`.
use crate::object::{bytes, count, object};
use engine::{Event, Frame, Snapshot};
use js_sys::{Array, Float32Array, Uint8Array};
use wasm_bindgen::JsValue;

/// An event as a message; `None` for what no page asks for.
pub(crate) fn message(event: &Event<'_>) -> Option<JsValue> {
    let progress = |kind: &str, done: JsValue, total: JsValue| {
        object([("type", kind.into()), ("done", done), ("total", total)])
    };
    Some(match event {
        Event::Loading { done, total } => progress("loading", bytes(*done), bytes(*total)),
        Event::Notice(text) => notice(text),
        Event::Tuning { done, total } => progress("tuning", count(*done), count(*total)),
        Event::Compiling { done, total } => progress("compiling", count(*done), count(*total)),
        Event::Encoded => object([("type", "encoded".into())]),
        Event::Step { done, total } => progress("step", count(*done), count(*total)),
        Event::Decoding { done, total } => progress("decoding", count(*done), count(*total)),
        Event::Snapshot(snapshot) => of_snapshot(snapshot)?,
        Event::Preview { step, frames } => {
            let frames: Array = frames.iter().map(picture).collect();
            object([("type", "preview".into()), ("step", count(*step)), ("frames", frames.into())])
        }
        Event::Frame(frame) => object([("type", "frame".into()), ("frame", picture(frame))]),
        _ => return None,
    })
}

/// Something that a person should know.
pub(crate) fn notice(text: &str) -> JsValue {
    object([("type", "notice".into()), ("text", text.into())])
}

/// A frame, copied out of wasm's memory, whose views die when it grows.
fn picture(frame: &Frame) -> JsValue {
    let rgb = Uint8Array::from(&frame.rgb[..]);
    object([("width", frame.width.into()), ("height", frame.height.into()), ("rgb", rgb.into())])
}

/// Where the job could go on; `None` if its noise cannot be told in a number.
fn of_snapshot(snapshot: &Snapshot) -> Option<JsValue> {
    let drawn = snapshot.noise.philox_drawn()?;
    let latents = Float32Array::from(&snapshot.latents[..]);
    Some(object([
        ("type", "snapshot".into()),
        ("step", count(snapshot.step)),
        ("drawn", bytes(drawn)),
        ("latents", latents.into()),
    ]))
}
