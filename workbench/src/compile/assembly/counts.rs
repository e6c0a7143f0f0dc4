//! Instructions by kind.

/// Instructions of a loop, each counted for a whole subgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoopCounts {
    /// Whether it is a loop; otherwise the code has none and all of it is counted.
    pub loops: bool,
    /// Loops inside it, whose instructions are not counted.
    pub inner_loops: usize,
    /// Products of matrices.
    pub wmma: usize,
    /// Multiply-adds of vectors; a pair that is issued as one counts twice.
    pub fma: usize,
    /// Other arithmetic of vectors: conversions, moves, addresses.
    pub vector: usize,
    /// Loads from workgroup memory (LDS).
    pub lds_loads: usize,
    /// Bytes that they bring to an invocation.
    pub lds_load_bytes: usize,
    /// Stores into workgroup memory.
    pub lds_stores: usize,
    /// Bytes that they take of an invocation.
    pub lds_store_bytes: usize,
    /// Loads from buffers.
    pub global_loads: usize,
    /// Bytes that they bring to an invocation.
    pub global_load_bytes: usize,
    /// Stores into buffers.
    pub global_stores: usize,
    /// Accesses of scratch memory: what does not fit the registers.
    pub scratch: usize,
    /// Waits for memory, for results, for other subgroups.
    pub waits: usize,
    /// Scalar instructions, branches among them.
    pub scalar: usize,
}

impl LoopCounts {
    /// What is neither multiplied, loaded, stored in workgroup memory nor waited for.
    pub fn other(&self) -> usize {
        self.vector + self.global_stores + self.scratch + self.scalar
    }

    /// All.
    pub fn instructions(&self) -> usize {
        self.wmma
            + self.fma
            + self.lds_loads
            + self.lds_stores
            + self.global_loads
            + self.waits
            + self.other()
    }

    /// Loads from workgroup memory for each product of matrices, or for each multiply-add where there are none.
    pub fn lds_loads_per_product(&self) -> Option<f64> {
        let products = if self.wmma > 0 { self.wmma } else { self.fma };
        #[expect(clippy::cast_precision_loss, reason = "counts of a loop's instructions")]
        let ratio = self.lds_loads as f64 / products as f64;
        (products > 0).then_some(ratio)
    }

    /// Counts a line of a block.
    pub(super) fn add(&mut self, line: &str) {
        let code = line.split(';').next().unwrap_or_default();
        // What an instruction defines stands before it in the compiler's own text.
        let code = code.split_once(" = ").map_or(code, |(_, instruction)| instruction);
        let Some(name) = code.split_whitespace().next() else { return };
        if is_wait(name) {
            self.waits += 1;
        } else if name.starts_with("s_") {
            self.scalar += 1;
        } else if name.starts_with("ds_") {
            self.add_lds(name);
        } else if name.starts_with("scratch_") {
            self.scratch += 1;
        } else if name.starts_with("buffer_") || name.starts_with("global_") || name.starts_with("flat_") {
            self.add_global(name);
        } else if name.starts_with("v_wmma") || name.starts_with("v_mfma") || name.starts_with("v_swmmac") {
            self.wmma += 1;
        } else if name.starts_with("v_") {
            // Both halves of a pair may multiply and add.
            let names = code.split_whitespace().filter(|word| word.starts_with("v_"));
            let products = names.filter(|name| is_multiply_add(name)).count();
            self.fma += products;
            self.vector += usize::from(products == 0);
        }
    }

    fn add_lds(&mut self, name: &str) {
        let twice =
            if name.contains("2addr") || name.contains("read2") || name.contains("write2") { 2 } else { 1 };
        if name.starts_with("ds_load") || name.starts_with("ds_read") {
            self.lds_loads += 1;
            self.lds_load_bytes += twice * bytes(name);
        } else if name.starts_with("ds_store") || name.starts_with("ds_write") {
            self.lds_stores += 1;
            self.lds_store_bytes += twice * bytes(name);
        } else {
            // Permutations of lanes.
            self.vector += 1;
        }
    }

    fn add_global(&mut self, name: &str) {
        if name.contains("_load") {
            self.global_loads += 1;
            self.global_load_bytes += bytes(name);
        } else if name.contains("_store") {
            self.global_stores += 1;
        } else {
            self.waits += 1;
        }
    }
}

fn is_wait(name: &str) -> bool {
    ["s_wait", "s_nop", "s_delay_alu", "s_barrier", "s_sleep"].iter().any(|wait| name.starts_with(wait))
}

/// `v_fma_mixlo_f16` rounds to f16 and is no product.
fn is_multiply_add(name: &str) -> bool {
    const NAMES: [&str; 6] = ["v_fma", "v_pk_fma", "v_mac_f", "v_mad_f", "v_dot2", "v_dual_fma"];
    NAMES.iter().any(|start| name.starts_with(start)) && !name.contains("_mixlo") && !name.contains("_mixhi")
}

/// Bytes of an access by the width in its name.
fn bytes(name: &str) -> usize {
    const WIDTHS: [(&str, usize); 12] = [
        ("b128", 16),
        ("dwordx4", 16),
        ("b96", 12),
        ("dwordx3", 12),
        ("b64", 8),
        ("dwordx2", 8),
        ("16", 2),
        ("short", 2),
        ("u8", 1),
        ("i8", 1),
        ("b8", 1),
        ("byte", 1),
    ];
    WIDTHS.iter().find(|(width, _)| name.contains(width)).map_or(4, |(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_read_from_names() {
        for (name, width) in [
            ("ds_load_b128", 16),
            ("ds_read_b64", 8),
            ("ds_load_u16_d16_hi", 2),
            ("buffer_load_dwordx3", 12),
            ("global_load_short_d16", 2),
            ("buffer_load_ubyte", 1),
            ("buffer_load_dword", 4),
            ("ds_load_2addr_stride64_b32", 4),
        ] {
            assert_eq!(bytes(name), width, "{name}");
        }
    }

    #[test]
    fn a_pair_counts_by_its_halves_and_a_conversion_is_no_product() {
        let mut counts = LoopCounts::default();
        counts.add("v_dual_fmac_f32 v1, v2, v3 :: v_dual_fmac_f32 v4, v5, v6 ; c8");
        counts.add("v_dual_fmac_f32 v1, v2, v3 :: v_dual_mov_b32 v4, v5 ; c8");
        counts.add("v_fma_mixlo_f16 v1, v2, 1.0, 0 ; cc");
        counts.add("v_mad_u32_u24 v1, v2, v3, v4 ; d5");
        assert_eq!((counts.fma, counts.vector), (3, 2));
    }
}
