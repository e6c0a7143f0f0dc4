//! Bars on what the compiler makes of forms that matter, one line each.
use super::Made;

/// A limit on one number of a form.
pub(crate) struct Bar {
    /// The chip.
    pub(crate) chip: &'static str,
    case: &'static str,
    form: &'static str,
    what: What,
    limit: Limit,
}

/// Numbers of a compiled form.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "bars come and go")]
pub(crate) enum What {
    /// Loads from workgroup memory for each matrix instruction of the hottest loop, or multiply-add where there are none.
    LdsLoadsPerProduct,
    /// Vector instructions beside them, likewise.
    VectorPerProduct,
    /// Stores into workgroup memory, likewise.
    LdsStoresPerProduct,
    /// Matrix instructions.
    Wmma,
    /// The share of the chip's peak that the loop or the memory allows at most.
    Share,
    /// Bytes of workgroup memory.
    LdsBytes,
    /// Subgroups on a SIMD.
    Subgroups,
    /// Vector registers.
    Vgprs,
    /// Bytes of machine code.
    CodeBytes,
}

/// Which side of the bar is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

use Limit::{AtLeast, AtMost};

/// A chip, parts of the names of a case and of a form, a number and its limit.
const fn bar(chip: &'static str, case: &'static str, form: &'static str, what: What, limit: Limit) -> Bar {
    Bar { chip, case, form, what, limit }
}

pub(crate) const BARS: &[Bar] = &[
    bar("navi21", "half matmul/1.3B qkv", "shared 8x4", What::LdsLoadsPerProduct, AtMost(0.12)),
    bar("navi21", "half matmul/1.3B qkv", "shared 8x4", What::VectorPerProduct, AtMost(0.15)),
    bar("navi21", "half attention/1.3B self", "shared 16x8x4x8", What::LdsLoadsPerProduct, AtMost(0.1)),
    bar("navi31", "half matmul/1.3B qkv", "shared 8x4", What::LdsLoadsPerProduct, AtMost(0.12)),
    bar("navi31", "half matmul/1.3B qkv", "64 lanes, 2x2 of 4x4", What::LdsLoadsPerProduct, AtMost(1.0)),
    bar("navi31", "half causal_conv3d", "64 lanes, 2x2 of 4x4", What::LdsLoadsPerProduct, AtMost(1.0)),
    bar("navi31", "half matmul/1.3B qkv", "64 lanes, 2x2 of 4x4", What::Subgroups, AtLeast(6.0)),
    bar("navi31", "half matmul/1.3B qkv", "64 lanes, 2x2 of 4x4", What::Share, AtLeast(0.85)),
    bar("gfx1151", "half matmul/1.3B qkv", "64 lanes, 2x2 of 4x4", What::LdsLoadsPerProduct, AtMost(1.0)),
    // Weights in groups, by those in f16: at most 5/4 of their vector instructions beside the products.
    bar(
        "navi31",
        "half matmul/1.3B out 4680x1536x1536, weight q8_0",
        "64 lanes, 2x2 of 4x4",
        What::VectorPerProduct,
        AtMost(2.5),
    ),
    bar(
        "navi31",
        "half matmul/1.3B out 4680x1536x1536, weight q4_k",
        "64 lanes, 2x2 of 4x4",
        What::VectorPerProduct,
        AtMost(2.5),
    ),
    bar("navi31", "matmul/weight q8_0", "shared 8x4", What::VectorPerProduct, AtMost(0.12)),
    bar("navi31", "matmul/weight q4_k", "shared 8x4", What::VectorPerProduct, AtMost(0.12)),
    // With the block that raises bases, which runs seldom; without it 1.8.
    bar("navi31", "half attention/1.3B self", "64 lanes, 4 of 1x2", What::LdsLoadsPerProduct, AtMost(3.4)),
    bar("navi31", "half attention/1.3B self", "64 lanes, 4 of 1x2", What::Subgroups, AtLeast(8.0)),
    bar("navi31", "half attention/heads of 64", "64 lanes, 4 of 2x2", What::LdsLoadsPerProduct, AtMost(2.7)),
    bar("navi31", "half attention/heads of 64", "64 lanes, 4 of 2x2", What::Subgroups, AtLeast(8.0)),
    bar("gfx1151", "half attention/1.3B self", "64 lanes, 4 of 1x2", What::LdsLoadsPerProduct, AtMost(3.4)),
    bar("gfx1151", "half attention/heads of 64", "64 lanes, 4 of 2x2", What::LdsLoadsPerProduct, AtMost(2.7)),
];

impl Bar {
    /// What is wrong: the forms that break it, or that there is none.
    pub(crate) fn broken_by(&self, made: &[Made]) -> Vec<String> {
        let ours =
            |made: &&Made| made.launch.case.contains(self.case) && made.launch.form.contains(self.form);
        let ours: Vec<&Made> = made.iter().filter(ours).collect();
        if ours.is_empty() {
            return vec![format!(
                "no form `{}` of a case `{}`, for which there is a bar",
                self.form, self.case
            )];
        }
        let broken = ours.iter().filter_map(|made| {
            let value = self.what.of(made)?;
            let kept = match self.limit {
                AtMost(most) => value <= most,
                AtLeast(least) => value >= least,
            };
            let (case, form) = (&made.launch.case, &made.launch.form);
            (!kept).then(|| format!("{case}, {form}: {:?} is {value:.3}, not {:?}", self.what, self.limit))
        });
        broken.collect()
    }
}

impl What {
    fn of(self, made: &Made) -> Option<f64> {
        let numbers = made.executable.statistics;
        let counts = made.executable.hottest_loop()?;
        let products = if counts.wmma > 0 { counts.wmma } else { counts.fma };
        let each = |count: usize| count as f64 / products as f64;
        Some(match self {
            Self::LdsLoadsPerProduct => each(counts.lds_loads),
            Self::VectorPerProduct => each(counts.vector),
            Self::LdsStoresPerProduct => each(counts.lds_stores),
            Self::Wmma => counts.wmma as f64,
            Self::Share => made.share()?,
            Self::LdsBytes => numbers.lds_bytes as f64,
            Self::Subgroups => numbers.subgroups_per_simd as f64,
            Self::Vgprs => numbers.vgprs as f64,
            Self::CodeBytes => numbers.code_bytes as f64,
        })
    }
}
