//! The scheduler of a model folder, also where it asks for one that cannot be run.

use serde_json::{Map, Value, json};

use super::{COGVIDEOX_DDIM, SchedulerConfig, UNIPC, fitting};
use crate::config::Fields;
use crate::{Family, LoadError, ModelFolder, Result};

/// The scheduler of a model folder.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelScheduler {
    /// The scheduler that the folder asks for. When that one cannot be run: one of the family's own, with what the
    /// file says that fits it, for whoever chooses another scheduler.
    pub config: SchedulerConfig,
    /// Why the scheduler that the folder asks for cannot be run, if so. The sentence names the file, key and value.
    pub unsupported: Option<String>,
}

impl From<SchedulerConfig> for ModelScheduler {
    fn from(config: SchedulerConfig) -> Self {
        Self { config, unsupported: None }
    }
}

impl ModelScheduler {
    /// Reads and checks `component/scheduler_config.json`.
    ///
    /// # Errors
    /// When it or the model index is absent or damaged.
    pub fn load(folder: &ModelFolder, component: &str) -> Result<Self> {
        let index = folder.index()?;
        let fields = Fields::load(folder, &format!("{component}/scheduler_config.json"))?;
        let own = fields.map().get("_class_name").and_then(Value::as_str);
        if let (Some(own), Some(named)) = (own, index.class(component))
            && own != named
        {
            folder.notice_board().add(format!(
                "`{}` is of `{own}`, which is used; `model_index.json` names `{named}`",
                fields.file()
            ));
        }
        match SchedulerConfig::take(fields.clone(), fitting(index.family)) {
            Ok(config) => Ok(config.into()),
            Err(error @ LoadError::UnsupportedValue { .. }) => {
                Ok(Self { config: stand_in(index.family, &fields)?, unsupported: Some(error.to_string()) })
            }
            Err(error) => Err(error),
        }
    }
}

/// A scheduler that runs models of `family`: as published with them, and with each key of `file` that it accepts.
fn stand_in(family: Family, file: &Fields) -> Result<SchedulerConfig> {
    let take = |map: &Map<String, Value>| {
        SchedulerConfig::take(Fields::new(file.file(), map.clone()), fitting(family))
    };
    let mut map = published(family);
    let mut accept = |key: &str, value: &Value| {
        let before = map.insert(key.to_owned(), value.clone());
        if take(&map).is_err() {
            match before {
                Some(before) => map.insert(key.to_owned(), before),
                None => map.remove(key),
            };
        }
    };
    for (key, value) in file.map().iter().filter(|(key, _)| !key.starts_with('_')) {
        accept(key, value);
    }
    // Other flow-matching schedulers call the shift so.
    if let Some(shift) = file.map().get("shift").filter(|_| !file.map().contains_key("flow_shift")) {
        accept("flow_shift", shift);
    }
    take(&map)
}

/// The scheduler that most models of `family` are published with. The snr shift of CogVideoX is that of all but the
/// smallest one.
fn published(family: Family) -> Map<String, Value> {
    let config = match family {
        Family::Wan => json!({
            "_class_name": UNIPC, "prediction_type": "flow_prediction", "use_flow_sigmas": true, "flow_shift": 3.0
        }),
        Family::CogVideoX => json!({
            "_class_name": COGVIDEOX_DDIM, "prediction_type": "v_prediction", "timestep_spacing": "trailing",
            "rescale_betas_zero_snr": true, "snr_shift_scale": 1.0
        }),
    };
    match config {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
