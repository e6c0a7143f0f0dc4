//! Rows of a table, chosen by ids.
use crate::{
    cpu::{CpuIo, WeightForm},
    error::LowerError,
    graph::Graph,
    op::{Binding, Io, Launch, Lowered, Op, OpError, Operand, elem, reads_groups, weight_constants},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use rayon::prelude::*;
use shaders::Variant;

impl Graph {
    /// The rows of `table` `[vocabulary, cols]` that `ids` `[n]` name; an id beyond the vocabulary names its last row.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn embedding(&mut self, ids: TensorId, table: TensorId, out: DType) -> Result<TensorId, OpError> {
        self.push(Embedding { out }, &[ids, table])
    }
}

/// Inputs: ids, table.
#[derive(Debug)]
struct Embedding {
    out: DType,
}

params! {
    /// Of `embedding.wgsl`.
    struct EmbeddingParams { rows: u32, cols: u32, first_id: u32, id_count: u32, vocabulary: u32 }
}

const NAME: &str = "embedding";

impl Op for Embedding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let (ids, table) = (&inputs[0], &inputs[1]);
        OpError::expect_dtype(NAME, "ids", ids, DType::U32)?;
        OpError::expect_shape(NAME, "ids", ids, &[ids.elements()])?;
        if table.dtype == DType::U32 {
            return Err(OpError::DType {
                op: NAME,
                what: "table",
                got: table.dtype,
                expected: "f32, f16 or bf16",
            });
        }
        OpError::expect_shape(NAME, "table", table, &[table.rows(), table.cols()])?;
        let output = TensorDesc::new(&[ids.elements(), table.cols()], self.out);
        OpError::expect_activation(NAME, "out", &output)?;
        Ok(output)
    }

    fn flops(&self, _: &[TensorDesc], _: &TensorDesc) -> u64 {
        0
    }

    fn reads(&self, inputs: &[TensorDesc], index: usize) -> u64 {
        let rows = (inputs[0].elements() * inputs[1].dtype.bytes(inputs[1].cols())) as u64;
        if index == 1 { rows.min(inputs[1].bytes()) } else { inputs[index].bytes() }
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        const WG: u32 = 64;
        let table = &io.inputs[1];
        let row_bytes = table.dtype.bytes(table.cols());
        let variant = weight_constants(Variant::new(), table.dtype, false)
            .alias("Out", elem(io.output))
            .import("W_READ", table.dtype.grouping().map_or("weight_scalar", reads_groups))
            .overriding("WG", WG);
        let launches = target.row_tiles(table.rows(), row_bytes).into_iter().map(|tile| {
            let params = EmbeddingParams {
                rows: clamp_u32(io.output.rows()),
                cols: clamp_u32(table.cols()),
                first_id: clamp_u32(tile.start),
                id_count: clamp_u32(tile.len()),
                vocabulary: clamp_u32(table.rows()),
            };
            Launch {
                kernel: &shaders::EMBEDDING,
                variant: variant.clone(),
                params: bytemuck::bytes_of(&params).to_vec(),
                bindings: vec![
                    io.bind_input(0),
                    Binding::rows(Operand::Input(1), &tile, row_bytes),
                    io.bind_output(),
                ],
                grid: target.fold(io.output.elements().div_ceil(WG as usize)),
            }
        });
        Ok(launches.collect::<Vec<_>>().into())
    }

    /// Only the rows that are asked for are widened: tables are the largest weights of all.
    fn weight_form(&self, _: &[TensorDesc], index: usize) -> WeightForm {
        if index == 1 { WeightForm::Stored } else { WeightForm::Dense }
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (ids, cols, vocabulary) = (io.input_u32(0), io.desc(1).cols(), io.desc(1).rows());
        let (stored, dense, dtype) = (io.stored(1), io.input(1), io.desc(1).dtype);
        io.output.par_chunks_mut(cols).zip(ids).for_each(|(out, id)| {
            let id = (*id as usize).min(vocabulary - 1);
            match stored {
                Some(bytes) => {
                    let row_bytes = dtype.bytes(cols);
                    widen(dtype, &bytes[id * row_bytes..][..row_bytes], out);
                }
                None => out.copy_from_slice(&dense[id * cols..][..cols]),
            }
        });
    }
}

fn widen(dtype: DType, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        DType::Grouped(grouping) => grouping.widen(bytes, out),
        DType::F32 | DType::U32 => {
            for (value, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                *value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
        }
        DType::F16 => {
            for (value, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *value = half::f16::from_le_bytes([b[0], b[1]]).to_f32();
            }
        }
        DType::Bf16 => {
            for (value, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *value = half::bf16::from_le_bytes([b[0], b[1]]).to_f32();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::check_params;
    use shaders::Elem;

    #[test]
    fn params_match_the_kernel() {
        let variant =
            Variant::new().alias("Out", Elem::F32).constant("W_FORMAT", 2).import("W_READ", "weight_scalar");
        check_params::<EmbeddingParams>(&shaders::EMBEDDING, &variant);
    }

    #[test]
    fn a_table_larger_than_a_binding_is_cut() {
        let target = Target { max_binding_bytes: 64 << 10, ..Target::webgpu_defaults() };
        let inputs = [TensorDesc::new(&[5], DType::U32), TensorDesc::new(&[1000, 64], DType::Bf16)];
        let op = Embedding { out: DType::F32 };
        let output = op.output(&inputs).unwrap();
        let io = Io { inputs: &inputs, output: &output, aliased: None };
        let tables: Vec<Binding> =
            op.lower(&io, &target).unwrap().launches.iter().map(|d| d.bindings[1]).collect();
        let sizes: Vec<u64> = tables.iter().map(|b| b.size / 128).collect();
        assert_eq!(sizes, [512, 488]);
        assert_eq!(tables[1].offset, 512 * 128);
    }
}
