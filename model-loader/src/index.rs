//! `model_index.json`: the pipeline of a model folder and the classes of its components.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::config::Fields;
use crate::{LoadError, ModelFolder, Result};

const FILE: &str = "model_index.json";

/// Models that are built alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Wan 2.1.
    Wan,
    /// CogVideoX 1.0 and 1.5.
    CogVideoX,
}

/// One pipeline that can be run: its class, and for each component the classes that can stand there.
struct Pipeline {
    class: &'static str,
    family: Family,
    required: &'static [Required],
    /// Components that some models have and that we cannot run: they must be absent.
    absent: &'static [(&'static str, &'static str)],
}

/// A component's name and the classes that it may have; an empty list stands for any.
type Required = (&'static str, &'static [&'static str]);

// Whatever the class, the tokens come from tokenizer.json or spiece.model.
const TOKENIZER: Required =
    ("tokenizer", &["T5Tokenizer", "T5TokenizerFast", "AutoTokenizer", "PreTrainedTokenizerFast"]);

// Its config decides, and another scheduler can be chosen for a run.
const SCHEDULER: Required = ("scheduler", &[]);

const COGVIDEOX: &[Required] = &[
    SCHEDULER,
    ("text_encoder", &["T5EncoderModel"]),
    TOKENIZER,
    ("transformer", &["CogVideoXTransformer3DModel"]),
    ("vae", &["AutoencoderKLCogVideoX"]),
];

const PIPELINES: &[Pipeline] = &[
    Pipeline {
        class: "WanPipeline",
        family: Family::Wan,
        required: &[
            SCHEDULER,
            ("text_encoder", &["UMT5EncoderModel"]),
            TOKENIZER,
            ("transformer", &["WanTransformer3DModel"]),
            ("vae", &["AutoencoderKLWan"]),
        ],
        absent: &[("transformer_2", "none; models of two experts are not supported")],
    },
    Pipeline { class: "CogVideoXPipeline", family: Family::CogVideoX, required: COGVIDEOX, absent: &[] },
    Pipeline {
        class: "CogVideoXImageToVideoPipeline",
        family: Family::CogVideoX,
        required: COGVIDEOX,
        absent: &[],
    },
];

/// Which library and class a component is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentClass {
    /// `diffusers` or `transformers`.
    pub library: String,
    /// The class in that library.
    pub class: String,
}

impl fmt::Display for ComponentClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.library, self.class)
    }
}

/// What a model folder says it is. Reading one refuses whatever cannot be run.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelIndex {
    /// The class of the pipeline, such as `WanPipeline`.
    pub pipeline: String,
    /// The family that the pipeline belongs to.
    pub family: Family,
    /// The components that are there, by name.
    pub components: BTreeMap<String, ComponentClass>,
}

impl ModelIndex {
    pub(crate) fn load(folder: &ModelFolder) -> Result<Self> {
        Self::parse(Fields::load(folder, FILE)?)
    }

    /// The class of the component `name`, if it is there.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&str> {
        self.components.get(name).map(|component| component.class.as_str())
    }

    fn parse(mut fields: Fields) -> Result<Self> {
        let class: String = fields.required("_class_name")?;
        let Some(pipeline) = PIPELINES.iter().find(|pipeline| pipeline.class == class) else {
            let supported = PIPELINES.iter().map(|pipeline| pipeline.class).collect::<Vec<_>>().join(", ");
            return Err(LoadError::UnsupportedPipeline { file: FILE.to_owned(), class, supported });
        };

        if let Some(ratio) = fields.optional::<f64>("boundary_ratio")? {
            return Err(fields.unsupported("boundary_ratio", ratio, "null; models of two experts are not"));
        }
        if fields.or("expand_timesteps", false)? {
            return Err(fields.unsupported("expand_timesteps", true, "false; a timestep per token is not"));
        }

        let mut components = BTreeMap::new();
        for &(name, supported) in pipeline.required {
            let component = take_component(&mut fields, name)?;
            match component {
                Some(component) if supported.is_empty() || supported.contains(&&*component.class) => {
                    components.insert(name.to_owned(), component);
                }
                other => return Err(refuse(name, other, &supported.join(", "))),
            }
        }
        for &(name, supported) in pipeline.absent {
            if let Some(component) = take_component(&mut fields, name)? {
                return Err(refuse(name, Some(component), supported));
            }
        }
        fields.ignore_rest(&class, &[]);
        Ok(Self { pipeline: class, family: pipeline.family, components })
    }
}

fn refuse(component: &str, class: Option<ComponentClass>, supported: &str) -> LoadError {
    LoadError::UnsupportedComponent {
        file: FILE.to_owned(),
        component: component.to_owned(),
        class: class.map_or_else(|| "null".to_owned(), |class| class.class),
        supported: supported.to_owned(),
    }
}

/// `["library", "Class"]`; `[null, null]`, `null` and an absent key all mean that it is not there.
fn take_component(fields: &mut Fields, name: &str) -> Result<Option<ComponentClass>> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    match &value {
        Value::Null => Ok(None),
        Value::Array(pair) => match pair.as_slice() {
            [Value::Null, Value::Null] => Ok(None),
            [Value::String(library), Value::String(class)] => {
                Ok(Some(ComponentClass { library: library.clone(), class: class.clone() }))
            }
            _ => Err(fields.bad(name, &value, "[\"library\", \"Class\"] or [null, null]")),
        },
        _ => Err(fields.bad(name, &value, "[\"library\", \"Class\"] or [null, null]")),
    }
}
