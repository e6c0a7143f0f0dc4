//! Chips that a compiler can be opened for without having them, and what their makers publish about them.
use std::fmt;

/// One chip. The numbers are those of the fastest card sold with it, from AMD's product pages and instruction set manuals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chip {
    /// The driver's name for it, in lower case.
    pub name: &'static str,
    /// A card or processor with it.
    pub card: &'static str,
    /// Compute units.
    pub units: u32,
    /// Boost clock, in GHz.
    pub ghz: f64,
    /// Bandwidth of its memory, in 10^9 bytes a second.
    pub memory_gbytes: f64,
    /// Operations of f16 matrix instructions, by unit and clock; 0 without such instructions.
    pub matrix_flops: u32,
}

/// Lanes of vector arithmetic in a compute unit, each a multiply-add a clock. RDNA 3 can pair some of them, which no public
/// number promises for real code: it is left out of the peak.
pub const LANES: u32 = 64;
/// Bytes a clock that a compute unit reads from its workgroup memory (LDS).
pub const LDS_BYTES: u32 = 128;
/// Bytes a clock that a compute unit reads from its first-level cache.
pub const CACHE_BYTES: u32 = 64;

/// All that are known, by age.
pub const CHIPS: &[Chip] = &[
    Chip {
        name: "polaris10",
        card: "Radeon RX 580",
        units: 36,
        ghz: 1.34,
        memory_gbytes: 256.0,
        matrix_flops: 0,
    },
    Chip {
        name: "navi21",
        card: "Radeon RX 6800",
        units: 60,
        ghz: 2.105,
        memory_gbytes: 512.0,
        matrix_flops: 0,
    },
    Chip {
        name: "navi31",
        card: "Radeon RX 7900 XTX",
        units: 96,
        ghz: 2.5,
        memory_gbytes: 960.0,
        matrix_flops: 512,
    },
    Chip {
        name: "gfx1151",
        card: "Radeon 8060S (Strix Halo)",
        units: 40,
        ghz: 2.9,
        memory_gbytes: 256.0,
        matrix_flops: 512,
    },
];

impl Chip {
    /// The chip of this name, in any case.
    pub fn named(name: &str) -> Option<&'static Self> {
        CHIPS.iter().find(|chip| chip.name.eq_ignore_ascii_case(name.trim()))
    }

    /// 10^9 operations a second of multiply-adds in f32.
    pub fn fma_gflops(&self) -> f64 {
        f64::from(self.units * LANES * 2) * self.ghz
    }

    /// 10^9 operations a second of its matrix instructions; 0 without any.
    pub fn matrix_gflops(&self) -> f64 {
        f64::from(self.units * self.matrix_flops) * self.ghz
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_peaks_follow_from_the_numbers() {
        // AMD: 16.17 TFLOP/s for the RX 6800, 122.8 in f16 for the RX 7900 XTX.
        let rounded = |gflops: f64| (gflops / 100.0).round() / 10.0;
        assert_eq!(rounded(Chip::named("NAVI21").unwrap().fma_gflops()), 16.2);
        assert_eq!(rounded(Chip::named("navi31").unwrap().matrix_gflops()), 122.9);
        assert!(Chip::named("rtx4090").is_none());
    }
}
