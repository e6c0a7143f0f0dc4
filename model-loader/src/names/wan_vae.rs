//! Wan's own names of the autoencoder's modules: flat lists in 2.1, lists of lists in 2.2.

use super::{Table, look_up, split_index};

/// Of both halves.
const ENDS: Table = &[("conv1", "conv_in"), ("head.0", "norm_out"), ("head.2", "conv_out")];

const RESIDUAL: Table = &[
    ("residual.0", "norm1"),
    ("residual.2", "conv1"),
    ("residual.3", "norm2"),
    ("residual.6", "conv2"),
    ("shortcut", "conv_shortcut"),
];

/// How the lists of levels are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lists {
    /// Whether each level has a list of its own (2.2).
    pub(crate) nested: bool,
    /// Residual blocks of a level of the encoder; the decoder has one more.
    pub(crate) resnets: usize,
}

impl Lists {
    /// Reads them off the names of a file: the first level of the decoder ends with an upsampler, after one residual block more than
    /// in the encoder.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let paths = names
            .filter_map(|name| name.strip_prefix("decoder.upsamples.")?.strip_suffix(".resample.1.weight"));
        let places = paths.filter_map(|path| {
            let nested = path.split_once(".upsamples.").map(|(_, inner)| inner);
            let place = nested.unwrap_or(path).parse::<usize>().ok()?;
            Some(Self { nested: nested.is_some(), resnets: place.checked_sub(1)? })
        });
        places.min_by_key(|lists| lists.resnets)
    }

    /// The name of diffusers for a tensor of this original name.
    pub(crate) fn to_diffusers(self, name: &str) -> Option<String> {
        let (side, path) = name.split_once('.')?;
        match side {
            "conv1" => return Some(format!("quant_conv.{path}")),
            "conv2" => return Some(format!("post_quant_conv.{path}")),
            "encoder" | "decoder" => {}
            _ => return None,
        }
        let inner = self.inside(side, path)?;
        Some(format!("{side}.{inner}"))
    }

    fn inside(self, side: &str, path: &str) -> Option<String> {
        if let Some(path) = path.strip_prefix("middle.") {
            return match split_index(path)? {
                (1, rest) => Some(format!("mid_block.attentions.0.{rest}")),
                (index @ (0 | 2), rest) => {
                    Some(format!("mid_block.resnets.{}.{}", index / 2, residual(rest)?))
                }
                _ => None,
            };
        }
        if let Some(path) = path.strip_prefix("downsamples.").filter(|_| side == "encoder") {
            let (index, rest) = split_index(path)?;
            return self.down(index, rest);
        }
        if let Some(path) = path.strip_prefix("upsamples.").filter(|_| side == "decoder") {
            let (index, rest) = split_index(path)?;
            return self.up(index, rest);
        }
        let (module, leaf) = path.rsplit_once('.')?;
        Some(format!("{}.{leaf}", look_up(ENDS, module)?))
    }

    fn down(self, index: usize, rest: &str) -> Option<String> {
        if !self.nested {
            return Some(format!("down_blocks.{index}.{}", residual(rest)?));
        }
        let (inner, rest) = split_index(rest.strip_prefix("downsamples.")?)?;
        if inner == self.resnets {
            return Some(format!("down_blocks.{index}.downsampler.{rest}"));
        }
        Some(format!("down_blocks.{index}.resnets.{inner}.{}", residual(rest)?))
    }

    fn up(self, index: usize, rest: &str) -> Option<String> {
        if !self.nested {
            let (level, place) = (index / (self.resnets + 2), index % (self.resnets + 2));
            if place == self.resnets + 1 {
                return Some(format!("up_blocks.{level}.upsamplers.0.{rest}"));
            }
            return Some(format!("up_blocks.{level}.resnets.{place}.{}", residual(rest)?));
        }
        let (inner, rest) = split_index(rest.strip_prefix("upsamples.")?)?;
        if inner == self.resnets + 1 {
            return Some(format!("up_blocks.{index}.upsampler.{rest}"));
        }
        Some(format!("up_blocks.{index}.resnets.{inner}.{}", residual(rest)?))
    }
}

/// The parts of a residual block; those of a resampler keep their names.
fn residual(path: &str) -> Option<String> {
    if path.starts_with("resample.") || path.starts_with("time_conv.") {
        return Some(path.to_owned());
    }
    let (module, leaf) = path.rsplit_once('.')?;
    Some(format!("{}.{leaf}", look_up(RESIDUAL, module)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_lists_are_cut_by_the_number_of_residual_blocks() {
        let names = ["decoder.upsamples.3.resample.1.weight", "decoder.upsamples.7.resample.1.weight"];
        let lists = Lists::of(names.into_iter()).unwrap();
        assert_eq!(lists, Lists { nested: false, resnets: 2 });
        for (theirs, ours) in [
            ("decoder.upsamples.3.resample.1.weight", "decoder.up_blocks.0.upsamplers.0.resample.1.weight"),
            ("decoder.upsamples.4.residual.6.bias", "decoder.up_blocks.1.resnets.0.conv2.bias"),
            ("decoder.upsamples.14.residual.0.gamma", "decoder.up_blocks.3.resnets.2.norm1.gamma"),
            ("encoder.downsamples.2.time_conv.weight", "encoder.down_blocks.2.time_conv.weight"),
            ("decoder.middle.2.shortcut.weight", "decoder.mid_block.resnets.1.conv_shortcut.weight"),
            ("encoder.middle.1.to_qkv.weight", "encoder.mid_block.attentions.0.to_qkv.weight"),
            ("encoder.head.2.weight", "encoder.conv_out.weight"),
            ("conv2.bias", "post_quant_conv.bias"),
        ] {
            assert_eq!(lists.to_diffusers(theirs).as_deref(), Some(ours));
        }
        assert_eq!(lists.to_diffusers("decoder.middle.7.residual.0.gamma"), None);
    }

    #[test]
    fn nested_lists_keep_their_levels() {
        let lists = Lists::of(["decoder.upsamples.0.upsamples.3.resample.1.weight"].into_iter()).unwrap();
        assert_eq!(lists, Lists { nested: true, resnets: 2 });
        for (theirs, ours) in [
            (
                "decoder.upsamples.1.upsamples.3.time_conv.bias",
                "decoder.up_blocks.1.upsampler.time_conv.bias",
            ),
            (
                "encoder.downsamples.2.downsamples.2.resample.1.weight",
                "encoder.down_blocks.2.downsampler.resample.1.weight",
            ),
            (
                "encoder.downsamples.2.downsamples.1.residual.2.weight",
                "encoder.down_blocks.2.resnets.1.conv1.weight",
            ),
        ] {
            assert_eq!(lists.to_diffusers(theirs).as_deref(), Some(ours));
        }
    }
}
