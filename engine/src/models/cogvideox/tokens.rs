//! Latents and text to tokens with their positions, and tokens back to latents.
use super::positions;
use crate::{
    graph::Graph,
    nn::Linear,
    op::OpError,
    ops::{MatmulOptions, PatchOptions, Unpatchify},
    tensor::{DType, TensorId},
    weight::Weight,
};
use model_loader::{Bytes, Checkpoint, HostTensor, LoadError, config::CogVideoXTransformerConfig};

/// The projections of text and patches, and what is added to their tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    text: Linear,
    patch: Weight,
    /// Of the image's channels in image-to-video models.
    condition: Option<Weight>,
    bias: Option<Weight>,
    learned: Option<Learned>,
}

/// A table of positions from the checkpoint: rows of the text, and of a video of the size trained on.
#[derive(Debug)]
struct Learned {
    text: Weight,
    video: Weight,
}

impl Tokens {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &CogVideoXTransformerConfig,
    ) -> Result<Self, LoadError> {
        let dim = config.inner_dim();
        let [frames, rows, columns] = config.patch();
        // Patches of one frame are a convolution over pictures, others a linear layer; the order of values is the same.
        let stored = match config.patch_size_t {
            None => vec![dim, config.in_channels, rows, columns],
            Some(_) => vec![dim, config.in_channels * frames * rows * columns],
        };
        let mut weight = checkpoint.tensor_shaped("patch_embed.proj.weight", &stored)?;
        weight.shape = vec![dim, config.in_channels, frames, rows, columns];
        let has_bias = config.patch_bias || config.patch_size_t.is_some();
        let bias = if has_bias {
            Some(Weight::vector(&checkpoint.tensor_shaped("patch_embed.proj.bias", &[dim])?))
        } else {
            None
        };
        let (patch, condition) = if config.condition_channels() > 0 {
            let channels = |from, to| Weight::matrix(input_channels(&weight, from, to));
            let latents = config.out_channels;
            (channels(0, latents), Some(channels(latents, config.in_channels)))
        } else {
            (Weight::matrix(weight), None)
        };
        let text = Linear::load(checkpoint, "patch_embed.text_proj", &[dim, config.text_embed_dim])?;
        let learned = config.use_learned_positional_embeddings.then(|| Learned::load(checkpoint, config));
        Ok(Self { text, patch, condition, bias, learned: learned.transpose()? })
    }

    /// The tokens of a text, f32 `[length, D]`.
    pub(super) fn text(&self, graph: &mut Graph, embeds: TensorId) -> Result<TensorId, OpError> {
        let residual = self.learned.as_ref().map(|learned| graph.weight(&learned.text));
        let options = MatmulOptions { residual, ..MatmulOptions::new(DType::F32) };
        self.text.forward_with(graph, embeds, options)
    }

    /// The tokens of latents and of the image's latents beside them, f32 `[tokens, D]`.
    pub(super) fn video(
        &self,
        graph: &mut Graph,
        config: &CogVideoXTransformerConfig,
        latents: TensorId,
        condition: Option<TensorId>,
        grid: [usize; 3],
    ) -> Result<TensorId, OpError> {
        let positions = self.positions(graph, config, grid)?;
        let bias = self.bias.as_ref().map(|bias| graph.weight(bias));
        let mut options = PatchOptions { patch: config.patch(), bias, residual: positions, out: DType::F32 };
        match (&self.condition, condition) {
            (Some(weight), Some(condition)) => {
                let weight = graph.weight(weight);
                let tokens = graph.patch_embedding(condition, weight, &options)?;
                options = PatchOptions { bias: None, residual: Some(tokens), ..options };
            }
            (None, None) => {}
            (weight, _) => {
                let expected = if weight.is_some() { "given, for the model wants it" } else { "absent" };
                return Err(OpError::value("transformer", "the image condition", condition, expected));
            }
        }
        let weight = graph.weight(&self.patch);
        graph.patch_embedding(latents, weight, &options)
    }

    /// What is added to the tokens of the video.
    fn positions(
        &self,
        graph: &mut Graph,
        config: &CogVideoXTransformerConfig,
        grid: [usize; 3],
    ) -> Result<Option<TensorId>, OpError> {
        let (tokens, dim) = (grid.iter().product::<usize>(), config.inner_dim());
        if let Some(learned) = &self.learned {
            let trained = trained_grid(config);
            if grid[1..] != trained[1..] {
                let expected = format!("{:?}, the size that the positions were learned for", &trained[1..]);
                return Err(OpError::value(
                    "transformer",
                    "rows and columns of tokens",
                    &grid[1..],
                    expected,
                ));
            }
            // The reference falls back to sines for videos of another length.
            if grid[0] == trained[0] {
                return Ok(Some(graph.weight(&learned.video)));
            }
        } else if config.use_rotary_positional_embeddings {
            return Ok(None);
        }
        let table = Weight::from_f32("positions", &[tokens, dim], positions::sines(config, grid));
        Ok(Some(graph.weight(&table)))
    }
}

/// Tokens of a video of the size trained on.
fn trained_grid(config: &CogVideoXTransformerConfig) -> [usize; 3] {
    let frames = (config.sample_frames - 1) / config.temporal_compression_ratio + 1;
    [frames, config.sample_height / config.patch_size, config.sample_width / config.patch_size]
}

impl Learned {
    fn load(checkpoint: &Checkpoint, config: &CogVideoXTransformerConfig) -> Result<Self, LoadError> {
        let (text, dim) = (config.max_text_seq_length, config.inner_dim());
        let video: usize = trained_grid(config).iter().product();
        let table = checkpoint.tensor_shaped("patch_embed.pos_embedding", &[1, text + video, dim])?;
        let mut rows = table.to_f32();
        let behind = rows.split_off(text * dim);
        Ok(Self {
            text: Weight::from_f32("learned positions of the text", &[text, dim], rows),
            video: Weight::from_f32("learned positions of the video", &[video, dim], behind),
        })
    }
}

/// Input channels `from..to` of a kernel `[out, in, taps..]`.
fn input_channels(weight: &HostTensor, from: usize, to: usize) -> HostTensor {
    let weight = weight.in_elements();
    let taps: usize = weight.shape[2..].iter().product::<usize>() * weight.format.group_bytes();
    let row = weight.shape[1] * taps;
    let bytes: Vec<u8> =
        weight.bytes.chunks_exact(row).flat_map(|row| &row[from * taps..to * taps]).copied().collect();
    let mut shape = weight.shape.clone();
    shape[1] = to - from;
    let name = format!("{} of channels {from}..{to}", weight.name);
    HostTensor::new(name, weight.format, &shape, Bytes::from(bytes))
}

/// The last projection: its rows have channels first, which become the last as un-patchifying wants them.
#[derive(Debug)]
pub(super) struct Projection {
    weight: Weight,
    bias: Weight,
    channels: usize,
}

impl Projection {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &CogVideoXTransformerConfig,
    ) -> Result<Self, LoadError> {
        let (dim, channels) = (config.inner_dim(), config.out_channels);
        let taps: usize = config.patch().iter().product();
        let weight = checkpoint.tensor_shaped("proj_out.weight", &[channels * taps, dim])?;
        let bias = checkpoint.tensor_shaped("proj_out.bias", &[channels * taps])?;
        Ok(Self {
            weight: Weight::matrix(channels_last_rows(&weight, taps)),
            bias: Weight::vector(&channels_last_rows(&bias, taps)),
            channels,
        })
    }

    /// Tokens to latents `[C, F, H, W]` f32.
    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        tokens: TensorId,
        grid: [usize; 3],
        patch: [usize; 3],
    ) -> Result<TensorId, OpError> {
        let (weight, bias) = (graph.weight(&self.weight), graph.weight(&self.bias));
        graph.matmul_unpatchify(
            tokens,
            weight,
            Some(bias),
            Unpatchify { grid, patch, channels: self.channels },
        )
    }
}

/// Rows (channel, tap) in the order (tap, channel).
fn channels_last_rows(tensor: &HostTensor, taps: usize) -> HostTensor {
    let tensor = tensor.in_elements();
    let rows = tensor.shape[0];
    let (row, channels) = (tensor.bytes.len() / rows, rows / taps);
    let order = (0..rows).map(|place| place % channels * taps + place / channels);
    let bytes: Vec<u8> = order.flat_map(|from| &tensor.bytes[from * row..][..row]).copied().collect();
    HostTensor { bytes: Bytes::from(bytes), ..tensor }
}
