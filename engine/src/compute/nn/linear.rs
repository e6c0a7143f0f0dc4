//! A fully connected layer.
use super::beside::Beside;
use crate::{
    graph::Graph,
    op::OpError,
    ops::{Activation, MatmulOptions},
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
    /// The LoRAs of weights that keep their format.
    beside: Option<Beside>,
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
        let mut weights = [checkpoint.tensor_shaped(&format!("{name}.weight"), shape)?];
        let beside = Beside::take(name, &mut weights);
        let [weight] = weights;
        Ok(Self { weights: vec![Weight::matrix(weight)], bias: None, beside })
    }

    /// Loads `{name}.weight` of `shape` and `{name}.bias` for an op of its own: what LoRAs change is part of the weight.
    ///
    /// # Errors
    /// If either is missing or has another shape.
    pub fn load_whole(checkpoint: &Checkpoint, name: &str, shape: &[usize]) -> Result<Self, LoadError> {
        let weight = checkpoint.tensor_shaped(&format!("{name}.weight"), shape)?;
        let bias = checkpoint.tensor_shaped(&format!("{name}.bias"), &shape[..1])?;
        let (weights, bias) = (vec![Weight::matrix(weight)], Some(Weight::vector(&bias)));
        Ok(Self { weights, bias, beside: None })
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
        let mut parts = load("weight", shape)?;
        let beside = Beside::take(&name, &mut parts);
        let weights = Weight::stacks(&format!("{name} weight"), &parts);
        let bias = if with_bias {
            let values =
                load("bias", &shape[..1])?.iter().flat_map(model_loader::HostTensor::to_f32).collect();
            Some(Weight::from_f32(&format!("{name} bias"), &[names.len() * shape[0]], values))
        } else {
            None
        };
        Ok(Self { weights, bias, beside })
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
        let Some(beside) = &self.beside else {
            return graph.matmul_side_by_side(x, &weights, &MatmulOptions { bias, ..options });
        };
        let is_activated = options.activation != Activation::None;
        let follows = options.multiplier.is_some() || options.gate.is_some() || options.residual.is_some();
        if is_activated && follows {
            return Err(OpError::value("linear", "epilogue", options, "an activation alone beside a LoRA"));
        }
        let added = beside.forward(graph, x, &options)?;
        let options = MatmulOptions { bias, residual: Some(added), ..options };
        if !is_activated {
            return graph.matmul_side_by_side(x, &weights, &options);
        }
        let plain = MatmulOptions { activation: Activation::None, ..options };
        let sum = graph.matmul_side_by_side(x, &weights, &plain)?;
        graph.activate(sum, options.activation)
    }

    /// The weight as a tensor of the graph, without what runs beside it: see [`Linear::load_whole`]. Of a stacked layer, its first.
    pub fn weight(&self, graph: &mut Graph) -> TensorId {
        graph.weight(&self.weights[0])
    }

    /// The bias as a tensor of the graph.
    pub fn bias(&self, graph: &mut Graph) -> Option<TensorId> {
        self.bias.as_ref().map(|bias| graph.weight(bias))
    }
}
