//! Which files of a repository a model needs: its index, then of each component the config and one set of weights.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::weights::{self, Weights};
use crate::{HubError, RepoId, Result, names, pattern};

const INDEX: &str = "model_index.json";
/// Endings that are never fetched: pickles, which could run code, and other frameworks' copies of the same weights.
const NEVER: [&str; 10] =
    [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".onnx", ".onnx_data", ".msgpack", ".h5", ".tflite"];
/// Endings of weights, for messages.
const WEIGHTS: [&str; 2] = [".gguf", ".safetensors"];
/// How many names a message lists.
const LISTED: usize = 40;

/// What is wanted of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All that its `model_index.json` names.
    Model {
        /// Which weights are preferred, such as `fp16`, where a component has them.
        variant: Option<String>,
    },
    /// The files of these names; `*` stands for any characters, slashes too.
    Files(Vec<String>),
}

impl Wanted {
    /// A whole model with its plain weights.
    #[must_use]
    pub fn model() -> Self {
        Self::Model { variant: None }
    }
}

/// A repository's files, wherever they are.
pub(crate) struct Choice<'a> {
    pub repo: &'a RepoId,
    pub files: &'a BTreeSet<String>,
    /// Reads one of them.
    pub read: &'a mut dyn FnMut(&str) -> Result<String>,
}

impl Choice<'_> {
    /// The names of all wanted files, none of which leads out of its folder.
    pub(crate) fn make(mut self, wanted: &Wanted) -> Result<BTreeSet<String>> {
        let chosen = match wanted {
            Wanted::Files(patterns) => self.matching(patterns)?,
            Wanted::Model { variant } => self.model(variant.as_deref())?,
        };
        for file in &chosen {
            names::check(file)?;
        }
        Ok(chosen)
    }

    fn matching(&self, patterns: &[String]) -> Result<BTreeSet<String>> {
        let mut chosen = BTreeSet::new();
        for pattern in patterns {
            let fits = |file: &&String| is_allowed(file) && pattern::matches(pattern, file);
            let found: Vec<&String> = self.files.iter().filter(fits).collect();
            if found.is_empty() {
                let (repo, found) = (self.repo.to_string(), self.weights());
                return Err(HubError::NoMatch { repo, pattern: pattern.clone(), found });
            }
            chosen.extend(found.into_iter().cloned());
        }
        Ok(chosen)
    }

    fn model(&mut self, variant: Option<&str>) -> Result<BTreeSet<String>> {
        if !self.files.contains(INDEX) {
            return Err(HubError::PickAFile { repo: self.repo.to_string(), found: self.weights() });
        }
        let mut chosen = BTreeSet::from([INDEX.to_owned()]);
        chosen.extend(self.files.get("generation.json").cloned());
        let mut variants = BTreeSet::new();
        for (name, class) in components(&self.json(INDEX)?) {
            let folder: Vec<&str> = inside(self.files, &name).collect();
            let kind = Kind::of(&name, &class);
            let mut files: Vec<&str> = folder.iter().copied().filter(|file| kind.wants(file)).collect();
            if let Some(needed) = kind.lacks(&files) {
                return Err(self.missing(format!("{name}/{needed}"), format!("{INDEX} names `{name}`")));
            }
            let weights =
                if kind == Kind::Model { self.weights_of(&name, &folder, variant)? } else { Vec::new() };
            if kind == Kind::Model {
                variants.extend(folder.iter().filter_map(|file| weights::variant(file)));
                files.extend(weights.iter().map(String::as_str));
            }
            chosen.extend(files.into_iter().map(|file| format!("{name}/{file}")));
        }
        match variant {
            Some(variant) if !variants.contains(variant) => Err(HubError::NoVariant {
                repo: self.repo.to_string(),
                variant: variant.to_owned(),
                found: list(variants.iter()),
            }),
            _ => Ok(chosen),
        }
    }

    /// The names of a component's weights in its folder, and of their index.
    fn weights_of(&mut self, component: &str, folder: &[&str], variant: Option<&str>) -> Result<Vec<String>> {
        let Some(picked) = weights::pick(folder.iter().copied(), variant) else {
            let found = list(folder.iter());
            return Err(HubError::NoWeights {
                repo: self.repo.to_string(),
                component: component.to_owned(),
                found,
            });
        };
        match picked {
            Weights::Single(file) => Ok(vec![file]),
            Weights::Shards(files) => Ok(files),
            Weights::Cut(file) => Err(self
                .missing(format!("{component}/{file}"), "other shards of its weights are there".to_owned())),
            Weights::Index(index) => {
                let path = format!("{component}/{index}");
                let mut files = self.shards(&path)?;
                for shard in &files {
                    let whole = format!("{component}/{shard}");
                    if !shard.ends_with(".safetensors") {
                        return Err(
                            self.bad(&path, format!("it names `{shard}`, which is no safetensors file"))
                        );
                    }
                    if !self.files.contains(&whole) {
                        return Err(self.missing(whole, format!("`{path}` names it")));
                    }
                }
                files.push(index);
                Ok(files)
            }
        }
    }

    /// The shards that an index names.
    fn shards(&mut self, index: &str) -> Result<Vec<String>> {
        let json = self.json(index)?;
        let map = json.get("weight_map").and_then(Value::as_object);
        let files: Option<BTreeSet<String>> = map
            .and_then(|map| map.values().map(|shard| shard.as_str().map(str::to_owned)).collect())
            .filter(|files: &BTreeSet<String>| !files.is_empty());
        let files = files.ok_or_else(|| self.bad(index, "its `weight_map` names no files".to_owned()))?;
        Ok(files.into_iter().collect())
    }

    fn json(&mut self, file: &str) -> Result<Map<String, Value>> {
        let text = (self.read)(names::check(file)?)?;
        serde_json::from_str(&text).map_err(|error| self.bad(file, error.to_string()))
    }

    fn bad(&self, file: &str, reason: String) -> HubError {
        HubError::BadFile { repo: self.repo.to_string(), file: file.to_owned(), reason }
    }

    fn missing(&self, file: String, reason: String) -> HubError {
        HubError::MissingFile { repo: self.repo.to_string(), file, reason }
    }

    fn weights(&self) -> String {
        list(self.files.iter().filter(|file| WEIGHTS.iter().any(|ending| file.ends_with(ending))))
    }
}

/// What a component is, which decides what of its folder is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Scheduler,
    Tokenizer,
    Processor,
}

impl Kind {
    fn of(name: &str, class: &str) -> Self {
        if class.contains("Tokenizer") || name.starts_with("tokenizer") {
            Self::Tokenizer
        } else if class.contains("Scheduler") || name == "scheduler" {
            Self::Scheduler
        } else if class.contains("Processor") || class.contains("FeatureExtractor") {
            Self::Processor
        } else {
            Self::Model
        }
    }

    /// Whether a file that is no weights is read.
    fn wants(self, file: &str) -> bool {
        match self {
            Self::Model => file == "config.json",
            Self::Scheduler => file == "scheduler_config.json",
            Self::Tokenizer => file.ends_with(".json") || file == "spiece.model",
            Self::Processor => file.ends_with(".json"),
        }
    }

    /// A file without which the component is of no use, if `files` holds none such.
    fn lacks(self, files: &[&str]) -> Option<&'static str> {
        let enough: &[&'static str] = match self {
            Self::Model => &["config.json"],
            Self::Scheduler => &["scheduler_config.json"],
            Self::Tokenizer => &["tokenizer.json", "spiece.model"],
            Self::Processor => &["preprocessor_config.json", "config.json"],
        };
        if enough.iter().any(|file| files.contains(file)) { None } else { enough.first().copied() }
    }
}

/// Name and class of every component; `[null, null]` is an absent one, and other values are settings.
fn components(index: &Map<String, Value>) -> Vec<(String, String)> {
    let pair = |value: &Value| match value.as_array()?.as_slice() {
        [Value::String(_), Value::String(class)] => Some(class.clone()),
        _ => None,
    };
    let named = index.iter().filter(|(name, _)| !name.starts_with('_'));
    named.filter_map(|(name, value)| Some((name.clone(), pair(value)?))).collect()
}

/// The names of the files that lie right in a folder.
fn inside<'a>(files: &'a BTreeSet<String>, folder: &'a str) -> impl Iterator<Item = &'a str> {
    let inner = move |file: &'a String| file.strip_prefix(folder)?.strip_prefix('/');
    files.iter().filter_map(inner).filter(|file| !file.contains('/'))
}

fn is_allowed(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    !NEVER.iter().any(|ending| file.ends_with(ending))
}

fn list<S: AsRef<str>>(names: impl Iterator<Item = S>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{}`", name.as_ref().escape_debug())).collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count > LISTED => format!("{} and {} more", names[..LISTED].join(", "), count - LISTED),
        _ => names.join(", "),
    }
}
