//! AMX: an instruction multiplies two matrices of 16 rows of 16 pairs in matrix registers, "tiles".

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::sync::OnceLock;

use super::dot::Dot;
use super::{Kernel, LEFT_STRIDE, Rounded, STEP, UnitWork};
use crate::cpu::gemm::Sums;
use crate::cpu::simd::{Avx512, Simd};

/// Rows of a tile.
const TILE_ROWS: usize = 16;
/// Bytes of a tile's rows.
const ROW_BYTES: u16 = 64;
/// Number of tiles.
const TILES: usize = 8;

/// Tiles, beside the instructions for pairs. A value exists only where [`Tiles::detect`] found the features and the system gave
/// the permission to use them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles(Dot);

impl Tiles {
    /// The unit, if this machine has it and lets this process use it; asked once.
    pub(super) fn detect() -> Option<Self> {
        static FOUND: OnceLock<bool> = OnceLock::new();
        let dot = Dot::detect()?;
        FOUND.get_or_init(|| has_tiles() && system_keeps_tiles() && is_permitted()).then_some(Self(dot))
    }

    /// Runs `work` with the tiles configured on this thread, in a function compiled for the vectors beside them.
    pub(super) fn run<W: UnitWork>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma")]
        fn inner<W: UnitWork>(tiles: Tiles, work: W) -> W::Output {
            work.run(tiles.0.vectors(), tiles)
        }
        let _configured = Configured::new(self);
        // SAFETY: `self` exists, so the machine has the features.
        unsafe { inner(self, work) }
    }
}

/// Whether the processor has tiles of the size that the kernel is written for, and multiplies bfloat16 in them.
fn has_tiles() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    let features = AMX_BF16 | AMX_TILE;
    if __cpuid(0).eax < 0x1d || __cpuid_count(7, 0).edx & features != features {
        return false;
    }
    let palette = __cpuid_count(0x1d, 1);
    let (row_bytes, tiles, rows) = (palette.ebx & 0xffff, palette.ebx >> 16, palette.ecx & 0xffff);
    row_bytes == u32::from(ROW_BYTES) && tiles as usize >= TILES && rows as usize >= TILE_ROWS
}

/// Whether the system saves tiles when it switches threads.
fn system_keeps_tiles() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const TILE_CONFIG: u32 = 1 << 17;
    const TILE_DATA: u32 = 1 << 18;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    let enabled: u32;
    // SAFETY: OSXSAVE says that the instruction exists; register 0 always does.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _, options(nomem, nostack)) };
    enabled & (TILE_CONFIG | TILE_DATA) == TILE_CONFIG | TILE_DATA
}

/// Asks the system to let this process use tiles.
fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let result: i64;
    // SAFETY: the system call changes nothing but what this process may use; it overwrites rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tiles of this thread, whole ones all of them, until it is dropped.
struct Configured;

impl Configured {
    fn new(_: Tiles) -> Self {
        let mut configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        configuration.row_bytes[..TILES].fill(ROW_BYTES);
        configuration.rows[..TILES].fill(16);
        // SAFETY: a `Tiles` exists only where the instruction does; it reads 64 bytes, which the structure has.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
        Self
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: `new` was given a `Tiles`, which exists only where the instruction does.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// A pass over a strip and a panel, sums in tiles: which sums there are, and the products of a step.
///
/// Tiles 0 to 3 are the sums, row by row; 4 and 5 hold rows of the strip, 6 and 7 columns of the panel.
macro_rules! pass {
    ($strip:expr, $panel:expr, $sums:expr, zero: [$($zero:literal),*], load: [$($load:literal),*],
        step: [$($step:literal),*], store: [$($store:literal),*]) => {
        asm!(
            $($zero,)*
            "test {add}, {add}",
            "jz 2f",
            $($load,)*
            "2:",
            "test {steps}, {steps}",
            "jz 4f",
            "3:",
            $($step,)*
            "add {left}, 64",
            "add {panel}, 2048",
            "dec {steps}",
            "jnz 3b",
            "4:",
            $($store,)*
            "/* {lower} {lower_sums} */",
            left = inout(reg) $strip.left => _,
            left_stride = in(reg) LEFT_STRIDE * size_of::<u16>(),
            lower = const TILE_ROWS * LEFT_STRIDE * size_of::<u16>(),
            panel = inout(reg) $panel => _,
            panel_stride = in(reg) Avx512::COLUMNS * 2 * size_of::<u16>(),
            steps = inout(reg) $strip.depth.div_ceil(STEP) => _,
            sums = in(reg) $sums.at,
            lower_sums = in(reg) $sums.at.wrapping_add(TILE_ROWS * $sums.stride),
            sums_stride = in(reg) $sums.stride * size_of::<f32>(),
            add = in(reg) usize::from($sums.accumulate),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

impl Kernel<Avx512> for Tiles {
    type Left = u16;
    const ROWS: usize = 2 * TILE_ROWS;

    #[inline(always)]
    unsafe fn round(self, s: Avx512, from: *const f32, count: usize, to: *mut u16) {
        // SAFETY: the same contract.
        unsafe { self.0.round(s, from, count, to) }
    }

    #[inline(always)]
    unsafe fn multiply(self, _: Avx512, strip: Rounded<u16>, panel: *const u16, wide: bool, sums: Sums) {
        // SAFETY: the tiles are configured while a `Tiles` is at work. A step reads 32 values of 16 or 32 rows of the strip and 16
        // pairs of rows of one or both vectors of the panel; the caller lets whole steps be read, and the sums be written.
        unsafe {
            match (strip.rows > TILE_ROWS, wide) {
                (true, true) => both(strip, panel, sums),
                (true, false) => first_columns(strip, panel, sums),
                (false, true) => first_rows(strip, panel, sums),
                (false, false) => first_rows_and_columns(strip, panel, sums),
            }
        }
    }
}

/// 32 rows and 32 columns.
///
/// # Safety
/// As [`Kernel::multiply`], on a thread whose tiles are configured; so the three others.
#[inline(never)]
unsafe fn both(strip: Rounded<u16>, panel: *const u16, sums: Sums) {
    // SAFETY: the caller's promise is all that the instructions ask for.
    unsafe {
        pass!(strip, panel, sums,
        zero: ["tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"],
        load: [
            "tileloadd tmm0, [{sums} + {sums_stride}]",
            "tileloadd tmm1, [{sums} + {sums_stride} + 64]",
            "tileloadd tmm2, [{lower_sums} + {sums_stride}]",
            "tileloadd tmm3, [{lower_sums} + {sums_stride} + 64]"
        ],
        step: [
            "tileloadd tmm6, [{panel} + {panel_stride}]",
            "tileloadd tmm4, [{left} + {left_stride}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{left} + {left_stride} + {lower}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{panel} + {panel_stride} + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7"
        ],
        store: [
            "tilestored [{sums} + {sums_stride}], tmm0",
            "tilestored [{sums} + {sums_stride} + 64], tmm1",
            "tilestored [{lower_sums} + {sums_stride}], tmm2",
            "tilestored [{lower_sums} + {sums_stride} + 64], tmm3"
        ]);
    }
}

/// 32 rows and 16 columns.
///
/// # Safety
/// As [`both`].
#[inline(never)]
unsafe fn first_columns(strip: Rounded<u16>, panel: *const u16, sums: Sums) {
    // SAFETY: the caller's promise is all that the instructions ask for.
    unsafe {
        pass!(strip, panel, sums,
        zero: ["tilezero tmm0", "tilezero tmm2"],
        load: [
            "tileloadd tmm0, [{sums} + {sums_stride}]",
            "tileloadd tmm2, [{lower_sums} + {sums_stride}]"
        ],
        step: [
            "tileloadd tmm6, [{panel} + {panel_stride}]",
            "tileloadd tmm4, [{left} + {left_stride}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{left} + {left_stride} + {lower}]",
            "tdpbf16ps tmm2, tmm5, tmm6"
        ],
        store: [
            "tilestored [{sums} + {sums_stride}], tmm0",
            "tilestored [{lower_sums} + {sums_stride}], tmm2"
        ]);
    }
}

/// 16 rows and 32 columns.
///
/// # Safety
/// As [`both`].
#[inline(never)]
unsafe fn first_rows(strip: Rounded<u16>, panel: *const u16, sums: Sums) {
    // SAFETY: the caller's promise is all that the instructions ask for.
    unsafe {
        pass!(strip, panel, sums,
        zero: ["tilezero tmm0", "tilezero tmm1"],
        load: [
            "tileloadd tmm0, [{sums} + {sums_stride}]",
            "tileloadd tmm1, [{sums} + {sums_stride} + 64]"
        ],
        step: [
            "tileloadd tmm6, [{panel} + {panel_stride}]",
            "tileloadd tmm4, [{left} + {left_stride}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{panel} + {panel_stride} + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7"
        ],
        store: [
            "tilestored [{sums} + {sums_stride}], tmm0",
            "tilestored [{sums} + {sums_stride} + 64], tmm1"
        ]);
    }
}

/// 16 rows and 16 columns.
///
/// # Safety
/// As [`both`].
#[inline(never)]
unsafe fn first_rows_and_columns(strip: Rounded<u16>, panel: *const u16, sums: Sums) {
    // SAFETY: the caller's promise is all that the instructions ask for.
    unsafe {
        pass!(strip, panel, sums,
            zero: ["tilezero tmm0"],
            load: ["tileloadd tmm0, [{sums} + {sums_stride}]"],
            step: [
                "tileloadd tmm6, [{panel} + {panel_stride}]",
                "tileloadd tmm4, [{left} + {left_stride}]",
                "tdpbf16ps tmm0, tmm4, tmm6"
            ],
            store: ["tilestored [{sums} + {sums_stride}], tmm0"]);
    }
}
