//! A model put together from files that hold its parts, over a base folder or without one.

pub(crate) mod tokenizer;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::contents::{self, Found};
use crate::infer::{self, Config};
use crate::{Bytes, Checkpoint, Family, LoadError, ModelFolder, Result, json, lora};

/// The components that every model has, with the files that people have of them.
const COMPONENTS: [(&str, &str); 3] = [
    ("transformer", "such as wan2.1_t2v_1.3B_bf16.safetensors or wan2.1-t2v-14b-Q4_K_M.gguf"),
    (
        "text_encoder",
        "such as umt5_xxl_fp8_e4m3fn_scaled.safetensors, umt5-xxl-encoder-Q8_0.gguf or models_t5_umt5-xxl-enc-bf16.pth",
    ),
    ("vae", "such as wan_2.1_vae.safetensors or Wan2.1_VAE.pth"),
];

/// A file with the name that messages call it by.
#[derive(Clone, Debug)]
pub struct NamedFile {
    /// Its path.
    pub name: String,
    /// Its contents.
    pub bytes: Bytes,
}

impl NamedFile {
    /// Opens the file at `path`: mapped, if it is large.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !path.exists() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no such file");
            return Err(LoadError::Read { file: name, location: parent.display().to_string(), source });
        }
        let bytes = ModelFolder::open(parent)?.read(&name)?;
        Ok(Self { name: path.display().to_string(), bytes })
    }
}

/// Where a part of a model came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOrigin {
    /// The component.
    pub component: String,
    /// The file.
    pub file: String,
    /// How its tensors are named, for people.
    pub layout: String,
    /// Whether its config was read off its shapes; else it is the base folder's.
    pub config_is_inferred: bool,
}

/// Puts a model together; [`Assembly::finish`] gives it as a folder.
#[derive(Debug, Default)]
pub struct Assembly {
    base: Option<ModelFolder>,
    parts: BTreeMap<String, (Found, Checkpoint)>,
    tokenizer: Option<NamedFile>,
    /// What the files of text encoders have of a tokenizer.
    own_tokenizer: Option<tokenizer::Files>,
    loras: Vec<(Checkpoint, f32)>,
}

impl Assembly {
    /// Begins with the folder whose parts stay where no other is added, or with nothing.
    #[must_use]
    pub fn new(base: Option<ModelFolder>) -> Self {
        Self { base, ..Self::default() }
    }

    /// Adds all parts that a file holds: one, or those of a whole checkpoint.
    ///
    /// # Errors
    /// When the file is not sound, holds no part that is known, or one that cannot be run.
    pub fn add(&mut self, file: &NamedFile) -> Result<()> {
        let checkpoint = Checkpoint::from_bytes(&file.name, file.bytes.clone())?;
        check_architecture(&checkpoint)?;
        let found = contents::find(&checkpoint);
        if found.is_empty() {
            return Err(unknown(&checkpoint));
        }
        for found in found {
            self.take(found, &checkpoint)?;
        }
        Ok(())
    }

    /// Adds the part `component` from a file that must hold it.
    ///
    /// # Errors
    /// As [`Assembly::add`], and when the file holds another part.
    pub fn add_part(&mut self, component: &str, file: &NamedFile) -> Result<()> {
        let checkpoint = Checkpoint::from_bytes(&file.name, file.bytes.clone())?;
        check_architecture(&checkpoint)?;
        let found = contents::find(&checkpoint);
        match found.into_iter().find(|found| found.layout.component == component) {
            Some(found) => self.take(found, &checkpoint),
            None => Err(LoadError::WrongPart {
                contents: contents::describe(&checkpoint),
                file: file.name.clone(),
                expected: component.to_owned(),
            }),
        }
    }

    /// Adds the tokenizer from a `tokenizer.json` or a sentencepiece model.
    pub fn add_tokenizer(&mut self, file: NamedFile) {
        self.tokenizer = Some(file);
    }

    /// Lays a LoRA over the transformer, `weight` times.
    ///
    /// # Errors
    /// When the file is not sound.
    pub fn add_lora(&mut self, file: &NamedFile, weight: f32) -> Result<()> {
        self.loras.push((Checkpoint::from_bytes(&file.name, file.bytes.clone())?, weight));
        Ok(())
    }

    fn take(&mut self, found: Found, file: &Checkpoint) -> Result<()> {
        let part = found.take(file)?;
        if found.layout.component == "text_encoder" {
            self.own_tokenizer = tokenizer::of_checkpoint(file, found.prefix)?;
        }
        self.parts.insert(found.layout.component.to_owned(), (found, part));
        Ok(())
    }

    /// The model: what was added, over the base.
    ///
    /// # Errors
    /// When a part or a config is missing, parts are of different families, or a LoRA does not fit.
    pub fn finish(mut self) -> Result<ModelFolder> {
        if self.parts.is_empty() && self.loras.is_empty() && self.tokenizer.is_none() {
            return self.base.ok_or_else(|| missing("transformer", "nothing"));
        }
        let family = self.family()?;
        let mut written = BTreeMap::new();
        if self.base.is_none() {
            let (index, scheduler) = infer::index_of(family);
            written.insert("model_index.json".to_owned(), to_bytes(&index));
            written.insert("scheduler/scheduler_config.json".to_owned(), to_bytes(&scheduler));
        }
        let name = self.name();
        let base = self.base.take().unwrap_or_else(|| ModelFolder::empty(&name));
        let mut origins = Vec::new();
        for (component, (found, part)) in &self.parts {
            let (origin, config) = config_of(&base, component, found, part)?;
            if let Some(config) = config {
                written.insert(format!("{component}/config.json"), to_bytes(&Value::Object(config)));
            }
            origins.push(origin);
        }
        self.write_tokenizer(&base, &mut written)?;
        let mut parts: BTreeMap<String, Checkpoint> =
            self.parts.into_iter().map(|(component, (_, part))| (component, part)).collect();
        if !self.loras.is_empty() {
            let transformer = match parts.remove("transformer") {
                Some(part) => part,
                None => Checkpoint::open(&base, "transformer")?,
            };
            parts.insert("transformer".to_owned(), with_loras(&base, transformer, &self.loras)?);
        }
        Ok(base.with_parts(name, parts, written, origins))
    }

    /// The family of the base or else of the parts; every part that is of one must be of the same.
    fn family(&self) -> Result<Family> {
        let of_base = self.base.as_ref().map(|base| base.index().map(|index| index.family)).transpose()?;
        let of_parts = self.parts.values().find_map(|(found, _)| found.layout.family);
        let family = of_base.or(of_parts).unwrap_or(Family::Wan);
        for (found, part) in self.parts.values() {
            if found.layout.family.is_some_and(|other| other != family) {
                return Err(LoadError::OtherFamily {
                    file: part.file().to_owned(),
                    contents: found.layout.about.to_owned(),
                    family: format!("{family:?}"),
                });
            }
        }
        if self.base.is_none() {
            for (component, examples) in COMPONENTS {
                if !self.parts.contains_key(component) {
                    return Err(missing(component, examples));
                }
            }
        }
        Ok(family)
    }

    /// The tokenizer that was given, else the base's, else what the text encoder's file has.
    fn write_tokenizer(&self, base: &ModelFolder, written: &mut BTreeMap<String, Bytes>) -> Result<()> {
        let files = match &self.tokenizer {
            Some(file) => tokenizer::of_file(file),
            None if base.has_tokenizer("tokenizer") => return Ok(()),
            None => match &self.own_tokenizer {
                Some(files) => files.clone(),
                None => {
                    return Err(missing("tokenizer", "such as tokenizer.json or spiece.model of umt5-xxl"));
                }
            },
        };
        written.extend(files);
        Ok(())
    }

    /// A name for messages and metadata: the base's, or the transformer's file without its ending.
    fn name(&self) -> String {
        if let Some(base) = &self.base {
            return base.name().to_owned();
        }
        let file = self.parts.get("transformer").map_or("model", |(_, part)| part.file());
        let stem = Path::new(file).file_stem();
        stem.map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}

/// Where a part came from, and its config if that is to be written: what its shapes say, unless the base says the same and more.
fn config_of(
    base: &ModelFolder,
    component: &str,
    found: &Found,
    part: &Checkpoint,
) -> Result<(PartOrigin, Option<Config>)> {
    let inferred = infer::config(component, part);
    let path = format!("{component}/config.json");
    let of_base: Option<Config> = match base.read_optional(&path)? {
        Some(bytes) => Some(json::parse(&path, &bytes)?),
        None => None,
    };
    let config = match (inferred, of_base) {
        (Some(inferred), Some(of_base)) if infer::agrees(&of_base, &inferred) => None,
        (Some(inferred), _) => Some(inferred),
        (None, Some(_)) => None,
        (None, None) => {
            return Err(LoadError::NoConfig {
                file: part.file().to_owned(),
                component: component.to_owned(),
            });
        }
    };
    let origin = PartOrigin {
        component: component.to_owned(),
        file: part.file().to_owned(),
        layout: found.layout.about.to_owned(),
        config_is_inferred: config.is_some(),
    };
    Ok((origin, config))
}

fn with_loras(
    base: &ModelFolder,
    mut transformer: Checkpoint,
    loras: &[(Checkpoint, f32)],
) -> Result<Checkpoint> {
    for (file, weight) in loras {
        let applied = lora::apply(&mut transformer, file, *weight)?;
        let notices = base.notice_board();
        if applied.of_pictures > 0 {
            notices.add(format!(
                "`{}`: {} keys are of modules that read pictures, which this model has not",
                file.file(),
                applied.of_pictures
            ));
        }
        if !applied.unused.is_empty() {
            let shown: Vec<String> = applied.unused.iter().take(3).map(|key| format!("`{key}`")).collect();
            notices.add(format!(
                "`{}`: {} keys fit nothing in this model and are not used ({}{}); {} tensors are changed",
                file.file(),
                applied.unused.len(),
                shown.join(", "),
                if applied.unused.len() > shown.len() { ", .." } else { "" },
                applied.changed
            ));
        }
    }
    Ok(transformer)
}

/// A GGUF file names its architecture, if its writer did.
pub(crate) fn check_architecture(file: &Checkpoint) -> Result<()> {
    /// `pig` and `cow` were written by converters that do not say what they convert.
    const KNOWN: [&str; 7] = ["wan", "t5encoder", "t5", "pig", "cow", "vae", "cogvideox"];
    let Some(architecture) = file.gguf().and_then(|all| all.get("general.architecture")) else {
        return Ok(());
    };
    match architecture.as_text() {
        Some(name) if KNOWN.contains(&name) => Ok(()),
        _ => Err(LoadError::BadGguf {
            file: file.file().to_owned(),
            reason: format!("`general.architecture` is {architecture}, expected `wan` or `t5encoder`"),
        }),
    }
}

fn unknown(file: &Checkpoint) -> LoadError {
    LoadError::UnknownContents { file: file.file().to_owned(), contents: contents::describe(file) }
}

fn missing(component: &str, examples: &str) -> LoadError {
    LoadError::MissingPart { component: component.to_owned(), examples: examples.to_owned() }
}

fn to_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string().into_bytes())
}
