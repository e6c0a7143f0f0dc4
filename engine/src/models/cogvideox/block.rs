//! One transformer block: text and video in one sequence, each with a modulation of its own.
use crate::{
    graph::Graph,
    nn::{Linear, ModulationRows, Strip},
    op::OpError,
    ops::{
        Activation, AttentionInputs, HeadNormOptions, LayerNormOptions, MatmulOptions, RotatedRows, Split,
    },
    tensor::{DType, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, LoadError, config::CogVideoXTransformerConfig};

/// The weights of one block.
#[derive(Debug)]
pub(super) struct Block {
    attention_norm: AdaptiveNorm,
    qkv: Linear,
    /// Of queries, then of keys: weights and biases, `[2, head_dim]` each.
    head_norm: (Weight, Weight),
    out: Linear,
    feed_norm: AdaptiveNorm,
    up: Linear,
    down: Linear,
}

/// A layer norm whose modulation comes from the time embedding.
#[derive(Debug)]
pub(super) struct AdaptiveNorm {
    pub(super) linear: Linear,
    pub(super) affine: Option<(Weight, Weight)>,
}

/// The modulations of a block at one timestep, `[6, D]` each; all passes share them.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockModulation {
    attention: TensorId,
    feed: TensorId,
}

/// What all blocks of one evaluation share.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockInputs<'a> {
    /// The sizes.
    pub(super) config: &'a CogVideoXTransformerConfig,
    /// Of operands.
    pub(super) dtype: DType,
    /// Rows of text in front of those of video.
    pub(super) text_rows: usize,
    /// How queries and keys of the video are turned.
    pub(super) rope: Option<RotatedRows>,
    /// Rows that the feed-forward makes at a time; `None`: all.
    pub(super) strip: Option<usize>,
}

/// Rows of a modulation: these for the video, and [`TEXT`] further down for the text.
const SHIFT: usize = 0;
const SCALE: usize = 1;
const GATE: usize = 2;
const TEXT: usize = 3;

/// Of the norms of queries and keys.
const HEAD_EPS: f32 = 1e-6;

impl AdaptiveNorm {
    /// Loads `{name}.linear` of `rows` modulations and, where the config has it, `{name}.norm`.
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &CogVideoXTransformerConfig,
        name: &str,
        rows: usize,
    ) -> Result<Self, LoadError> {
        let shape = [rows * config.inner_dim(), config.time_embed_dim];
        let linear = Linear::load(checkpoint, &format!("{name}.linear"), &shape)?;
        Ok(Self { linear, affine: load_affine(checkpoint, config, &format!("{name}.norm"))? })
    }

    /// The rows of the modulation, from SiLU of the time embedding.
    pub(super) fn modulation(
        &self,
        graph: &mut Graph,
        time: TensorId,
        width: usize,
    ) -> Result<TensorId, OpError> {
        let rows = self.linear.forward(graph, time, DType::F32)?;
        let count = graph.desc(rows).elements() / width;
        graph.reshape(rows, &[count, width])
    }
}

/// Weight and bias of a layer norm over the whole width, where the config has them.
pub(super) fn load_affine(
    checkpoint: &Checkpoint,
    config: &CogVideoXTransformerConfig,
    name: &str,
) -> Result<Option<(Weight, Weight)>, LoadError> {
    if !config.norm_elementwise_affine {
        return Ok(None);
    }
    let vector = |suffix: &str| {
        checkpoint
            .tensor_shaped(&format!("{name}.{suffix}"), &[config.inner_dim()])
            .map(|t| Weight::vector(&t))
    };
    Ok(Some((vector("weight")?, vector("bias")?)))
}

impl Block {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &CogVideoXTransformerConfig,
        index: usize,
    ) -> Result<Self, LoadError> {
        let (dim, head) = (config.inner_dim(), config.attention_head_dim);
        let name = format!("transformer_blocks.{index}");
        let linear =
            |suffix: &str, shape: [usize; 2]| Linear::load(checkpoint, &format!("{name}.{suffix}"), &shape);
        let qkv = ["to_q", "to_k", "to_v"].map(|n| format!("{name}.attn1.{n}"));
        let head_norm = |suffix: &str| {
            let mut rows = Vec::with_capacity(2 * head);
            for norm in ["norm_q", "norm_k"] {
                let row = checkpoint.tensor_shaped(&format!("{name}.attn1.{norm}.{suffix}"), &[head])?;
                rows.extend(row.to_f32());
            }
            Ok::<_, LoadError>(Weight::from_f32(&format!("{name}.attn1.norm_qk.{suffix}"), &[2, head], rows))
        };
        Ok(Self {
            attention_norm: AdaptiveNorm::load(checkpoint, config, &format!("{name}.norm1"), 6)?,
            qkv: Linear::load_stacked(checkpoint, &qkv, &[dim, dim], config.attention_bias)?,
            head_norm: (head_norm("weight")?, head_norm("bias")?),
            out: linear("attn1.to_out.0", [dim, dim])?,
            feed_norm: AdaptiveNorm::load(checkpoint, config, &format!("{name}.norm2"), 6)?,
            up: linear("ff.net.0.proj", [4 * dim, dim])?,
            down: linear("ff.net.2", [dim, 4 * dim])?,
        })
    }

    /// What the time embedding (after SiLU) makes of the two norms.
    pub(super) fn modulation(
        &self,
        graph: &mut Graph,
        config: &CogVideoXTransformerConfig,
        time: TensorId,
    ) -> Result<BlockModulation, OpError> {
        Ok(BlockModulation {
            attention: self.attention_norm.modulation(graph, time, config.inner_dim())?,
            feed: self.feed_norm.modulation(graph, time, config.inner_dim())?,
        })
    }

    /// x + gate * attention(norm(x)), then + gate * feed-forward(norm(x)); x is f32 `[text and video, D]`.
    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
        modulation: BlockModulation,
        x: TensorId,
    ) -> Result<TensorId, OpError> {
        let BlockInputs { config, dtype, .. } = *inputs;
        let (heads, dim) = (config.num_attention_heads, config.inner_dim());

        let norm = self.attention_norm.options(graph, inputs, modulation.attention);
        let normed = graph.layer_norm(x, &norm)?;
        let qkv = self.qkv.forward(graph, normed, dtype)?;
        let (weight, bias) = (graph.weight(&self.head_norm.0), graph.weight(&self.head_norm.1));
        let options =
            HeadNormOptions { first_column: 0, heads, eps: HEAD_EPS, rope: inputs.rope, out: dtype };
        let qk = graph.head_norm(qkv, weight, bias, &options)?;
        let attended = graph.attention(&AttentionInputs::new(
            [(qk, 0), (qk, dim), (qkv, 2 * dim)],
            heads,
            config.attention_head_dim,
            dtype,
        ))?;
        let mut x =
            self.out.forward_with(graph, attended, inputs.rows(modulation.attention).gated(GATE, x))?;

        let norm = self.feed_norm.options(graph, inputs, modulation.feed);
        let gelu = MatmulOptions { activation: Activation::GeluTanh, ..MatmulOptions::new(dtype) };
        for strip in Strip::all(graph.desc(x).rows(), inputs.strip) {
            let normed = graph.layer_norm(x, &strip.norm(norm))?;
            let hidden = self.up.forward_with(graph, normed, gelu)?;
            let options = strip.product(inputs.rows(modulation.feed).gated(GATE, x));
            x = self.down.forward_with(graph, hidden, options)?;
        }
        Ok(x)
    }
}

impl AdaptiveNorm {
    /// The norm of both streams, each with its rows of the modulation.
    fn options(&self, graph: &mut Graph, inputs: &BlockInputs<'_>, table: TensorId) -> LayerNormOptions {
        let affine = self.affine.as_ref().map(|(weight, bias)| (graph.weight(weight), graph.weight(bias)));
        let modulation = Some(inputs.rows(table).modulation(SHIFT, SCALE));
        let plain = LayerNormOptions::new(inputs.config.norm_eps, inputs.dtype);
        LayerNormOptions { affine, modulation, ..plain }
    }
}

impl BlockInputs<'_> {
    fn rows(&self, table: TensorId) -> ModulationRows {
        let split = Some(Split { rows: self.text_rows, offset: TEXT });
        ModulationRows { table, first: 0, split }
    }
}
