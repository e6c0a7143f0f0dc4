//! Pixels to patches and back: the outermost layer of a VAE that works on patches.
use super::window::{frames, grid};
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::{Kernel, Variant};

static KERNEL: &Kernel = &shaders::FRAME_PATCHES;

impl Graph {
    /// `[T, H, W, C * patch * patch]` to `[T, H * patch, W * patch, C]`; the channel of a patch is
    /// (channel, offset along the width, offset along the height). `clamp` keeps the values to -1..=1.
    pub fn unpatchify_frames(&mut self, x: TensorId, patch: usize, clamp: bool) -> Result<TensorId, OpError> {
        self.push(FramePatches { patch, clamp, patchify: false }, &[x])
    }

    /// `[T, H, W, C]` to `[T, H / patch, W / patch, C * patch * patch]`: the inverse of
    /// [`Graph::unpatchify_frames`].
    pub fn patchify_frames(&mut self, x: TensorId, patch: usize) -> Result<TensorId, OpError> {
        self.push(FramePatches { patch, clamp: false, patchify: true }, &[x])
    }
}

#[derive(Debug)]
struct FramePatches {
    patch: usize,
    clamp: bool,
    patchify: bool,
}

params! { struct FramePatchesParams { count: u32, channels: u32, width: u32, size: u32 } }

impl FramePatches {
    /// The pixels' channels, and the patches' width.
    fn extents(&self, x: &TensorDesc) -> (usize, usize) {
        let (width, channels) = (x.shape[2], x.shape[3]);
        if self.patchify {
            (channels, width / self.patch)
        } else {
            (channels / (self.patch * self.patch), width)
        }
    }
}

impl Op for FramePatches {
    fn name(&self) -> &'static str {
        if self.patchify { "patchify_frames" } else { "unpatchify_frames" }
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let (op, p) = (self.name(), self.patch);
        let [t, h, w, c] = frames(op, "x", &inputs[0])?;
        OpError::expect_activation(op, "x", &inputs[0])?;
        if p == 0 {
            return Err(OpError::value(op, "patch", p, "at least 1"));
        }
        let multiple = |what: &'static str, extent: usize, of: usize| match extent.is_multiple_of(of) {
            true => Ok(()),
            false => Err(OpError::value(op, what, extent, format!("a multiple of {of}"))),
        };
        if self.patchify {
            multiple("x's height", h, p)?;
            multiple("x's width", w, p)?;
            return Ok(TensorDesc::new(&[t, h / p, w / p, c * p * p], inputs[0].dtype));
        }
        multiple("x's channels", c, p * p)?;
        Ok(TensorDesc::new(&[t, h * p, w * p, c / (p * p)], inputs[0].dtype))
    }

    fn in_place(&self) -> Option<usize> {
        (self.patch == 1).then_some(0)
    }

    fn flops(&self, _: &[TensorDesc], _: &TensorDesc) -> u64 {
        0
    }

    fn fused(&self, _: &[TensorDesc]) -> usize {
        usize::from(self.clamp)
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let x = &io.inputs[0];
        let (channels, width) = self.extents(x);
        let line = width * channels * self.patch * self.patch;
        let variant = Variant::new()
            .alias("X", elem(x))
            .constant("PATCHIFY", u32::from(self.patchify))
            .constant("CLAMP", u32::from(self.clamp))
            .constant("IN_PLACE", u32::from(io.aliased == Some(0)));
        // A line of patches has the same elements on both sides.
        let launch = |tile: std::ops::Range<usize>| {
            let count = tile.len() * line;
            let params = FramePatchesParams {
                count: clamp_u32(count),
                channels: clamp_u32(channels),
                width: clamp_u32(width),
                size: clamp_u32(self.patch),
            };
            Launch {
                kernel: KERNEL,
                variant: variant.clone(),
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![io.bind_input_rows(0, &tile, line), io.bind_output_rows(&tile, line)],
                grid: grid(target, count),
            }
        };
        let tiles = target.row_tiles(x.elements() / line.max(1), line * x.dtype.size());
        Ok(tiles.into_iter().map(launch).collect::<Vec<_>>().into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (x, p) = (io.input(0), self.patch);
        let (channels, width) = self.extents(io.desc(0));
        let line = width * channels * p * p;
        let clamp = |v: f32| if self.clamp { v.clamp(-1.0, 1.0) } else { v };
        io.output.par_chunks_mut(line).enumerate().for_each(|(index, out)| {
            if p == 1 {
                if !x.is_empty() {
                    out.copy_from_slice(&x[index * line..][..line]);
                }
                out.iter_mut().for_each(|v| *v = clamp(*v));
                return;
            }
            let x = &x[index * line..][..line];
            for token in 0..width {
                for c in 0..channels {
                    for (i, j) in (0..p).flat_map(|i| (0..p).map(move |j| (i, j))) {
                        let patches = ((token * channels + c) * p + i) * p + j;
                        let pixels = (j * width * p + token * p + i) * channels + c;
                        let (to, from) = if self.patchify { (patches, pixels) } else { (pixels, patches) };
                        out[to] = clamp(x[from]);
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;

    #[test]
    fn params_match_the_kernel() {
        let variant = Variant::new().alias("X", shaders::Elem::F32);
        let variant = variant.constant("PATCHIFY", 0).constant("CLAMP", 0).constant("IN_PLACE", 0);
        check_params::<FramePatchesParams>(KERNEL, &variant);
    }
}
