//! The encoder of T5 v1.1 (arXiv:1910.10683, arXiv:2002.05202) and of UMT5 (arXiv:2304.09151): ids to hidden states.
use super::relative_buckets;
use crate::{
    graph::Graph,
    models::TextEncoder,
    nn::Linear,
    op::OpError,
    ops::{Activation, AttentionInputs, MatmulOptions, RmsNormOptions},
    tensor::{DType, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, HostTensor, LoadError, config::T5Config};

/// The encoder. Activations are always f32: the T5 family overflows f16.
#[derive(Debug)]
pub struct T5Encoder {
    config: T5Config,
    embedding: HostTensor,
    blocks: Vec<Block>,
    final_norm: Weight,
}

#[derive(Debug)]
struct Block {
    attention_norm: Weight,
    qkv: Linear,
    out: Linear,
    /// UMT5: one in every block. T5: the first block's serves all.
    position_bias: Option<Weight>,
    feed_forward_norm: Weight,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl T5Encoder {
    /// Takes the weights from a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    pub fn load(checkpoint: &Checkpoint, config: &T5Config) -> Result<Self, LoadError> {
        let table = [config.vocab_size, config.d_model];
        let shared = ["shared.weight", "encoder.embed_tokens.weight"];
        let name = shared.into_iter().find(|n| checkpoint.contains(n)).unwrap_or(shared[0]);
        let blocks =
            (0..config.num_layers).map(|i| Block::load(checkpoint, config, i)).collect::<Result<_, _>>()?;
        Ok(Self {
            embedding: checkpoint.tensor_shaped(name, &table)?,
            blocks,
            final_norm: vector(checkpoint, "encoder.final_layer_norm.weight", config.d_model)?,
            config: config.clone(),
        })
    }

    fn norm_options(&self) -> RmsNormOptions {
        RmsNormOptions::new(self.config.layer_norm_epsilon, DType::F32)
    }
}

impl TextEncoder for T5Encoder {
    /// Rows of the embedding table, looked up on the host, from the mapped file: UMT5-XXL's table has 1.05 G parameters and a
    /// prompt needs a few hundred of its rows at most.
    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, OpError> {
        let mut out = Vec::with_capacity(ids.len() * self.config.d_model);
        for id in ids {
            let index = *id as usize;
            if index >= self.config.vocab_size {
                return Err(OpError::value(
                    "text encoder",
                    "a token id",
                    id,
                    format!("below the vocabulary's {}", self.config.vocab_size),
                ));
            }
            match self.embedding.rows(index..index + 1) {
                Some(row) => out.extend(row.to_f32()),
                // A table whose groups cross its rows; none is known.
                None => {
                    out.extend(&self.embedding.to_f32()[index * self.config.d_model..][..self.config.d_model])
                }
            }
        }
        Ok(out)
    }

    fn graph(&self, rows: usize, taps: bool) -> Result<Graph, OpError> {
        let mut graph = Graph::with_taps(taps);
        let mut x = graph.input("embeds", &[rows, self.config.d_model], DType::F32);
        let (buckets, furthest) =
            (self.config.relative_attention_num_buckets, self.config.relative_attention_max_distance);
        let buckets = relative_buckets(rows, buckets, furthest);
        let buckets = Weight::from_u32("relative position buckets", &[buckets.len()], &buckets);
        let mut bias = None;
        for (index, block) in self.blocks.iter().enumerate() {
            if let Some(table) = &block.position_bias {
                let (ids, table) = (graph.weight(&buckets), graph.weight(table));
                bias = Some(graph.embedding(ids, table, DType::F32)?);
            }
            x = block.forward(&mut graph, &self.config, bias, x)?;
            if index == 0 {
                graph.tap("block0", x);
            }
        }
        let norm = graph.weight(&self.final_norm);
        let hidden = graph.rms_norm(x, norm, &self.norm_options())?;
        graph.output("hidden", hidden);
        Ok(graph)
    }
}

impl Block {
    fn load(checkpoint: &Checkpoint, config: &T5Config, index: usize) -> Result<Self, LoadError> {
        let inner = config.num_heads * config.d_kv;
        let (attention, dense) = (
            format!("encoder.block.{index}.layer.0.SelfAttention"),
            format!("encoder.block.{index}.layer.1.DenseReluDense"),
        );
        let qkv: Vec<String> = ["q", "k", "v"].iter().map(|n| format!("{attention}.{n}")).collect();
        let position_bias = if index == 0 || !config.shared_position_bias {
            let table = [config.relative_attention_num_buckets, config.num_heads];
            let name = format!("{attention}.relative_attention_bias.weight");
            Some(Weight::matrix(checkpoint.tensor_shaped(&name, &table)?))
        } else {
            None
        };
        let norm = |layer: usize| {
            vector(
                checkpoint,
                &format!("encoder.block.{index}.layer.{layer}.layer_norm.weight"),
                config.d_model,
            )
        };
        let up = [config.d_ff, config.d_model];
        Ok(Self {
            attention_norm: norm(0)?,
            qkv: Linear::load_stacked(checkpoint, &qkv, &[inner, config.d_model], false)?,
            out: Linear::load_plain(checkpoint, &format!("{attention}.o"), &[config.d_model, inner])?,
            position_bias,
            feed_forward_norm: norm(1)?,
            gate: Linear::load_plain(checkpoint, &format!("{dense}.wi_0"), &up)?,
            up: Linear::load_plain(checkpoint, &format!("{dense}.wi_1"), &up)?,
            down: Linear::load_plain(checkpoint, &format!("{dense}.wo"), &[config.d_model, config.d_ff])?,
        })
    }

    fn forward(
        &self,
        graph: &mut Graph,
        config: &T5Config,
        bias: Option<TensorId>,
        x: TensorId,
    ) -> Result<TensorId, OpError> {
        let f32 = DType::F32;
        let norm = RmsNormOptions::new(config.layer_norm_epsilon, f32);
        let inner = config.num_heads * config.d_kv;

        let weight = graph.weight(&self.attention_norm);
        let normed = graph.rms_norm(x, weight, &norm)?;
        let qkv = self.qkv.forward(graph, normed, f32)?;
        let qkv = [(qkv, 0), (qkv, inner), (qkv, 2 * inner)];
        let inputs = AttentionInputs::new(qkv, config.num_heads, config.d_kv, f32);
        let attended = graph.attention(&AttentionInputs { scale: 1.0, bias, ..inputs })?;
        let residual = MatmulOptions { residual: Some(x), ..MatmulOptions::new(f32) };
        let x = self.out.forward_with(graph, attended, residual)?;

        let weight = graph.weight(&self.feed_forward_norm);
        let normed = graph.rms_norm(x, weight, &norm)?;
        let gelu = MatmulOptions { activation: Activation::GeluTanh, ..MatmulOptions::new(f32) };
        let gate = self.gate.forward_with(graph, normed, gelu)?;
        let gated = MatmulOptions { multiplier: Some(gate), ..MatmulOptions::new(f32) };
        let hidden = self.up.forward_with(graph, normed, gated)?;
        let residual = MatmulOptions { residual: Some(x), ..MatmulOptions::new(f32) };
        self.down.forward_with(graph, hidden, residual)
    }
}

fn vector(checkpoint: &Checkpoint, name: &str, length: usize) -> Result<Weight, LoadError> {
    Ok(Weight::vector(&checkpoint.tensor_shaped(name, &[length])?))
}
