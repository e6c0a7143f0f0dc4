//! Which files of a component are its weights, by the names that diffusers and transformers give them.
//!
//! `S` is a stem, `V` a variant such as `fp16`:
//!
//! | what | names |
//! | --- | --- |
//! | one file | `S.safetensors`, `S.V.safetensors` |
//! | a shard | `S-00001-of-00002.safetensors`, `S.V-00001-of-00002.safetensors`, older `S-00001-of-00002.V.safetensors` |
//! | the index | `S.safetensors.index.json`, `S.safetensors.index.V.json`, older `S.safetensors.V.index.json` |

use std::collections::BTreeMap;

/// The stems of diffusers and of transformers.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];
/// Which variant is taken where neither the one asked for nor plain weights are there.
const VARIANTS: [&str; 3] = ["fp16", "bf16", "fp32"];

/// The files that hold a component's weights once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    Single(String),
    /// An index, which names its shards.
    Index(String),
    /// All shards, without an index.
    Shards(Vec<String>),
    /// Some shards, without an index; the name of one that is absent.
    Cut(String),
}

/// The files of one stem and variant.
#[derive(Default)]
struct Set {
    single: Option<String>,
    index: Option<String>,
    /// By how many shards there should be, then by number.
    shards: BTreeMap<usize, BTreeMap<usize, String>>,
}

/// The weights to take among the files of a component's folder: of the variant asked for, else plain ones, else others.
pub(crate) fn pick<'a>(files: impl Iterator<Item = &'a str>, variant: Option<&str>) -> Option<Weights> {
    let mut sets: BTreeMap<(String, Option<String>), Set> = BTreeMap::new();
    for name in files.filter_map(Name::parse) {
        let set = sets.entry((name.stem, name.variant)).or_default();
        match name.part {
            Part::Single => set.single = Some(name.file),
            Part::Index => set.index = Some(name.file),
            Part::Shard { number, count } => {
                set.shards.entry(count).or_default().insert(number, name.file);
            }
        }
    }
    let usual = |stem: &str| STEMS.iter().position(|known| *known == stem);
    if sets.keys().any(|(stem, _)| usual(stem).is_some()) {
        sets.retain(|(stem, _), _| usual(stem).is_some());
    } else if sets.len() > 1 {
        // Of unusual names only one set is clear enough.
        return None;
    }
    let mut sets: Vec<_> = sets.into_iter().collect();
    sets.sort_by_key(|((stem, of), set)| {
        let rank = match of.as_deref() {
            of if of.is_some() && of == variant => 0,
            None => 1,
            Some(of) => 2 + VARIANTS.iter().position(|known| *known == of).unwrap_or(VARIANTS.len()),
        };
        (set.is_bare(), rank, usual(stem))
    });
    let ((stem, _), set) = sets.into_iter().next()?;
    set.weights(stem == STEMS[0])
}

/// The variant of a file of weights.
pub(crate) fn variant(file: &str) -> Option<String> {
    Name::parse(file)?.variant
}

impl Set {
    /// Whether there is only an index: downloads and repositories often have those of all variants.
    fn is_bare(&self) -> bool {
        self.single.is_none() && self.shards.is_empty()
    }

    /// diffusers looks for an index first, transformers for a single file.
    fn weights(self, index_first: bool) -> Option<Weights> {
        let single = self.single.map(Weights::Single);
        let index = match self.index {
            Some(index) if single.is_none() || !self.shards.is_empty() => Some(Weights::Index(index)),
            _ => None,
        };
        let either = if index_first { index.or(single) } else { single.or(index) };
        either.or_else(|| {
            let mut loose: Vec<_> = self.shards.into_iter().collect();
            loose.sort_by_key(|(count, files)| files.len() < *count);
            let (count, files) = loose.into_iter().next()?;
            let absent = (1..=count).find(|number| !files.contains_key(number));
            Some(match (absent, files.values().next().and_then(|any| Marker::find(any))) {
                (Some(absent), Some(marker)) => Weights::Cut(marker.renumbered(absent)),
                _ => Weights::Shards(files.into_values().collect()),
            })
        })
    }
}

/// What a file's name says.
struct Name {
    file: String,
    stem: String,
    variant: Option<String>,
    part: Part,
}

enum Part {
    Single,
    Index,
    Shard { number: usize, count: usize },
}

impl Name {
    fn parse(file: &str) -> Option<Self> {
        if let Some(front) = file.strip_suffix(".json") {
            let mut words: Vec<&str> = front.split('.').collect();
            for word in ["safetensors", "index"] {
                words.remove(words.iter().position(|other| *other == word)?);
            }
            return Some(Self::new(file, &words.join("."), Part::Index));
        }
        let front = file.strip_suffix(".safetensors")?;
        Some(match Marker::find(front) {
            Some(Marker { before, number, count, after, .. }) => {
                Self::new(file, &format!("{before}{after}"), Part::Shard { number, count })
            }
            None => Self::new(file, front, Part::Single),
        })
    }

    fn new(file: &str, name: &str, part: Part) -> Self {
        let (stem, variant) = match name.split_once('.') {
            Some((stem, variant)) => (stem, Some(variant.to_owned())),
            None => (name, None),
        };
        Self { file: file.to_owned(), stem: stem.to_owned(), variant, part }
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

    fn renumbered(&self, number: usize) -> String {
        format!("{}-{number:0digits$}-of-{}", self.before, self.rest, digits = self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::{Weights, pick};

    fn of(files: &[&str], variant: Option<&str>) -> Option<Weights> {
        pick(files.iter().copied(), variant)
    }

    fn single(name: &str) -> Option<Weights> {
        Some(Weights::Single(name.to_owned()))
    }

    fn index(name: &str) -> Option<Weights> {
        Some(Weights::Index(name.to_owned()))
    }

    #[test]
    fn one_precision_is_taken() {
        let (plain, half) =
            ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors");
        assert_eq!(of(&[half, plain], None), single(plain));
        assert_eq!(of(&[half, plain], Some("fp16")), single(half));
        assert_eq!(of(&[plain], Some("fp16")), single(plain));
        assert_eq!(
            of(&["model.bf16.safetensors", "model.fp16.safetensors"], None),
            single("model.fp16.safetensors")
        );
        assert_eq!(of(&["model.bin", "config.json", "model.onnx"], None), None);
    }

    #[test]
    fn shards_come_by_their_index() {
        let shards = ["m-00001-of-00002", "m-00002-of-00002"]
            .map(|s| format!("{}.safetensors", s.replace('m', "model")));
        let names: Vec<&str> = shards.iter().map(String::as_str).collect();
        let with = |more: &[&'static str]| [&names[..], more].concat();
        let plain = "model.safetensors.index.json";
        assert_eq!(of(&with(&[plain]), None), index(plain));
        // transformers reads one file before an index, diffusers an index first.
        assert_eq!(of(&with(&[plain, "model.safetensors"]), None), single("model.safetensors"));
        let large = "diffusion_pytorch_model-00001-of-00001.safetensors";
        let (large_index, whole) =
            ("diffusion_pytorch_model.safetensors.index.json", "diffusion_pytorch_model.safetensors");
        assert_eq!(of(&[large, large_index, whole], None), index(large_index));
        assert_eq!(of(&[large_index, whole], None), single(whole));
        // An index of shards that are not there does not hide a whole variant.
        assert_eq!(of(&[plain, "model.fp16.safetensors"], None), single("model.fp16.safetensors"));
        assert_eq!(of(&names, None), Some(Weights::Shards(shards.to_vec())));
        assert_eq!(of(&names[1..], None), Some(Weights::Cut(shards[0].clone())));
    }

    #[test]
    fn variants_of_shards_have_two_forms() {
        for (shard, file) in [
            ("model.fp16-00001-of-00001.safetensors", "model.safetensors.index.fp16.json"),
            ("model-00001-of-00001.fp16.safetensors", "model.safetensors.fp16.index.json"),
        ] {
            assert_eq!(of(&[shard, file, "model.safetensors"], Some("fp16")), index(file));
            assert_eq!(of(&[shard, file, "model.safetensors"], None), single("model.safetensors"));
        }
    }
}
