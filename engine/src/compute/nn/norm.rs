//! The norms of video autoencoders.
use super::Linear;
use crate::{
    graph::Graph,
    op::OpError,
    ops::{GroupNormOptions, NearestModulation, Scope},
    tensor::{DType, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, LoadError};
use std::fmt::Debug;

/// A norm of feature maps `[T, H, W, C]`, as residual blocks use it.
pub trait FeatureNorm: Debug {
    /// What it looks at beside the map.
    type Guide: Copy;

    /// Normalises, with SiLU if wanted.
    ///
    /// # Errors
    /// If the map does not fit the weights.
    fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        guide: Self::Guide,
        silu: bool,
        out: DType,
    ) -> Result<TensorId, OpError>;
}

/// Wan's RMS norm over the channels of each position.
#[derive(Debug, Clone)]
pub struct ChannelNorm {
    gamma: Weight,
}

impl ChannelNorm {
    /// Loads `{name}.gamma` of `[channels, 1, ..]`.
    ///
    /// # Errors
    /// If it is missing or has another size.
    pub fn load(
        checkpoint: &Checkpoint,
        name: &str,
        channels: usize,
        units: usize,
    ) -> Result<Self, LoadError> {
        let mut shape = vec![channels];
        shape.resize(1 + units, 1);
        let gamma = checkpoint.tensor_shaped(&format!("{name}.gamma"), &shape)?;
        Ok(Self { gamma: Weight::from_f32(&gamma.name, &[channels], gamma.to_f32()) })
    }

    /// Normalises `[.., C]`, with SiLU if wanted.
    pub fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        silu: bool,
        out: DType,
    ) -> Result<TensorId, OpError> {
        let gamma = graph.weight(&self.gamma);
        graph.channel_rms_norm(x, gamma, silu, out)
    }
}

impl FeatureNorm for ChannelNorm {
    type Guide = ();

    fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        (): (),
        silu: bool,
        out: DType,
    ) -> Result<TensorId, OpError> {
        Self::forward(self, graph, x, silu, out)
    }
}

/// Group norm over all positions of a chunk.
#[derive(Debug, Clone)]
pub struct GroupNorm {
    weight: Weight,
    bias: Weight,
    groups: usize,
    eps: f32,
}

impl GroupNorm {
    /// Loads `{name}.weight` and `{name}.bias` of `[channels]`.
    ///
    /// # Errors
    /// If either is missing or has another size.
    pub fn load(
        checkpoint: &Checkpoint,
        name: &str,
        channels: usize,
        groups: usize,
        eps: f32,
    ) -> Result<Self, LoadError> {
        let vector = |suffix: &str| {
            checkpoint.tensor_shaped(&format!("{name}.{suffix}"), &[channels]).map(|t| Weight::vector(&t))
        };
        Ok(Self { weight: vector("weight")?, bias: vector("bias")?, groups, eps })
    }

    fn modulated(
        &self,
        graph: &mut Graph,
        x: TensorId,
        modulation: Option<NearestModulation>,
        silu: bool,
        out: DType,
    ) -> Result<TensorId, OpError> {
        let options = GroupNormOptions {
            scope: Scope::Volume,
            groups: self.groups,
            eps: self.eps,
            weight: graph.weight(&self.weight),
            bias: graph.weight(&self.bias),
            modulation,
            silu,
            out,
        };
        graph.group_norm(x, &options)
    }
}

impl FeatureNorm for GroupNorm {
    type Guide = ();

    fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        (): (),
        silu: bool,
        out: DType,
    ) -> Result<TensorId, OpError> {
        self.modulated(graph, x, None, silu, out)
    }
}

/// Group norm times one 1x1x1 convolution of the latents plus another, both resized (nearest) to the feature map.
///
/// A 1x1x1 convolution and repeating positions commute, so the convolutions run at the latents' size, as one product,
/// and the norm reads their result where it needs it.
#[derive(Debug, Clone)]
pub struct SpatialNorm {
    norm: GroupNorm,
    modulation: Linear,
}

impl SpatialNorm {
    /// Loads `{name}.norm_layer`, `{name}.conv_y.conv` and `{name}.conv_b.conv`.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(
        checkpoint: &Checkpoint,
        name: &str,
        channels: usize,
        latent_channels: usize,
        groups: usize,
    ) -> Result<Self, LoadError> {
        const EPS: f32 = 1e-6;
        let convs = ["conv_y", "conv_b"].map(|conv| format!("{name}.{conv}.conv"));
        let shape = [channels, latent_channels, 1, 1, 1];
        Ok(Self {
            norm: GroupNorm::load(checkpoint, &format!("{name}.norm_layer"), channels, groups, EPS)?,
            modulation: Linear::load_stacked(checkpoint, &convs, &shape, true)?,
        })
    }
}

impl FeatureNorm for SpatialNorm {
    /// The chunk's latents, `[t, h, w, latent channels]`.
    type Guide = TensorId;

    fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        latents: TensorId,
        silu: bool,
        out: DType,
    ) -> Result<TensorId, OpError> {
        let values = self.modulation.forward(graph, latents, DType::F32)?;
        // A first frame that was not doubled belongs to the first latent frame alone.
        let frames = graph.desc(x).shape[0];
        let first_apart = frames > 1 && !frames.is_multiple_of(2);
        self.norm.modulated(graph, x, Some(NearestModulation { values, first_apart }), silu, out)
    }
}
