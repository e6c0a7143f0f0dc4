//! A fully connected layer.
use crate::{
    graph::Graph,
    op::OpError,
    ops::MatmulOptions,
    tensor::{DType, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, LoadError};

/// `y = x W^T + b`, with `W` of `[out, in]` in its stored dtype.
#[derive(Debug, Clone)]
pub struct Linear {
    /// One, or several side by side where parts are stored in different dtypes.
    weights: Vec<Weight>,
    bias: Option<Weight>,
}

impl Linear {
    /// Loads `{name}.weight` of `shape` (`[out, in]`; trailing extents of one are allowed) and `{name}.bias`.
    ///
    /// # Errors
    /// If either is missing or has another shape.
    pub fn load(checkpoint: &Checkpoint, name: &str, shape: &[usize]) -> Result<Self, LoadError> {
        let bias = checkpoint.tensor_shaped(&format!("{name}.bias"), &shape[..1])?;
        Ok(Self { bias: Some(Weight::vector(&bias)), ..Self::load_plain(checkpoint, name, shape)? })
    }

    /// Loads `{name}.weight` alone.
    ///
    /// # Errors
    /// If it is missing or has another shape.
    pub fn load_plain(checkpoint: &Checkpoint, name: &str, shape: &[usize]) -> Result<Self, LoadError> {
        let weight = checkpoint.tensor_shaped(&format!("{name}.weight"), shape)?;
        Ok(Self { weights: vec![Weight::matrix(weight)], bias: None })
    }

    /// Loads several layers of one shape as one, their outputs side by side.
    ///
    /// # Errors
    /// If one is missing or has another shape.
    pub fn load_stacked(
        checkpoint: &Checkpoint,
        names: &[String],
        shape: &[usize],
        with_bias: bool,
    ) -> Result<Self, LoadError> {
        let load = |suffix: &str, shape: &[usize]| {
            names
                .iter()
                .map(|n| checkpoint.tensor_shaped(&format!("{n}.{suffix}"), shape))
                .collect::<Result<Vec<_>, _>>()
        };
        let name = names.join(" + ");
        let weights = Weight::stacks(&format!("{name} weight"), &load("weight", shape)?);
        let bias = if with_bias {
            let values =
                load("bias", &shape[..1])?.iter().flat_map(model_loader::HostTensor::to_f32).collect();
            Some(Weight::from_f32(&format!("{name} bias"), &[names.len() * shape[0]], values))
        } else {
            None
        };
        Ok(Self { weights, bias })
    }

    /// Applies the layer.
    pub fn forward(&self, graph: &mut Graph, x: TensorId, out: DType) -> Result<TensorId, OpError> {
        self.forward_with(graph, x, MatmulOptions::new(out))
    }

    /// Applies the layer with an epilogue; `options.bias` is set here.
    pub fn forward_with(
        &self,
        graph: &mut Graph,
        x: TensorId,
        options: MatmulOptions,
    ) -> Result<TensorId, OpError> {
        let weights: Vec<TensorId> = self.weights.iter().map(|weight| graph.weight(weight)).collect();
        let bias = self.bias(graph);
        graph.matmul_side_by_side(x, &weights, &MatmulOptions { bias, ..options })
    }

    /// The weight as a tensor of the graph; of a stacked layer, its first.
    pub fn weight(&self, graph: &mut Graph) -> TensorId {
        graph.weight(&self.weights[0])
    }

    /// The bias as a tensor of the graph.
    pub fn bias(&self, graph: &mut Graph) -> Option<TensorId> {
        self.bias.as_ref().map(|bias| graph.weight(bias))
    }
}
