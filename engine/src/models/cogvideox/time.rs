//! The time embedding, into which the constant offset of image-to-video 1.5 is folded.
use crate::{
    graph::Graph,
    nn::Linear,
    op::OpError,
    ops::{Activation, MatmulOptions},
    tensor::{DType, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, LoadError, config::CogVideoXTransformerConfig};

/// What the pipelines give as offset.
const OFFSET: f64 = 2.0;

/// Sinusoid, linear, SiLU, linear.
#[derive(Debug)]
pub(super) struct TimeEmbedding {
    width: usize,
    first: Linear,
    second: Weight,
    second_bias: Weight,
    /// The bias with the offset's embedding added.
    bias_and_offset: Weight,
}

impl TimeEmbedding {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        config: &CogVideoXTransformerConfig,
    ) -> Result<Self, LoadError> {
        let (width, out) = (config.inner_dim(), config.time_embed_dim);
        let second = checkpoint.tensor_shaped("time_embedding.linear_2.weight", &[out, out])?;
        let bias = checkpoint.tensor_shaped("time_embedding.linear_2.bias", &[out])?;
        let mut values = bias.to_f32();
        if let Some(dim) = config.ofs_embed_dim {
            for (value, added) in values.iter_mut().zip(offset(checkpoint, dim)?) {
                *value = narrow(f64::from(*value) + added);
            }
        }
        Ok(Self {
            width,
            first: Linear::load(checkpoint, "time_embedding.linear_1", &[out, width])?,
            second: Weight::matrix(second),
            second_bias: Weight::vector(&bias),
            bias_and_offset: Weight::from_f32("time_embedding.linear_2.bias and offset", &[out], values),
        })
    }

    /// SiLU of the embeddings of `timestep` `[1]` and the offset: `[1, time_embed_dim]`.
    ///
    /// Tap `temb`: the embedding of the timestep alone.
    pub(super) fn forward(&self, graph: &mut Graph, timestep: TensorId) -> Result<TensorId, OpError> {
        let plain = MatmulOptions::new(DType::F32);
        let silu = MatmulOptions { activation: Activation::Silu, ..plain };
        let sinusoid = graph.timestep_embedding(timestep, self.width)?;
        let hidden = self.first.forward_with(graph, sinusoid, silu)?;
        let weight = graph.weight(&self.second);
        if graph.keeps_taps() {
            let bias = Some(graph.weight(&self.second_bias));
            let temb = graph.matmul(hidden, weight, &MatmulOptions { bias, ..plain })?;
            graph.tap("temb", temb);
        }
        let bias = Some(graph.weight(&self.bias_and_offset));
        graph.matmul(hidden, weight, &MatmulOptions { bias, ..silu })
    }
}

/// The embedding of the offset, which is the same at every step.
fn offset(checkpoint: &Checkpoint, dim: usize) -> Result<Vec<f64>, LoadError> {
    let half = dim / 2;
    let angle = |k: usize| OFFSET * 10_000.0_f64.powf(-(k as f64) / half as f64);
    let sinusoid: Vec<f64> =
        (0..half).map(|k| angle(k).cos()).chain((0..half).map(|k| angle(k).sin())).collect();
    let mut hidden = linear(checkpoint, "ofs_embedding.linear_1", dim, &sinusoid)?;
    for value in &mut hidden {
        *value /= 1.0 + (-*value).exp();
    }
    linear(checkpoint, "ofs_embedding.linear_2", dim, &hidden)
}

fn linear(checkpoint: &Checkpoint, name: &str, dim: usize, x: &[f64]) -> Result<Vec<f64>, LoadError> {
    let weight = checkpoint.tensor_shaped(&format!("{name}.weight"), &[dim, dim])?.to_f32();
    let bias = checkpoint.tensor_shaped(&format!("{name}.bias"), &[dim])?.to_f32();
    let product = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
    Ok(weight.chunks_exact(dim).zip(bias).map(|(row, bias)| product(row) + f64::from(bias)).collect())
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
fn narrow(value: f64) -> f32 {
    value as f32
}
