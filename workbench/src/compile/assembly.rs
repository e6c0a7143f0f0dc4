//! Reads machine code as text and counts what its hottest loop does.
//!
//! Mesa's compiler gives LLVM's text, or its own where LLVM does not know the chip. Both have blocks that begin with `BB12` and branches
//! that name them:
//!
//! ```text
//! BB12:                                      BB12
//!     v_fmac_f32_e32 v1, v2, v3   ; 5602..      v1: %5:v[1] = v_fmac_f32 %6:v[2], %7:v[3], %5:v[1]
//!     s_cbranch_scc0 BB12                       s_cbranch_scc0 block:BB12
//! ```
//!
//! A branch back to a block makes a loop of all blocks from there to the branch. A block belongs to the innermost of its loops. The hottest
//! loop is the one whose own blocks hold the most matrix instructions, of equals the most multiply-adds, then the most
//! instructions; what loops inside it do is not counted.
mod counts;

pub use counts::LoopCounts;

/// A block: its number and its instructions.
#[derive(Debug, Default)]
struct Block<'a> {
    number: u32,
    lines: Vec<&'a str>,
}

/// Blocks by position, from its head to its last branch back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Loop {
    first: usize,
    last: usize,
}

/// The counts of the hottest loop; of all the code where nothing loops. `None` if the text holds no blocks.
pub fn hottest_loop(text: &str) -> Option<LoopCounts> {
    let blocks = blocks(text);
    if blocks.is_empty() {
        return None;
    }
    let loops = loops(&blocks);
    let of = |own: &dyn Fn(usize) -> bool| {
        let mut counts = LoopCounts::default();
        for (_, block) in blocks.iter().enumerate().filter(|(position, _)| own(*position)) {
            block.lines.iter().for_each(|line| counts.add(line));
        }
        counts
    };
    let hottest = loops.iter().map(|around| {
        let inside: Vec<&Loop> = loops.iter().filter(|other| other.is_inside(around)).collect();
        let own = |position| around.holds(position) && !inside.iter().any(|other| other.holds(position));
        LoopCounts { loops: true, inner_loops: inside.len(), ..of(&own) }
    });
    hottest
        .max_by_key(|counts| (counts.wmma, counts.fma, counts.instructions()))
        .or_else(|| Some(of(&|_| true)))
}

impl Loop {
    fn holds(&self, position: usize) -> bool {
        (self.first..=self.last).contains(&position)
    }

    fn is_inside(&self, other: &Self) -> bool {
        self != other && other.first <= self.first && self.last <= other.last
    }
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(number) = label(line) {
            blocks.push(Block { number, lines: Vec::new() });
        } else if let Some(block) = blocks.last_mut().filter(|_| !line.is_empty() && !line.starts_with("/*"))
        {
            block.lines.push(line);
        }
    }
    blocks
}

/// The number of a line that begins a block.
fn label(line: &str) -> Option<u32> {
    line.strip_prefix("BB")?.trim_end_matches(':').parse().ok()
}

fn loops(blocks: &[Block<'_>]) -> Vec<Loop> {
    let mut loops: Vec<Loop> = Vec::new();
    for (last, block) in blocks.iter().enumerate() {
        let targets = block.lines.iter().filter_map(|line| branch_target(line));
        for first in targets.filter_map(|number| blocks.iter().position(|block| block.number == number)) {
            if first > last {
                continue;
            }
            // Several branches back to one head, as `continue` makes them, are one loop.
            match loops.iter_mut().find(|known| known.first == first) {
                Some(known) => known.last = known.last.max(last),
                None => loops.push(Loop { first, last }),
            }
        }
    }
    loops
}

/// The block that a branch names.
fn branch_target(line: &str) -> Option<u32> {
    let target = line.strip_prefix("s_cbranch_").or_else(|| line.strip_prefix("s_branch"))?;
    let name =
        target.split_whitespace().find_map(|word| word.trim_start_matches("block:").strip_prefix("BB"))?;
    name.trim_end_matches([',', ':']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLVM: &str = "BB0:
\ts_load_b128 s[8:11], s[2:3], null    ; f4080201 f8000000
BB1:
\tbuffer_load_b64 v[1:2], v3, s[8:11], 0 offen     ; e0500000
\tv_add_nc_u32_e32 v1, v2, v3          ; 4a02
BB2:
\tds_store_b64 v1, v[2:3]              ; d9
\ts_cbranch_scc1 BB2                   ; bfa2
BB3:
\tds_load_b128 v[4:7], v1              ; dbfc
\tds_load_u16_d16_hi v4, v1 offset:16  ; da9c
\ts_waitcnt lgkmcnt(0)                 ; bf89
\tv_wmma_f32_16x16x16_f16 v[0:3], v[4:11], v[4:11], v[0:3] ; cc40
\tv_fma_f32 v1, v2, v3, v4             ; d613
\ts_cbranch_scc0 BB1                   ; bfa1
BB4:
\tbuffer_store_b64 v[1:2], v3, s[8:11], 0 offen    ; e06c
\ts_endpgm                             ; bfb0
";

    #[test]
    fn the_loop_with_the_matrices_is_counted_without_what_loops_inside() {
        let counts = hottest_loop(LLVM).unwrap();
        assert!(counts.loops && counts.inner_loops == 1);
        assert_eq!((counts.wmma, counts.fma, counts.vector), (1, 1, 1));
        assert_eq!((counts.lds_loads, counts.lds_load_bytes, counts.lds_stores), (2, 18, 0));
        assert_eq!((counts.global_loads, counts.global_load_bytes), (1, 8));
        // The branch.
        assert_eq!((counts.waits, counts.scalar, counts.global_stores), (1, 1, 0));
        assert_eq!(counts.other(), 2);
    }

    #[test]
    fn the_compilers_own_text_is_read_as_well() {
        let text = "Shader disassembly is not supported in the current configuration.
ACO shader stage: SW (CS), HW (COMPUTE_SHADER)
BB0
/* logical preds: / linear preds: / kind: uniform, top-level, */
\t s4: %8:s[8-11] = s_load_dwordx4 %6:s[2-3], 0
BB1
/* logical preds: BB0, BB1, / linear preds: BB0, BB1, / kind: uniform, loop-header, */
\t v2: %5:v[1-2] = ds_read2st64_b32 %3:v[0] offset1:2
\ts_waitcnt lgkmcnt(0)
\t v1: %5:v[1] = v_fmac_f32 %6:v[2], %7:v[3], %5:v[1]
\t s1: %10:s[7],  s1: %1356:scc = s_add_u32 %9:s[7], %1343:s[6]
\t s_cbranch_scc0 block:BB1
BB2
\ts_endpgm
";
        let counts = hottest_loop(text).unwrap();
        assert_eq!((counts.fma, counts.lds_loads, counts.lds_load_bytes), (1, 1, 8));
        assert_eq!((counts.waits, counts.scalar), (1, 2));
    }

    #[test]
    fn without_a_loop_all_is_counted_and_without_blocks_nothing() {
        let counts = hottest_loop("BB0:\n\tv_fma_f32 v1, v2, v3, v4 ; d6\n\ts_endpgm ; bf\n").unwrap();
        assert!(!counts.loops);
        assert_eq!((counts.fma, counts.scalar), (1, 1));
        assert_eq!(hottest_loop("no code"), None);
    }
}
