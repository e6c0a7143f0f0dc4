//! The cases of `tests/fixtures/formats`: models put together from files in every form that people have them in.
use crate::golden::{Golden, fixtures};
use model_loader::{Assembly, LoadError, ModelFolder, NamedFile};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// The folders of cases.
pub const SETS: [&str; 3] = ["wan", "lora", "gguf"];

/// One case: files over a base folder, and what comes out of them.
#[derive(Debug, Clone, Deserialize)]
pub struct CheckpointCase {
    /// Its name.
    pub case: String,
    /// A folder of configs, perhaps with weights, from the folder of the cases.
    base: String,
    /// Files by component; `checkpoint` holds several.
    files: BTreeMap<String, String>,
    #[serde(default)]
    loras: Vec<CaseLora>,
    /// The folder of the cases.
    #[serde(skip)]
    set: String,
}

#[derive(Debug, Clone, Deserialize)]
struct CaseLora {
    file: String,
    weight: f32,
}

/// All cases.
///
/// # Panics
/// If a list of them is missing or damaged: without it nothing would be tested.
pub fn cases() -> Vec<CheckpointCase> {
    SETS.into_iter().flat_map(cases_of).collect()
}

fn cases_of(set: &str) -> Vec<CheckpointCase> {
    let path = fixtures().join("formats").join(set).join("cases.json");
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let cases: Vec<CheckpointCase> =
        serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(!cases.is_empty(), "{}: no cases", path.display());
    cases.into_iter().map(|case| CheckpointCase { set: set.to_owned(), ..case }).collect()
}

impl CheckpointCase {
    /// The name with that of its set.
    pub fn name(&self) -> String {
        format!("{}/{}", self.set, self.case)
    }

    /// What diffusers computes.
    pub fn golden(&self) -> Golden {
        Golden::open_case(&format!("formats/{}", self.set), &format!("{}.", self.case))
    }

    /// Whether its files say all that a model needs.
    pub fn stands_alone(&self) -> bool {
        self.set == "gguf"
    }

    /// The model over its base folder.
    ///
    /// # Errors
    /// If it cannot be put together.
    pub fn model(&self) -> Result<ModelFolder, LoadError> {
        self.over(Some(ModelFolder::open(self.path(&self.base))?))
    }

    /// The model of its files alone.
    ///
    /// # Errors
    /// If it cannot be put together.
    pub fn model_alone(&self) -> Result<ModelFolder, LoadError> {
        self.over(None)
    }

    fn over(&self, base: Option<ModelFolder>) -> Result<ModelFolder, LoadError> {
        let mut assembly = Assembly::new(base);
        for (component, file) in &self.files {
            let file = NamedFile::open(&self.path(file))?;
            match component.as_str() {
                "checkpoint" => assembly.add(&file)?,
                component => assembly.add_part(component, &file)?,
            }
        }
        for lora in &self.loras {
            assembly.add_lora(&NamedFile::open(&self.path(&lora.file))?, lora.weight)?;
        }
        assembly.finish()
    }

    fn path(&self, file: &str) -> PathBuf {
        fixtures().join("formats").join(&self.set).join(file)
    }
}
