//! Finds the weights of a component among its files, by the names that diffusers and transformers save them under.
//!
//! `S` is one of two stems, `V` an optional variant such as `fp16`:
//!
//! | what | names |
//! | --- | --- |
//! | one file | `S.safetensors`, `S.V.safetensors` |
//! | a shard | `S-00001-of-00002.safetensors`, `S.V-00001-of-00002.safetensors`, older `S-00001-of-00002.V.safetensors` |
//! | the index | `S.safetensors.index.json`, `S.safetensors.index.V.json`, older `S.safetensors.V.index.json` |

use std::collections::BTreeMap;

use crate::{LoadError, ModelFolder, Result};

/// The stems of diffusers and of transformers.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// The order in which variants are preferred when the weights without a variant are absent. `fp16` and `bf16` take half
/// the memory of `fp32`, and models are published in them; of the two, `fp16` keeps more digits.
const VARIANTS: [&str; 3] = ["fp16", "bf16", "fp32"];

/// The endings of pickled weights, which are not read.
const PICKLED: [&str; 5] = [".bin", ".ckpt", ".pkl", ".pt", ".pth"];

/// Where the weights of a component are, as paths inside the model folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WeightFiles {
    /// One file holds all tensors.
    Single(String),
    /// An index says which shard holds which tensor.
    Index(String),
    /// All shards are there, without an index.
    Shards {
        /// The shards.
        files: Vec<String>,
        /// What messages call all of them together.
        pattern: String,
    },
}

/// What a file's name says.
struct Name {
    stem: String,
    variant: Option<String>,
    part: Part,
}

enum Part {
    Single,
    Index,
    Shard { number: usize, count: usize },
}

/// The files of one stem and variant.
#[derive(Default)]
struct Copies {
    single: Option<String>,
    index: Option<String>,
    /// By how many shards there should be, then by number.
    shards: BTreeMap<usize, BTreeMap<usize, String>>,
}

impl WeightFiles {
    /// The weights of `component`. When they are there more than once, a notice says which are read.
    pub(crate) fn find(folder: &ModelFolder, component: &str) -> Result<Self> {
        let files = folder.file_names(component);
        let (usual, other): (Vec<_>, Vec<_>) =
            copies(component, &files).into_iter().partition(|((stem, _), _)| STEMS.contains(&&**stem));
        let mut choices = in_order(usual);
        if choices.is_empty() {
            // One set of another name is clear enough.
            choices = in_order(other);
            if choices.len() > 1 {
                let found = list(&choices);
                return Err(LoadError::AmbiguousWeights { component: component.to_owned(), found });
            }
        }
        if let [first, others @ ..] = &*choices
            && !others.is_empty()
        {
            let (read, others, verb) =
                (first.file(), list(others), if others.len() == 1 { "is" } else { "are" });
            folder.notice_board().add(format!(
                "the weights of `{component}` are there more than once: `{read}` is read, {others} {verb} not"
            ));
        }
        match choices.into_iter().next() {
            Some(choice) => choice.open(folder),
            None => Err(none(folder, component, &files)),
        }
    }
}

/// The weights among `files`, by stem and variant.
fn copies(component: &str, files: &[String]) -> BTreeMap<(String, Option<String>), Copies> {
    let mut found: BTreeMap<_, Copies> = BTreeMap::new();
    for file in files {
        let Some(Name { stem, variant, part }) = Name::parse(file) else { continue };
        let copies = found.entry((stem, variant)).or_default();
        let path = format!("{component}/{file}");
        match part {
            Part::Single => copies.single = Some(path),
            Part::Index => copies.index = Some(path),
            Part::Shard { number, count } => {
                copies.shards.entry(count).or_default().insert(number, path);
            }
        }
    }
    found
}

/// One way to read the weights.
enum Choice {
    Single(String),
    /// `bare` without any shard beside it: downloads of one variant often bring the indices of all.
    Index {
        file: String,
        bare: bool,
    },
    Shards {
        count: usize,
        files: BTreeMap<usize, String>,
    },
}

/// All ways to read the weights, the preferred one first.
fn in_order(mut found: Vec<((String, Option<String>), Copies)>) -> Vec<Choice> {
    found.sort_by_key(|((stem, variant), _)| {
        let variant = variant.as_ref().map(|variant| {
            let rank = VARIANTS.iter().position(|known| known == variant).unwrap_or(VARIANTS.len());
            (rank, variant.clone())
        });
        (variant, STEMS.iter().position(|known| known == stem))
    });
    let mut choices: Vec<Choice> =
        found.into_iter().flat_map(|((stem, _), copies)| copies.choices(&stem)).collect();
    let bare = |choice: &Choice| matches!(choice, Choice::Index { bare: true, .. });
    if !choices.iter().all(bare) {
        choices.retain(|choice| !bare(choice));
    }
    choices
}

impl Copies {
    fn choices(self, stem: &str) -> Vec<Choice> {
        let indexed = self.index.is_some();
        let bare = self.shards.is_empty();
        let index = self.index.map(|file| Choice::Index { file, bare });
        let mut choices: Vec<Choice> = self.single.map(Choice::Single).into_iter().chain(index).collect();
        // diffusers looks for an index first, transformers for a single file.
        if stem == STEMS[0] {
            choices.reverse();
        }
        // With an index it says itself which shards belong to it.
        if !indexed {
            let mut loose: Vec<_> = self.shards.into_iter().collect();
            loose.sort_by_key(|(count, files)| files.len() < *count);
            choices.extend(loose.into_iter().map(|(count, files)| Choice::Shards { count, files }));
        }
        choices
    }
}

impl Choice {
    /// The file that stands for all of them in messages.
    fn file(&self) -> &str {
        match self {
            Self::Single(file) | Self::Index { file, .. } => file,
            Self::Shards { files, .. } => files.values().next().map_or("", |file| file),
        }
    }

    fn open(self, folder: &ModelFolder) -> Result<WeightFiles> {
        let (count, files) = match self {
            Self::Single(file) => return Ok(WeightFiles::Single(file)),
            Self::Index { file, .. } => return Ok(WeightFiles::Index(file)),
            Self::Shards { count, files } => (count, files),
        };
        let any = files.values().next().map_or("", |file| file);
        if let Some(absent) = (1..=count).find(|number| !files.contains_key(number)) {
            return Err(LoadError::IncompleteShards {
                shard: renumbered(any, |digits| format!("{absent:0digits$}")),
                found: files.len(),
                count,
                location: folder.location(),
            });
        }
        let pattern = renumbered(any, |_| "*".to_owned());
        Ok(WeightFiles::Shards { files: files.into_values().collect(), pattern })
    }
}

impl Name {
    /// What `file` is, if it is weights or their index.
    fn parse(file: &str) -> Option<Self> {
        if let Some(front) = file.strip_suffix(".json") {
            let mut words: Vec<&str> = front.split('.').collect();
            for word in ["safetensors", "index"] {
                words.remove(words.iter().position(|other| *other == word)?);
            }
            return Some(Self::new(&words.join("."), Part::Index));
        }
        let front = file.strip_suffix(".safetensors")?;
        Some(match Marker::find(front) {
            Some(Marker { before, number, count, after, .. }) => {
                Self::new(&format!("{before}{after}"), Part::Shard { number, count })
            }
            None => Self::new(front, Part::Single),
        })
    }

    fn new(name: &str, part: Part) -> Self {
        match name.split_once('.') {
            Some((stem, variant)) => Self { stem: stem.to_owned(), variant: Some(variant.to_owned()), part },
            None => Self { stem: name.to_owned(), variant: None, part },
        }
    }
}

/// `-00001-of-00002` in a name, and what stands around it.
struct Marker<'a> {
    before: &'a str,
    number: usize,
    digits: usize,
    count: usize,
    rest: &'a str,
    after: &'a str,
}

impl<'a> Marker<'a> {
    fn find(name: &'a str) -> Option<Self> {
        let (front, rest) = name.rsplit_once("-of-")?;
        let (before, number) = front.rsplit_once('-')?;
        let (count, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let digits = number.len();
        let (number, count) = (number.parse().ok()?, count.parse().ok()?);
        let sound = (1..=count).contains(&number) && (after.is_empty() || after.starts_with('.'));
        sound.then_some(Self { before, number, digits, count, rest, after })
    }
}

/// The name of a shard with another number, which is made from how many digits it has.
fn renumbered(file: &str, number: impl Fn(usize) -> String) -> String {
    match Marker::find(file) {
        Some(Marker { before, digits, rest, .. }) => format!("{before}-{}-of-{rest}", number(digits)),
        None => file.to_owned(),
    }
}

fn none(folder: &ModelFolder, component: &str, files: &[String]) -> LoadError {
    let (component, location) = (component.to_owned(), folder.location());
    let pickled = files.iter().find(|file| PICKLED.iter().any(|ending| file.ends_with(ending)));
    if let Some(file) = pickled {
        return LoadError::PickledWeights { file: format!("{component}/{file}"), component, location };
    }
    let found = if files.is_empty() { "nothing".to_owned() } else { files.join(", ") };
    LoadError::NoWeights { component, location, found }
}

fn list(choices: &[Choice]) -> String {
    choices.iter().map(|choice| format!("`{}`", choice.file())).collect::<Vec<_>>().join(", ")
}
