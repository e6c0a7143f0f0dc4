//! The block that a tiny decoder is made of, and its convolutions.
use crate::{
    graph::Graph,
    nn::{CausalConv, ConvMemory},
    op::OpError,
    ops::{Activation, Conv3dOptions},
    tensor::{DType, TensorId},
    weight::Weight,
};
use model_loader::{Bytes, Checkpoint, HostTensor, LoadError};

/// Three convolutions around which the block's input passes. The first sees each frame beside the frame before it.
#[derive(Debug)]
pub(super) struct MemBlock {
    convs: [CausalConv; 3],
}

impl MemBlock {
    pub(super) fn load(checkpoint: &Checkpoint, name: &str, width: usize) -> Result<Self, LoadError> {
        let conv = |index: usize| flat(checkpoint, &format!("{name}.conv.{index}"), [width, width], true);
        let first = format!("{name}.conv.0");
        let weight = checkpoint.tensor_shaped(&format!("{first}.weight"), &[width, 2 * width, 3, 3])?;
        let bias = checkpoint.tensor_shaped(&format!("{first}.bias"), &[width])?;
        let paired = Weight::channels_last(&beside_the_past(&weight));
        let first = CausalConv::of(&first, paired, Some(Weight::vector(&bias)));
        Ok(Self { convs: [first, conv(2)?, conv(4)?] })
    }

    pub(super) fn forward(
        &self,
        graph: &mut Graph,
        x: TensorId,
        memory: &ConvMemory,
        dtype: DType,
    ) -> Result<TensorId, OpError> {
        let [first, second, third] = &self.convs;
        let relu = Conv3dOptions { activation: Activation::Relu, ..Conv3dOptions::new(dtype) };
        let y = first.forward(graph, x, Some(memory), relu)?;
        let y = second.forward(graph, y, None, relu)?;
        let y = third.forward(
            graph,
            y,
            None,
            Conv3dOptions { residual: Some(x), ..Conv3dOptions::new(dtype) },
        )?;
        graph.relu(y)
    }
}

/// A kernel over the channels of a frame and, behind them, those of the frame before, `[out, 2 in, h, w]`, as a kernel over two
/// frames, `[out, in, 2, h, w]`, the earlier one first.
fn beside_the_past(weight: &HostTensor) -> HostTensor {
    let stored = weight.in_elements();
    let (out, both) = (stored.shape[0], stored.shape[1]);
    let inner = both / 2;
    let taps = &stored.shape[2..];
    // The bytes of one channel's taps.
    let piece = taps.iter().product::<usize>() * stored.format.group_bytes();
    let mut bytes = Vec::with_capacity(stored.bytes.len());
    for o in 0..out {
        for channel in 0..inner {
            for half in [inner, 0] {
                let start = (o * both + half + channel) * piece;
                bytes.extend_from_slice(&stored.bytes[start..start + piece]);
            }
        }
    }
    let shape = [&[out, inner, 2][..], taps].concat();
    HostTensor::new(&*stored.name, stored.format, &shape, Bytes::from(bytes))
}

/// A convolution of 3 x 3 within each frame.
pub(super) fn flat(
    checkpoint: &Checkpoint,
    name: &str,
    [output, input]: [usize; 2],
    has_bias: bool,
) -> Result<CausalConv, LoadError> {
    let mut weight = checkpoint.tensor_shaped(&format!("{name}.weight"), &[output, input, 3, 3])?;
    weight.shape.insert(2, 1);
    let bias = match has_bias {
        true => Some(Weight::vector(&checkpoint.tensor_shaped(&format!("{name}.bias"), &[output])?)),
        false => None,
    };
    Ok(CausalConv::of(name, Weight::channels_last(&weight), bias))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model_loader::Format;

    #[test]
    fn the_past_comes_first() {
        // [2, 2 * 3, 1, 2], numbered.
        let values: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let bytes = Bytes::from(bytemuck::cast_slice::<f32, u8>(&values).to_vec());
        let kernel = beside_the_past(&HostTensor::new("w", Format::F32, &[2, 6, 1, 2], bytes));
        assert_eq!(kernel.shape, [2, 3, 2, 1, 2]);
        assert_eq!(kernel.to_f32()[..8], [6.0, 7.0, 0.0, 1.0, 8.0, 9.0, 2.0, 3.0]);
        assert_eq!(kernel.to_f32()[12..16], [18.0, 19.0, 12.0, 13.0]);
    }
}
