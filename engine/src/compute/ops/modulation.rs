//! A block's table of shifts, scales and gates, moved by the time embedding.
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::Graph,
    op::{Io, Launch, Lowered, Op, OpError, elem},
    params,
    target::{Target, clamp_u32},
    tensor::{DType, TensorDesc, TensorId},
};
use shaders::Variant;

impl Graph {
    /// `table` `[n, cols]` plus `temb`, some rows that are added to the table's in turns: one, or as many as each of the tables
    /// has that are stacked in it.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    pub fn modulation(&mut self, table: TensorId, temb: TensorId) -> Result<TensorId, OpError> {
        self.push(ModulationTable, &[table, temb])
    }
}

/// Inputs: table, temb.
#[derive(Debug)]
struct ModulationTable;

params! {
    /// Of `modulation.wgsl`.
    struct ModulationParams { elements: u32, temb_elements: u32 }
}

const NAME: &str = "modulation";

impl Op for ModulationTable {
    fn name(&self) -> &'static str {
        NAME
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        let (table, temb) = (&inputs[0], &inputs[1]);
        OpError::expect_dtype(NAME, "table", table, DType::F32)?;
        OpError::expect_shape(NAME, "table", table, &[table.rows(), table.cols()])?;
        OpError::expect_activation(NAME, "temb", temb)?;
        let whole = temb.elements() > 0 && temb.elements().is_multiple_of(table.cols());
        if !whole || !table.elements().is_multiple_of(temb.elements()) {
            return Err(OpError::shape(NAME, "temb", &temb.shape, &table.shape));
        }
        Ok(table.clone())
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        output.elements() as u64
    }

    fn fused(&self, inputs: &[TensorDesc]) -> usize {
        // One row goes to all rows at once; several make a sum of their own with each table that is stacked.
        let (table, temb) = (&inputs[0], &inputs[1]);
        if temb.elements() == table.cols() { 0 } else { table.elements() / temb.elements() - 1 }
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        const WG: u32 = 64;
        let (elements, temb_elements) = (io.output.elements(), io.inputs[1].elements());
        let params =
            ModulationParams { elements: clamp_u32(elements), temb_elements: clamp_u32(temb_elements) };
        Ok(vec![Launch {
            kernel: &shaders::MODULATION,
            variant: Variant::new().alias("Temb", elem(&io.inputs[1])).overriding("WG", WG),
            params: bytemuck::bytes_of(&params).to_vec(),
            bindings: vec![io.bind_input(0), io.bind_input(1), io.bind_output()],
            grid: target.fold(elements.div_ceil(WG as usize)),
        }]
        .into())
    }

    fn evaluate(&self, io: &mut CpuIo<'_>) {
        let (table, temb) = (io.input(0), io.input(1));
        // A handful of rows: not worth more than one core.
        for (out, table) in io.output.chunks_mut(temb.len()).zip(table.chunks(temb.len())) {
            for ((out, table), temb) in out.iter_mut().zip(table).zip(temb) {
                *out = table + temb;
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
        let variant = Variant::new().alias("Temb", Elem::F32);
        check_params::<ModulationParams>(&shaders::MODULATION, &variant);
    }
}
