//! Refuses the `tokenizer.json` files that the library which reads them would panic at.

use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

use super::charsmap;

/// The parts that can be wrong in such a way. JSON that ends within the decoder would be a panic, so it is read here first.
#[derive(Deserialize)]
struct Parts {
    #[serde(rename = "decoder")]
    _decoder: Option<Value>,
    normalizer: Option<Value>,
    post_processor: Option<Value>,
}

/// Whether everything is what the library takes for granted.
pub(super) fn check(text: &[u8]) -> Result<(), String> {
    let parts: Parts = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    parts.normalizer.iter().try_for_each(|value| each(value, "Precompiled", check_charsmap))?;
    parts.post_processor.iter().try_for_each(|value| each(value, "TemplateProcessing", check_template))
}

/// Looks at every object of a type, however deep it lies.
fn each(value: &Value, kind: &str, check: fn(&Value) -> Result<(), String>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| each(item, kind, check)),
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|name| name == kind) {
                check(value)?;
            }
            fields.values().try_for_each(|field| each(field, kind, check))
        }
        _ => Ok(()),
    }
}

/// A compiled map of characters must decode, and lead nowhere outside of itself.
fn check_charsmap(normalizer: &Value) -> Result<(), String> {
    let damaged = || "its `precompiled_charsmap` is damaged".to_owned();
    let text = normalizer.get("precompiled_charsmap").and_then(Value::as_str).ok_or_else(damaged)?;
    let map = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| damaged())?;
    charsmap::check(&map).map_err(|_| damaged())
}

/// Every special token that a template names must be described in it.
fn check_template(processor: &Value) -> Result<(), String> {
    let described = processor.get("special_tokens").and_then(Value::as_object);
    let pieces = ["single", "pair"].iter().filter_map(|key| processor.get(key)?.as_array()).flatten();
    for piece in pieces {
        let Some(id) = piece.get("SpecialToken").and_then(|token| token.get("id")?.as_str()) else {
            continue;
        };
        if !described.is_some_and(|tokens| tokens.contains_key(id)) {
            return Err(format!("its template names the special token `{id}` and does not describe it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_takes_for_granted_is_checked() {
        let template = |described: &str| {
            format!(
                r#"{{"post_processor": {{"type": "Sequence", "processors": [{{"type": "TemplateProcessing",
                "single": [{{"Sequence": {{"id": "A"}}}}, {{"SpecialToken": {{"id": "</s>", "type_id": 0}}}}],
                "special_tokens": {{"{described}": {{"id": "{described}", "ids": [1], "tokens": ["{described}"]}}}}}}]}}}}"#
            )
        };
        check(template("</s>").as_bytes()).unwrap();
        assert!(check(template("/<s>").as_bytes()).unwrap_err().contains("`</s>`"));
        let map = |text: &str| {
            format!(r#"{{"normalizer": {{"type": "Precompiled", "precompiled_charsmap": "{text}"}}}}"#)
        };
        let mut empty = 1024_u32.to_le_bytes().to_vec();
        empty.resize(4 + 1024, 0);
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        check(map(&encode(&empty)).as_bytes()).unwrap();
        // A unit whose leaf lies outside.
        empty[4 + 4 * 97..][..4].copy_from_slice(&(97_u32 | 1 << 8 | 300 << 10).to_le_bytes());
        for damaged in [map(&encode(&empty)), map("!"), map("AAAA"), "{\"decoder\": [".to_owned()] {
            check(damaged.as_bytes()).unwrap_err();
        }
    }
}
