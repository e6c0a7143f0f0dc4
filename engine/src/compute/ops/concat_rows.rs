//! Matrices one above the other.
use super::window;
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError, Operand, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::Variant;
use std::ops::Range;

impl Graph {
    /// The rows of several matrices of one width and dtype, those of the first on top: `[sum of rows, cols]`.
    ///
    /// # Errors
    /// If there are none, or shapes or dtypes differ.
    pub fn concat_rows(&mut self, parts: &[TensorId]) -> Result<TensorId, OpError> {
        self.push(ConcatRows, parts)
    }
}

/// Inputs: the parts.
#[derive(Debug)]
struct ConcatRows;

params! {
    /// Of `concat_rows.wgsl`.
    struct ConcatRowsParams { count: u32, start: u32 }
}

const NAME: &str = "concat_rows";

impl Op for ConcatRows {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let first = inputs.first().ok_or_else(|| OpError::value(NAME, "parts", 0, "at least 1"))?;
        OpError::expect_activation(NAME, "part", first)?;
        for part in inputs {
            OpError::expect_shape(NAME, "part", part, &[part.rows(), first.cols()])?;
            OpError::expect_dtype(NAME, "part", part, first.dtype)?;
        }
        Ok(TensorDesc::new(&[inputs.iter().map(TensorDesc::rows).sum(), first.cols()], first.dtype))
    }

    fn flops(&self, _: &[TensorDesc], _: &TensorDesc) -> u64 {
        0
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let mut launches = Vec::new();
        let mut before = 0;
        for (index, part) in io.inputs.iter().enumerate() {
            launches.extend(copy(io, index, before, target));
            before += part.rows();
        }
        Ok(launches.into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        const CHUNK: usize = 1 << 16;
        let mut rest = std::mem::take(&mut io.output);
        for index in 0..io.len() {
            let part = io.input(index);
            let (out, behind) = rest.split_at_mut(part.len());
            out.par_chunks_mut(CHUNK)
                .zip(part.par_chunks(CHUNK))
                .for_each(|(out, part)| out.copy_from_slice(part));
            rest = behind;
        }
    }
}

/// Copies all rows of input `index` to the output's rows from `first` on; both have the same width and dtype.
pub(super) fn copy(io: &Io<'_>, index: usize, first: usize, target: &Target) -> Vec<Launch> {
    let (part, cols, size) = (&io.inputs[index], io.output.cols(), io.output.dtype.size());
    // A window of the output may begin up to one alignment before its tile, which has 128 rows at least.
    let row = cols * size + usize::try_from(target.offset_alignment.max(256)).unwrap_or(256).div_ceil(128);
    let launch = |tile: Range<usize>| {
        let elements = (first + tile.start) * cols..(first + tile.end) * cols;
        let (out, start) = window::window(Operand::Output, &elements, size, target);
        let params = ConcatRowsParams { count: clamp_u32(elements.len()), start: clamp_u32(start) };
        Launch {
            kernel: &shaders::CONCAT_ROWS,
            variant: Variant::new().alias("X", elem(part)),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![io.bind_input_rows(index, &tile, cols), out],
            grid: window::grid(target, elements.len()),
        }
    };
    target.row_tiles(part.rows(), row).into_iter().map(launch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;
    use shaders::Elem;

    #[test]
    fn params_match_the_kernel() {
        check_params::<ConcatRowsParams>(&shaders::CONCAT_ROWS, &Variant::new().alias("X", Elem::F32));
    }
}
