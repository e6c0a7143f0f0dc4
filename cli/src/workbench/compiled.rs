//! What a chip's compiler made of kernels, as a table and as JSON.

use crate::ui;
use serde_json::{Value, json};
use std::fmt::Write as _;
use workbench::compile::{ASSUMPTIONS, Bound, Chip, Estimate, Executable, FormLaunch, LoopCounts};

/// All launches that were compiled.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// For what.
    pub(crate) chip: &'static Chip,
    /// By which driver.
    pub(crate) driver: String,
    /// One for each launch.
    pub(crate) rows: Vec<CompiledRow>,
}

/// A launch and what became of it.
#[derive(Debug)]
pub(crate) struct CompiledRow {
    /// Whose launch, in which form.
    pub(crate) launch: FormLaunch,
    /// What the compiler says.
    pub(crate) executable: Executable,
    /// Of its hottest loop.
    counts: Option<LoopCounts>,
    estimate: Option<Estimate>,
}

const HEADS: [&str; 25] = [
    "op",
    "form",
    "lanes",
    "VGPRs",
    "SGPRs",
    "spilled",
    "scratch",
    "LDS",
    "subgroups",
    "code",
    "wmma",
    "fma",
    "vector",
    "LDS ld",
    "LDS st",
    "loads",
    "waits",
    "scalar",
    "ld/product",
    "latency",
    "cycles",
    "of peak",
    "bound",
    "launches",
    "least ms",
];

impl CompiledRow {
    /// Counts and estimates.
    pub(crate) fn new(chip: &Chip, launch: FormLaunch, executable: Executable) -> Self {
        let counts = executable.hottest_loop();
        let FormLaunch { flops, bytes, .. } = launch;
        let of = |counts| Estimate::of(chip, counts, executable.subgroup_size, flops, bytes);
        let estimate = counts.as_ref().map(of);
        Self { launch, executable, counts, estimate }
    }

    /// Case, op and form.
    pub(crate) fn name(&self) -> String {
        format!("{}, {}, {}", self.launch.case, self.launch.op, self.launch.form)
    }

    /// Subgroup size; with the one that the form is written for, where it is another.
    fn lanes(&self) -> String {
        let got = self.executable.subgroup_size;
        match self.executable.misses_lanes_of(&self.launch.variant) {
            Some(written) => format!("{got}, not {written}"),
            None => got.to_string(),
        }
    }

    /// What all of its launches take at least.
    fn millis(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a number of launches")]
        self.estimate.map(|estimate| 1e3 * estimate.seconds * self.launch.launches as f64)
    }

    fn cells(&self) -> [String; HEADS.len()] {
        let numbers = &self.executable.statistics;
        let count = |pick: fn(&LoopCounts) -> usize| {
            self.counts.as_ref().map_or_else(|| "-".to_owned(), |counts| pick(counts).to_string())
        };
        let per_product = self.counts.and_then(|counts| counts.lds_loads_per_product());
        let dash = || "-".to_owned();
        [
            self.launch.op.clone(),
            self.launch.form.clone(),
            self.lanes(),
            numbers.vgprs.to_string(),
            numbers.sgprs.to_string(),
            numbers.spilled_vgprs.to_string(),
            numbers.scratch_bytes.to_string(),
            numbers.lds_bytes.to_string(),
            numbers.subgroups_per_simd.to_string(),
            numbers.code_bytes.to_string(),
            count(|counts| counts.wmma),
            count(|counts| counts.fma),
            count(|counts| counts.vector),
            count(|counts| counts.lds_loads),
            count(|counts| counts.lds_stores),
            count(|counts| counts.global_loads),
            count(|counts| counts.waits),
            count(|counts| counts.scalar),
            per_product.map_or_else(dash, |ratio| format!("{ratio:.2}")),
            numbers.latency_cycles.to_string(),
            numbers.throughput_cycles.to_string(),
            self.estimate.map_or_else(dash, |estimate| format!("{:.0} %", 100.0 * estimate.share)),
            self.estimate.map_or_else(dash, |estimate| bound(estimate.bound).to_owned()),
            self.launch.launches.to_string(),
            self.millis().map_or_else(dash, |millis| format!("{millis:.3}")),
        ]
    }

    fn json(&self, compiled: &Compiled) -> Value {
        let numbers = &self.executable.statistics;
        json!({
            "chip": compiled.chip.name,
            "driver": compiled.driver,
            "case": self.launch.case,
            "op": self.launch.op,
            "kernel": self.launch.kernel.name,
            "form": self.launch.form,
            "by_heuristic": self.launch.by_heuristic,
            "variant": self.launch.variant.label(),
            "launches": self.launch.launches,
            "flops": self.launch.flops,
            "bytes": self.launch.bytes,
            "subgroup_size": self.executable.subgroup_size,
            "written_for_subgroup_size": self.executable.misses_lanes_of(&self.launch.variant),
            "vgprs": numbers.vgprs,
            "sgprs": numbers.sgprs,
            "spilled_vgprs": numbers.spilled_vgprs,
            "spilled_sgprs": numbers.spilled_sgprs,
            "scratch_bytes": numbers.scratch_bytes,
            "lds_bytes": numbers.lds_bytes,
            "subgroups_per_simd": numbers.subgroups_per_simd,
            "code_bytes": numbers.code_bytes,
            "instructions": numbers.instructions,
            "latency_cycles": numbers.latency_cycles,
            "throughput_cycles": numbers.throughput_cycles,
            "loop": self.counts.as_ref().map(loop_json),
            "share_of_peak": self.estimate.map(|estimate| estimate.share),
            "least_ms": self.millis(),
            "bound": self.estimate.map(|estimate| bound(estimate.bound)),
        })
    }
}

fn loop_json(counts: &LoopCounts) -> Value {
    json!({
        "loops": counts.loops,
        "inner_loops": counts.inner_loops,
        "wmma": counts.wmma,
        "fma": counts.fma,
        "lds_loads": counts.lds_loads,
        "lds_load_bytes": counts.lds_load_bytes,
        "lds_stores": counts.lds_stores,
        "lds_store_bytes": counts.lds_store_bytes,
        "global_loads": counts.global_loads,
        "global_load_bytes": counts.global_load_bytes,
        "waits": counts.waits,
        "other": counts.other(),
        "vector": counts.vector,
        "scalar": counts.scalar,
        "global_stores": counts.global_stores,
        "scratch": counts.scratch,
        "lds_loads_per_product": counts.lds_loads_per_product(),
    })
}

fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Arithmetic => "arithmetic",
        Bound::Lds => "LDS",
        Bound::Cache => "cache",
        Bound::Memory => "memory",
    }
}

impl Compiled {
    /// A table for each case, with what its numbers mean.
    pub(crate) fn as_text(&self) -> String {
        let chip = self.chip;
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{chip} by {}: {} compute units at {} GHz, {:.1} TFLOP/s in f32, {:.1} by matrices of f16, {} GB/s",
            self.driver,
            chip.units,
            chip.ghz,
            chip.fma_gflops() / 1e3,
            chip.matrix_gflops() / 1e3,
            chip.memory_gbytes
        );
        let _ = writeln!(
            text,
            "Of each launch: registers of an invocation (VGPRs) and of a subgroup (SGPRs), bytes of scratch, workgroup memory (LDS) and \
             code, subgroups on a SIMD, instructions in its hottest loop, the compiler's cycles. {ASSUMPTIONS}"
        );
        for rows in self.rows.chunk_by(|a, b| a.launch.case == b.launch.case) {
            let _ = writeln!(text, "\n{}", rows[0].launch.case);
            let mut cells = vec![HEADS.map(str::to_owned)];
            cells.extend(rows.iter().map(CompiledRow::cells));
            text.push_str(&ui::table(&cells));
            let chosen = rows.iter().filter(|row| row.launch.by_heuristic);
            let millis: f64 = chosen.filter_map(CompiledRow::millis).sum();
            let _ = writeln!(text, "{millis:.3} ms at least in the heuristics' forms");
        }
        let spilling: Vec<String> =
            self.rows.iter().filter(|row| row.executable.spills()).map(CompiledRow::name).collect();
        if !spilling.is_empty() {
            let _ = writeln!(text, "\nThese spill or have scratch memory:\n  {}", spilling.join("\n  "));
        }
        text
    }

    /// An array with an object for each launch.
    pub(crate) fn as_json(&self) -> String {
        let rows: Vec<Value> = self.rows.iter().map(|row| row.json(self)).collect();
        format!("{:#}\n", Value::from(rows))
    }
}
