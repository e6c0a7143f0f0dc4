//! LoRAs: files of changes to a model's weights, in the grammars of the programs that train them.

mod keys;
mod naming;
mod peft;

use std::collections::BTreeMap;

use crate::{Change, Checkpoint, HostTensor, LoadError, LowRank, Result, contents};
use keys::{Key, Piece};
use naming::Naming;
use peft::Settings;

/// What a LoRA changed, and what of it was not used.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Tensors that were changed.
    pub(crate) changed: usize,
    /// Keys of modules that read pictures, which this model has not.
    pub(crate) of_pictures: usize,
    /// Other keys that fit nothing.
    pub(crate) unused: Vec<String>,
}

/// The tensors of one module.
#[derive(Default)]
struct Module {
    pieces: BTreeMap<Piece, String>,
}

/// Lays a LoRA at a weight over the weights of a transformer, whose names are those of diffusers.
///
/// # Errors
/// When nothing of it fits, a module is not whole, its extents are others, or it is of a kind that cannot be added.
pub(crate) fn apply(base: &mut Checkpoint, lora: &Checkpoint, weight: f32) -> Result<Applied> {
    if !contents::is_lora(lora) {
        return Err(LoadError::NotALora { file: lora.file().to_owned(), contents: contents::describe(lora) });
    }
    let naming = Naming::of(base, lora);
    let settings = Settings::of(lora)?;
    let mut applied = Applied::default();
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    for name in lora.names() {
        let Some(key) = Key::parse(name) else {
            applied.unused.push(name.to_owned());
            continue;
        };
        if key.piece == Piece::Refused {
            return Err(LoadError::UnsupportedLora { file: lora.file().to_owned(), key: name.to_owned() });
        }
        match naming.module(base, key.module) {
            Some(module) => {
                modules.entry(module).or_default().pieces.insert(key.piece, name.to_owned());
            }
            None if naming::is_of_pictures(name) => applied.of_pictures += 1,
            None => applied.unused.push(name.to_owned()),
        }
    }
    if modules.is_empty() {
        let keys = lora.names().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let (file, base) = (lora.file().to_owned(), base.file().to_owned());
        return Err(LoadError::LoraMatchesNothing { file, base, keys });
    }
    for (name, module) in &modules {
        let changes = module.changes(lora, base, name, &settings, weight)?;
        for (tensor, change) in changes {
            applied.changed += 1;
            if weight != 0.0 {
                base.change(&tensor, change);
            }
        }
    }
    Ok(applied)
}

impl Module {
    /// The changes that it says, each with the tensor that it is of; all are checked.
    fn changes(
        &self,
        lora: &Checkpoint,
        base: &Checkpoint,
        module: &str,
        settings: &Settings,
        weight: f32,
    ) -> Result<Vec<(String, Change)>> {
        let bad = |reason: String| LoadError::BadLora {
            file: lora.file().to_owned(),
            module: module.to_owned(),
            reason,
        };
        let piece = |piece: Piece| self.pieces.get(&piece).map(|name| finite(lora, name)).transpose();
        let mut changes = Vec::new();
        match (piece(Piece::Up)?, piece(Piece::Down)?) {
            (Some(up), Some(down)) => {
                let (target, shape) =
                    weight_of(base, module).ok_or_else(|| bad("the model has no weight there".to_owned()))?;
                let alpha = piece(Piece::Alpha)?.and_then(|alpha| alpha.to_f32().first().copied());
                let change = low_rank(up, down, shape).map_err(bad)?;
                let scale = settings.scale(module, alpha, change.rank());
                changes.push((target, Change::LowRank(LowRank { factor: weight * scale, ..change })));
            }
            (None, None) => {}
            (up, _) => {
                let (there, absent) = if up.is_some() { ("up", "down") } else { ("down", "up") };
                return Err(bad(format!(
                    "it has the matrix that leads {there}, and none that leads {absent}"
                )));
            }
        }
        let fulls = [
            (Piece::Diff, weight_of(base, module)),
            (Piece::DiffBias, shape_of(base, format!("{module}.bias"))),
            (Piece::DiffModulation, shape_of(base, format!("{module}.scale_shift_table"))),
        ];
        for (kind, target) in fulls {
            let Some(values) = piece(kind)? else { continue };
            let Some((target, shape)) = target else {
                return Err(bad(format!("`{}` changes a tensor that the model has not", values.name)));
            };
            if values.elements() != shape.iter().product::<usize>() {
                return Err(bad(format!("`{}` is {:?}, expected {shape:?}", values.name, values.shape)));
            }
            changes.push((target, Change::Full { values, factor: weight }));
        }
        Ok(changes)
    }
}

/// A pair of matrices, checked against the tensor that their product is added to.
fn low_rank(up: HostTensor, down: HostTensor, shape: &[usize]) -> std::result::Result<LowRank, String> {
    let (rows, columns) = (shape.first().copied().unwrap_or(1), shape.iter().skip(1).product::<usize>());
    let (ranks, outer) = (
        [up.row_len(), down.shape.first().copied().unwrap_or(0)],
        [up.shape.first().copied().unwrap_or(0), down.row_len()],
    );
    if ranks[0] != ranks[1] || ranks[0] == 0 {
        return Err(format!(
            "the matrices `{}` {:?} and `{}` {:?} are of the ranks {} and {}, expected the same",
            up.name, up.shape, down.name, down.shape, ranks[0], ranks[1]
        ));
    }
    if outer != [rows, columns] {
        return Err(format!(
            "the product of `{}` {:?} and `{}` {:?} is [{}, {}], expected [{rows}, {columns}], the weight's: the LoRA is of another model",
            up.name, up.shape, down.name, down.shape, outer[0], outer[1]
        ));
    }
    Ok(LowRank {
        up: HostTensor { shape: vec![rows, ranks[0]], ..up },
        down: HostTensor { shape: vec![ranks[0], columns], ..down },
        factor: 1.0,
    })
}

/// The tensor that a module's `.diff` and matrices change: its weight, or a parameter that is the module itself.
fn weight_of<'a>(base: &'a Checkpoint, module: &str) -> Option<(String, &'a [usize])> {
    shape_of(base, format!("{module}.weight")).or_else(|| shape_of(base, module.to_owned()))
}

fn shape_of(base: &Checkpoint, name: String) -> Option<(String, &[usize])> {
    base.shape(&name).map(|shape| (name, shape))
}

/// A tensor of the LoRA, all of whose values are numbers.
fn finite(lora: &Checkpoint, name: &str) -> Result<HostTensor> {
    let tensor = lora.tensor(name)?;
    match tensor.to_f32().iter().find(|value| !value.is_finite()) {
        None => Ok(tensor),
        Some(value) => Err(LoadError::BadTensor {
            file: lora.file().to_owned(),
            tensor: name.to_owned(),
            reason: format!("it holds {value}, expected finite numbers"),
        }),
    }
}
