//! The names that other programs give the tensors of a model, in terms of those of diffusers and transformers.

pub(crate) mod t5;
pub(crate) mod wan_transformer;
pub(crate) mod wan_vae;

/// A list of modules by both names: theirs, and that of diffusers.
type Table = &'static [(&'static str, &'static str)];

/// A tensor's module and what follows it: `.weight`, `.bias` or nothing.
fn split_leaf(name: &str) -> (&str, &str) {
    for leaf in [".weight", ".bias"] {
        if let Some(module) = name.strip_suffix(leaf) {
            return (module, leaf);
        }
    }
    (name, "")
}

/// `7.attn.q` as 7 and `attn.q`.
fn split_index(path: &str) -> Option<(usize, &str)> {
    let (index, rest) = path.split_once('.')?;
    // `007` is another text than `7`.
    let is_plain = index == "0" || !index.starts_with('0');
    Some((index.parse().ok().filter(|_| is_plain && index.len() < 6)?, rest))
}

fn look_up(table: Table, module: &str) -> Option<&'static str> {
    table.iter().find(|(theirs, _)| *theirs == module).map(|(_, ours)| *ours)
}
