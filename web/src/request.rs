//! What a page asks for, as JSON: read strictly, so that a misspelt setting is an error and not a default.
#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "only a browser asks"))]
use engine::Request;
use engine::pipeline::Settings;
use serde::{Deserialize, Serialize};

/// A video to be made. What is left out is as the model has it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct VideoRequest {
    pub(crate) prompt: String,
    negative_prompt: Option<String>,
    width: Option<usize>,
    height: Option<usize>,
    frames: Option<usize>,
    fps: Option<f64>,
    steps: Option<usize>,
    guidance: Option<f64>,
    /// As text: JavaScript's numbers end at 2^53.
    seed: String,
}

impl VideoRequest {
    /// Reads JSON.
    ///
    /// # Errors
    /// With what is wrong, for a person.
    pub(crate) fn parse(json: &str) -> Result<Request, String> {
        let asked: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let seed = if asked.seed.is_empty() { "0" } else { &asked.seed };
        let seed = seed
            .parse()
            .map_err(|_| format!("the seed is `{seed}`, it must be a whole number from 0 to {}", u64::MAX))?;
        Ok(Request {
            prompt: asked.prompt,
            negative_prompt: asked.negative_prompt,
            width: asked.width,
            height: asked.height,
            num_frames: asked.frames,
            fps: asked.fps,
            num_inference_steps: asked.steps,
            guidance_scale: asked.guidance,
            seed,
            ..Request::default()
        })
    }
}

/// The settings that a request became: what is made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeSettings {
    prompt: String,
    negative_prompt: String,
    width: usize,
    height: usize,
    frames: usize,
    fps: f64,
    steps: usize,
    guidance: f32,
    seed: String,
}

impl From<&Settings> for MadeSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            prompt: settings.prompt.clone(),
            negative_prompt: settings.negative_prompt.clone(),
            width: settings.width,
            height: settings.height,
            frames: settings.num_frames,
            fps: settings.fps,
            steps: settings.num_inference_steps,
            guidance: settings.guidance_scale,
            seed: settings.seed.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_models() {
        let request = VideoRequest::parse(r#"{"prompt": "a boat", "steps": 3}"#).unwrap();
        assert_eq!((request.prompt.as_str(), request.num_inference_steps), ("a boat", Some(3)));
        assert_eq!((request.width, request.seed), (None, 0));
    }

    #[test]
    fn a_seed_keeps_all_its_bits() {
        let request = VideoRequest::parse(r#"{"prompt": "", "seed": "18446744073709551615"}"#).unwrap();
        assert_eq!(request.seed, u64::MAX);
        let error = VideoRequest::parse(r#"{"seed": "-1"}"#).unwrap_err();
        assert_eq!(error, "the seed is `-1`, it must be a whole number from 0 to 18446744073709551615");
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        let error = VideoRequest::parse(r#"{"prompt": "a boat", "guidence": 3}"#).unwrap_err();
        assert!(error.contains("unknown field `guidence`"), "{error}");
    }
}
