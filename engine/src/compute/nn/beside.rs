//! LoRAs that run beside the weights they change: `y = x W^T + (x A^T) B^T`.
use crate::{
    graph::Graph,
    op::OpError,
    ops::{Activation, MatmulOptions},
    tensor::{DType, TensorId},
    weight::{Block, Weight},
};
use model_loader::{Change, Format, HostTensor, LowRank};

/// The changes of a layer's weights as two thin matrices, those of all LoRAs and all stacked weights together.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    /// `[ranks, in]`.
    down: Weight,
    /// `[out, ranks]`, with the factors of the LoRAs.
    up: Weight,
}

impl Beside {
    /// Takes the changes off weights that would lose their format by them: of one shape, one below the other in the layer.
    ///
    /// A weight of f32 keeps its changes, which are added to it when it is brought; so does one that is changed in full.
    pub(super) fn take(name: &str, weights: &mut [HostTensor]) -> Option<Self> {
        let (mut downs, mut blocks) = (Vec::new(), Vec::new());
        let (mut row, mut column) = (0, 0);
        for weight in weights {
            let rows = weight.shape.first().copied().unwrap_or(0);
            for change in low_ranks(weight) {
                let rank = change.rank();
                blocks.push(Block { row, column, values: change.up, factor: change.factor });
                downs.push(change.down);
                column += rank;
            }
            row += rows;
        }
        if downs.is_empty() {
            return None;
        }
        Some(Self {
            down: Weight::stack(&format!("{name} LoRA down"), &downs),
            up: Weight::of_blocks(&format!("{name} LoRA up"), [row, column], blocks),
        })
    }

    /// What is to be added to the layer's sums.
    ///
    /// The rest of the epilogue is linear but for the activation: with one, the caller applies it to the whole sum.
    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        options: &MatmulOptions,
    ) -> Result<TensorId, OpError> {
        let (down, up) = (graph.weight(&self.down), graph.weight(&self.up));
        let thin = graph.matmul(x, down, &MatmulOptions::new(DType::F32))?;
        let linear = MatmulOptions { bias: None, out: DType::F32, ..*options };
        let options = match options.activation {
            Activation::None => linear,
            _ => MatmulOptions::new(DType::F32),
        };
        graph.matmul(thin, up, &options)
    }
}

/// Takes the changes off a weight if they can run beside it.
fn low_ranks(weight: &mut HostTensor) -> Vec<LowRank> {
    let all_low = weight.changes.iter().all(|change| matches!(change, Change::LowRank(_)));
    if weight.format == Format::F32 || !all_low {
        return Vec::new();
    }
    let changes = std::mem::take(&mut weight.changes);
    let low = |change| match change {
        Change::LowRank(change) => Some(change),
        Change::Full { .. } => None,
    };
    changes.into_iter().filter_map(low).collect()
}
