//! The rotary positions of Wan.
use crate::models::{RopeTables, rope::RopeAxis};

/// One angle per pair of channels for a grid of tokens in order t, h, w. Rows and columns get `2 * (head_dim / 6)`
/// channels each, time the rest.
pub fn rope_tables(head_dim: usize, grid: [usize; 3]) -> RopeTables {
    let spatial = 2 * (head_dim / 6);
    let [frames, height, width] = grid;
    RopeTables::new(&[
        RopeAxis::integers(head_dim - 2 * spatial, frames),
        RopeAxis::integers(spatial, height),
        RopeAxis::integers(spatial, width),
    ])
}
