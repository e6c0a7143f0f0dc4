//! One transformer block: modulated self-attention, text cross-attention, modulated feed-forward.
use crate::{
    graph::{Graph, State},
    models::TextContext,
    nn::Linear,
    op::OpError,
    ops::{
        Activation, AttentionInputs, Gate, LayerNormOptions, MatmulOptions, Modulation, RmsNormOptions, Rope,
    },
    tensor::{DType, TensorDesc, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, LoadError, config::WanTransformerConfig};

/// The weights of one block.
#[derive(Debug)]
pub(super) struct Block {
    name: String,
    table: Weight,
    self_qkv: Linear,
    self_norm_q: Weight,
    self_norm_k: Weight,
    self_out: Linear,
    cross_norm: Option<(Weight, Weight)>,
    cross_q: Linear,
    cross_k: Linear,
    cross_v: Linear,
    cross_norm_q: Weight,
    cross_norm_k: Weight,
    cross_out: Linear,
    up: Linear,
    down: Linear,
}

/// What all blocks of one pass share.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockInputs<'a> {
    /// The sizes.
    pub(super) config: &'a WanTransformerConfig,
    /// Of operands.
    pub(super) dtype: DType,
    /// `[6 * D]` from the timestep.
    pub(super) time: TensorId,
    /// Cosines, `[tokens, head_dim / 2]`.
    pub(super) cos: TensorId,
    /// Sines.
    pub(super) sin: TensorId,
}

/// The text as one block's cross-attention sees it; the same at every step.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockContext<'a> {
    keys: &'a State,
    values: &'a State,
}

impl<'a> BlockContext<'a> {
    /// The part of block `index`.
    pub(super) fn of(context: &'a TextContext, index: usize) -> Self {
        Self { keys: &context.states[2 * index], values: &context.states[2 * index + 1] }
    }
}

/// Rows of the modulation table.
const SELF_SHIFT: usize = 0;
const SELF_SCALE: usize = 1;
const SELF_GATE: usize = 2;
const FEED_SHIFT: usize = 3;
const FEED_SCALE: usize = 4;
const FEED_GATE: usize = 5;

impl Block {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &WanTransformerConfig,
        index: usize,
    ) -> Result<Self, LoadError> {
        let dim = config.num_attention_heads * config.attention_head_dim;
        let name = format!("blocks.{index}");
        let vector = |suffix: &str, shape: &[usize]| {
            checkpoint.tensor_shaped(&format!("{name}.{suffix}"), shape).map(|t| Weight::vector(&t))
        };
        let table = checkpoint.tensor_shaped(&format!("{name}.scale_shift_table"), &[1, 6, dim])?;
        let square = |suffix: &str| Linear::load(checkpoint, &format!("{name}.{suffix}"), &[dim, dim]);
        let qkv: Vec<String> = ["to_q", "to_k", "to_v"].iter().map(|n| format!("{name}.attn1.{n}")).collect();
        let cross_norm = if config.cross_attn_norm {
            Some((vector("norm2.weight", &[dim])?, vector("norm2.bias", &[dim])?))
        } else {
            None
        };
        let feed = |suffix: &str, shape: [usize; 2]| {
            Linear::load(checkpoint, &format!("{name}.ffn.net.{suffix}"), &shape)
        };
        Ok(Self {
            table: Weight::from_f32(&table.name, &[6, dim], table.to_f32()),
            self_qkv: Linear::load_stacked(checkpoint, &qkv, &[dim, dim], true)?,
            self_norm_q: vector("attn1.norm_q.weight", &[dim])?,
            self_norm_k: vector("attn1.norm_k.weight", &[dim])?,
            self_out: square("attn1.to_out.0")?,
            cross_norm,
            cross_q: square("attn2.to_q")?,
            cross_k: square("attn2.to_k")?,
            cross_v: square("attn2.to_v")?,
            cross_norm_q: vector("attn2.norm_q.weight", &[dim])?,
            cross_norm_k: vector("attn2.norm_k.weight", &[dim])?,
            cross_out: square("attn2.to_out.0")?,
            up: feed("0.proj", [config.ffn_dim, dim])?,
            down: feed("2", [dim, config.ffn_dim])?,
            name,
        })
    }

    /// Keys and values of the text, computed once per prompt; see [`BlockContext::of`].
    pub(super) fn context(
        &self,
        graph: &mut Graph,
        config: &WanTransformerConfig,
        text: TensorId,
        dtype: DType,
    ) -> Result<[State; 2], OpError> {
        let shape = graph.desc(text).shape.clone();
        let state = |what: &str| State::new(format!("{}.{what}", self.name), TensorDesc::new(&shape, dtype));
        let states = [state("keys"), state("values")];
        let keys = self.cross_k.forward(graph, text, dtype)?;
        let norm = graph.weight(&self.cross_norm_k);
        let keys = graph.rms_norm(
            keys,
            norm,
            &RmsNormOptions { first_column: 0, eps: config.eps, rope: None, out: dtype },
        )?;
        graph.store(keys, &states[0])?;
        let values = self.cross_v.forward(graph, text, dtype)?;
        graph.store(values, &states[1])?;
        Ok(states)
    }

    /// The six rows of modulation at this timestep, f32 `[6, D]`.
    pub(super) fn modulation(
        &self,
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
    ) -> Result<TensorId, OpError> {
        let table = graph.weight(&self.table);
        graph.modulation(table, inputs.time)
    }

    /// x + gate * self-attention(norm(x)). Does not see the text: both guidance passes share that of block 0.
    pub(super) fn attend_self(
        &self,
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
        modulation: TensorId,
        x: TensorId,
        tap: Option<&str>,
    ) -> Result<TensorId, OpError> {
        let BlockInputs { config, dtype, .. } = *inputs;
        let (heads, head_dim) = (config.num_attention_heads, config.attention_head_dim);
        let dim = heads * head_dim;
        let rows = Modulation { table: modulation, shift: SELF_SHIFT, scale: SELF_SCALE, split: None };
        let normed = graph.layer_norm(x, &norm_options(config, Some(rows), None, dtype))?;
        let qkv = self.self_qkv.forward(graph, normed, dtype)?;
        let rope = Some(Rope { cos: inputs.cos, sin: inputs.sin, head_dim });
        let options = RmsNormOptions { first_column: 0, eps: config.eps, rope, out: dtype };
        let (norm_q, norm_k) = (graph.weight(&self.self_norm_q), graph.weight(&self.self_norm_k));
        let q = graph.rms_norm(qkv, norm_q, &options)?;
        let k = graph.rms_norm(qkv, norm_k, &RmsNormOptions { first_column: dim, ..options })?;
        let attended = graph.attention(&AttentionInputs {
            q: (q, 0),
            k: (k, 0),
            v: (qkv, 2 * dim),
            heads,
            head_dim,
            scale: scale(head_dim),
            bias: None,
            frames: 1,
            out: dtype,
        })?;
        if let Some(tap) = tap.filter(|_| graph.keeps_taps()) {
            let plain = self.self_out.forward(graph, attended, DType::F32)?;
            graph.tap(tap, plain);
        }
        let gate = Some(Gate { table: modulation, row: SELF_GATE, split: None });
        let options = MatmulOptions { residual: Some(x), gate, ..MatmulOptions::new(DType::F32) };
        self.self_out.forward_with(graph, attended, options)
    }

    /// x + cross-attention(norm(x), text), then + gate * feed-forward(norm(x)).
    pub(super) fn attend_text_and_feed(
        &self,
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
        context: BlockContext<'_>,
        modulation: TensorId,
        x: TensorId,
        tap: Option<&str>,
    ) -> Result<TensorId, OpError> {
        let BlockInputs { config, dtype, .. } = *inputs;
        let (heads, head_dim) = (config.num_attention_heads, config.attention_head_dim);
        let affine = self.cross_norm.as_ref().map(|(w, b)| (graph.weight(w), graph.weight(b)));
        let normed = match affine {
            Some(affine) => graph.layer_norm(x, &norm_options(config, None, Some(affine), dtype))?,
            None => x,
        };
        let q = self.cross_q.forward(graph, normed, dtype)?;
        let norm_q = graph.weight(&self.cross_norm_q);
        let q = graph.rms_norm(
            q,
            norm_q,
            &RmsNormOptions { first_column: 0, eps: config.eps, rope: None, out: dtype },
        )?;
        let (keys, values) = (graph.state(context.keys), graph.state(context.values));
        let attended = graph.attention(&AttentionInputs {
            q: (q, 0),
            k: (keys, 0),
            v: (values, 0),
            heads,
            head_dim,
            scale: scale(head_dim),
            bias: None,
            frames: 1,
            out: dtype,
        })?;
        if let Some(tap) = tap.filter(|_| graph.keeps_taps()) {
            let plain = self.cross_out.forward(graph, attended, DType::F32)?;
            graph.tap(tap, plain);
        }
        let options = MatmulOptions { residual: Some(x), ..MatmulOptions::new(DType::F32) };
        let x = self.cross_out.forward_with(graph, attended, options)?;

        let rows = Modulation { table: modulation, shift: FEED_SHIFT, scale: FEED_SCALE, split: None };
        let normed = graph.layer_norm(x, &norm_options(config, Some(rows), None, dtype))?;
        let gelu = MatmulOptions { activation: Activation::GeluTanh, ..MatmulOptions::new(dtype) };
        let hidden = self.up.forward_with(graph, normed, gelu)?;
        let gate = Some(Gate { table: modulation, row: FEED_GATE, split: None });
        let options = MatmulOptions { residual: Some(x), gate, ..MatmulOptions::new(DType::F32) };
        self.down.forward_with(graph, hidden, options)
    }
}

pub(super) fn norm_options(
    config: &WanTransformerConfig,
    modulation: Option<Modulation>,
    affine: Option<(TensorId, TensorId)>,
    out: DType,
) -> LayerNormOptions {
    LayerNormOptions { first_row: 0, eps: config.eps, affine, modulation, out }
}

#[expect(clippy::cast_precision_loss, reason = "a head size is small")]
fn scale(head_dim: usize) -> f32 {
    1.0 / (head_dim as f32).sqrt()
}
