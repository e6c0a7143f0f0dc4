//! Which keys a query sees.
use std::ops::Range;

/// Which keys a query sees, by their positions; the last query stands at the last key's. Tiles that nobody sees are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mask {
    /// All.
    #[default]
    None,
    /// Those of its own block of so many positions and of the blocks before; with a block of one, none behind its own.
    Causal {
        /// Positions of a block.
        block: usize,
    },
    /// Those near its own position.
    Window {
        /// Positions before it that it sees.
        before: usize,
        /// Positions behind it that it sees.
        after: usize,
    },
}

impl Mask {
    /// `MASK` in `attention.wgsl`.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Causal { .. } => 1,
            Self::Window { .. } => 2,
        }
    }

    /// What the kernel is told: block or positions before, and positions behind; no more than there are keys.
    pub(super) fn extents(self, keys: usize) -> [usize; 2] {
        let extents = match self {
            Self::None => [0, 0],
            Self::Causal { block } => [block, 0],
            Self::Window { before, after } => [before, after],
        };
        extents.map(|extent| extent.min(keys))
    }

    /// What query `query` of `queries` sees of `keys` keys.
    pub(super) fn seen(self, query: usize, queries: usize, keys: usize) -> Range<usize> {
        let position = query + keys.saturating_sub(queries);
        match self {
            Self::None => 0..keys,
            Self::Causal { block } => 0..keys.min((position / block + 1).saturating_mul(block)),
            Self::Window { before, after } => {
                position.saturating_sub(before)..keys.min(position.saturating_add(after).saturating_add(1))
            }
        }
    }

    /// What some queries see altogether.
    pub(super) fn seen_by(self, some: &Range<usize>, queries: usize, keys: usize) -> Range<usize> {
        self.seen(some.start, queries, keys).start..self.seen(some.end - 1, queries, keys).end
    }

    /// Pairs of a query and a key that it sees.
    pub(super) fn pairs(self, queries: usize, keys: usize) -> u64 {
        match self {
            Self::None => queries as u64 * keys as u64,
            _ => (0..queries).map(|query| self.seen(query, queries, keys).len() as u64).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_see_back_to_the_first_key_or_around_themselves() {
        let causal = Mask::Causal { block: 3 };
        assert_eq!([0, 2, 3, 7].map(|query| causal.seen(query, 8, 8).end), [3, 3, 6, 8]);
        // Two queries behind six keys that were there before.
        assert_eq!(Mask::Causal { block: 1 }.seen(0, 2, 8), 0..7);
        let window = Mask::Window { before: 2, after: 1 };
        assert_eq!([0, 4, 7].map(|query| window.seen(query, 8, 8)), [0..2, 2..6, 5..8]);
        assert_eq!(window.seen_by(&(3..6), 8, 8), 1..7);
        assert_eq!(Mask::Window { before: usize::MAX, after: usize::MAX }.pairs(4, 4), 16);
        assert_eq!((Mask::Causal { block: 1 }.pairs(4, 4), causal.pairs(8, 8)), (10, 9 + 18 + 16));
    }
}
