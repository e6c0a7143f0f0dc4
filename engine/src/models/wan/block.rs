//! One transformer block: modulated self-attention, text cross-attention, modulated feed-forward.
use crate::{
    graph::{Graph, State},
    models::Context,
    nn::{Linear, ModulationRows, Strip},
    op::OpError,
    ops::{Activation, AttentionInputs, LayerNormOptions, MatmulOptions, RmsNormOptions, Rope},
    tensor::{DType, TensorDesc, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, HostTensor, LoadError, config::WanTransformerConfig};

/// The weights of one block.
#[derive(Debug)]
pub(super) struct Block {
    name: String,
    /// Its first row in the table of modulations.
    first_row: usize,
    self_qkv: Linear,
    /// Queries, keys and values each for itself, for attention in strips. Of these and `self_qkv` a graph takes one.
    self_parts: [Linear; 3],
    /// Of queries, then of keys: `[2, D]`.
    self_norm: Weight,
    /// The same, each for itself.
    self_norms: [Weight; 2],
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
    /// The rows of modulation of all blocks at this timestep, f32 `[6 * blocks, D]`.
    pub(super) modulation: TensorId,
    /// Guidance passes whose tokens lie one below the other.
    pub(super) passes: usize,
    /// Tokens that a product makes at a time; `None`: all.
    pub(super) strip: Option<usize>,
    /// Cosines, `[passes * tokens, head_dim / 2]`.
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
    pub(super) fn of(context: &'a Context, index: usize) -> Self {
        Self { keys: &context.states[2 * index], values: &context.states[2 * index + 1] }
    }
}

/// Rows of a block's modulations, and how many they are.
pub(super) const MODULATIONS: usize = 6;
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
        let square = |suffix: &str| Linear::load(checkpoint, &format!("{name}.{suffix}"), &[dim, dim]);
        let qkv: Vec<String> = ["to_q", "to_k", "to_v"].iter().map(|n| format!("{name}.attn1.{n}")).collect();
        let norm = |part: &str| checkpoint.tensor_shaped(&format!("{name}.attn1.{part}.weight"), &[dim]);
        let self_norms = [norm("norm_q")?, norm("norm_k")?];
        let norms = self_norms.iter().flat_map(HostTensor::to_f32).collect();
        let part = |index: usize| Linear::load(checkpoint, &qkv[index], &[dim, dim]);
        let cross_norm = if config.cross_attn_norm {
            Some((vector("norm2.weight", &[dim])?, vector("norm2.bias", &[dim])?))
        } else {
            None
        };
        let feed = |suffix: &str, shape: [usize; 2]| {
            Linear::load(checkpoint, &format!("{name}.ffn.net.{suffix}"), &shape)
        };
        Ok(Self {
            first_row: MODULATIONS * index,
            self_qkv: Linear::load_stacked(checkpoint, &qkv, &[dim, dim], true)?,
            self_parts: [part(0)?, part(1)?, part(2)?],
            self_norm: Weight::from_f32(&format!("{name}.attn1.norm_qk"), &[2, dim], norms),
            self_norms: self_norms.map(|norm| Weight::vector(&norm)),
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
        let keys = graph.rms_norm(keys, norm, &RmsNormOptions::new(config.eps, dtype))?;
        graph.store(keys, &states[0])?;
        let values = self.cross_v.forward(graph, text, dtype)?;
        graph.store(values, &states[1])?;
        Ok(states)
    }

    fn modulation(&self, inputs: &BlockInputs<'_>) -> ModulationRows {
        ModulationRows { table: inputs.modulation, first: self.first_row, split: None }
    }

    fn attend(
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
        qkv: [(TensorId, usize); 3],
    ) -> Result<TensorId, OpError> {
        let (heads, head_dim) = (inputs.config.num_attention_heads, inputs.config.attention_head_dim);
        let options = AttentionInputs::new(qkv, heads, head_dim, inputs.dtype);
        graph.attention(&AttentionInputs { groups: inputs.passes, ..options })
    }

    /// Keeps what an attention gives before its gate and residual, where taps are kept.
    fn tap(graph: &mut Graph, out: &Linear, attended: TensorId, tap: Option<&str>) -> Result<(), OpError> {
        if let Some(tap) = tap.filter(|_| graph.keeps_taps()) {
            let plain = out.forward(graph, attended, DType::F32)?;
            graph.tap(tap, plain);
        }
        Ok(())
    }

    /// x + gate * self-attention(norm(x)). Does not see the text: all guidance passes share that of block 0.
    pub(super) fn attend_self(
        &self,
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
        x: TensorId,
        tap: Option<&str>,
    ) -> Result<TensorId, OpError> {
        let BlockInputs { config, dtype, .. } = *inputs;
        let head_dim = config.attention_head_dim;
        let dim = config.num_attention_heads * head_dim;
        let rows = self.modulation(inputs);
        let modulation = Some(rows.modulation(SELF_SHIFT, SELF_SCALE));
        let norm = LayerNormOptions { modulation, ..LayerNormOptions::new(config.eps, dtype) };
        let normed = graph.layer_norm(x, &norm)?;
        let rope = Some(Rope { cos: inputs.cos, sin: inputs.sin, head_dim });
        let turned = RmsNormOptions { rope, ..RmsNormOptions::new(config.eps, dtype) };
        let gated = |x| rows.gated(SELF_GATE, x);
        if inputs.strip.is_none() {
            let qkv = self.self_qkv.forward(graph, normed, dtype)?;
            let both = graph.weight(&self.self_norm);
            let qk = graph.rms_norm(qkv, both, &turned)?;
            let attended = Self::attend(graph, inputs, [(qk, 0), (qk, dim), (qkv, 2 * dim)])?;
            Self::tap(graph, &self.self_out, attended, tap)?;
            return self.self_out.forward_with(graph, attended, gated(x));
        }
        // All see all keys and values; queries, and what becomes of them, come strip by strip.
        let [of_q, of_k, of_v] = &self.self_parts;
        let [norm_q, norm_k] = self.self_norms.each_ref().map(|norm| graph.weight(norm));
        let k = of_k.forward(graph, normed, dtype)?;
        let k = graph.rms_norm(k, norm_k, &turned)?;
        let v = of_v.forward(graph, normed, dtype)?;
        let mut sum = x;
        for strip in Strip::all(graph.desc(x).rows(), inputs.strip) {
            let normed = graph.layer_norm(sum, &strip.norm(norm))?;
            let q = of_q.forward(graph, normed, dtype)?;
            let q = graph.rms_norm(q, norm_q, &RmsNormOptions { first_angle: strip.first, ..turned })?;
            let attended = Self::attend(graph, inputs, [(q, 0), (k, 0), (v, 0)])?;
            sum = self.self_out.forward_with(graph, attended, strip.product(gated(sum)))?;
        }
        Ok(sum)
    }

    /// x + cross-attention(norm(x), text), then + gate * feed-forward(norm(x)).
    pub(super) fn attend_text_and_feed(
        &self,
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
        context: BlockContext<'_>,
        x: TensorId,
        tap: Option<&str>,
    ) -> Result<TensorId, OpError> {
        let mut sum = x;
        // Without a norm the queries are made of all that x is.
        let strip = inputs.strip.filter(|_| self.cross_norm.is_some());
        for strip in Strip::all(graph.desc(x).rows(), strip) {
            sum = self.attend_text(graph, inputs, context, sum, strip, tap)?;
        }
        for strip in Strip::all(graph.desc(x).rows(), inputs.strip) {
            sum = self.feed(graph, inputs, sum, strip)?;
        }
        Ok(sum)
    }

    /// Adds to the rows of a strip what they attend to in the text.
    fn attend_text(
        &self,
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
        context: BlockContext<'_>,
        x: TensorId,
        strip: Strip,
        tap: Option<&str>,
    ) -> Result<TensorId, OpError> {
        let BlockInputs { config, dtype, .. } = *inputs;
        let affine = self.cross_norm.as_ref().map(|(w, b)| (graph.weight(w), graph.weight(b)));
        let norm = LayerNormOptions { affine, ..LayerNormOptions::new(config.eps, dtype) };
        let normed = if affine.is_some() { graph.layer_norm(x, &strip.norm(norm))? } else { x };
        let q = self.cross_q.forward(graph, normed, dtype)?;
        let norm_q = graph.weight(&self.cross_norm_q);
        let q = graph.rms_norm(q, norm_q, &RmsNormOptions::new(config.eps, dtype))?;
        let (keys, values) = (graph.state(context.keys), graph.state(context.values));
        let attended = Self::attend(graph, inputs, [(q, 0), (keys, 0), (values, 0)])?;
        Self::tap(graph, &self.cross_out, attended, tap)?;
        let options = MatmulOptions { residual: Some(x), ..MatmulOptions::new(DType::F32) };
        self.cross_out.forward_with(graph, attended, strip.product(options))
    }

    /// Adds to the rows of a strip what the feed-forward makes of them.
    fn feed(
        &self,
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
        x: TensorId,
        strip: Strip,
    ) -> Result<TensorId, OpError> {
        let BlockInputs { config, dtype, .. } = *inputs;
        let rows = self.modulation(inputs);
        let modulation = Some(rows.modulation(FEED_SHIFT, FEED_SCALE));
        let norm = LayerNormOptions { modulation, ..LayerNormOptions::new(config.eps, dtype) };
        let normed = graph.layer_norm(x, &strip.norm(norm))?;
        let gelu = MatmulOptions { activation: Activation::GeluTanh, ..MatmulOptions::new(dtype) };
        let hidden = self.up.forward_with(graph, normed, gelu)?;
        self.down.forward_with(graph, hidden, strip.product(rows.gated(FEED_GATE, x)))
    }
}
