//! Three-axis rotary positions (RoFormer, arXiv:2104.09864, split over time, rows and columns).

use crate::models::RopeTables;

/// One angle per pair of channels for a grid of tokens in order t, h, w. Rows and columns get `2 * (head_dim / 6)`
/// channels each, time the rest.
pub fn rope_tables(head_dim: usize, grid: [usize; 3]) -> RopeTables {
    let spatial = 2 * (head_dim / 6);
    let dims = [head_dim - 2 * spatial, spatial, spatial];
    let axes: Vec<Vec<(f32, f32)>> = dims.iter().zip(grid).map(|(dim, n)| axis(*dim, n)).collect();
    let count = grid.iter().product::<usize>() * head_dim / 2;
    let (mut cos, mut sin) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for t in 0..grid[0] {
        for h in 0..grid[1] {
            for w in 0..grid[2] {
                for (table, position, dim) in [(0, t, dims[0]), (1, h, dims[1]), (2, w, dims[2])] {
                    for (c, s) in &axes[table][position * dim / 2..(position + 1) * dim / 2] {
                        cos.push(*c);
                        sin.push(*s);
                    }
                }
            }
        }
    }
    RopeTables { cos, sin, head_dim }
}

/// `[positions, dim / 2]` pairs of cosine and sine; angles in f64, theta 10,000.
fn axis(dim: usize, positions: usize) -> Vec<(f32, f32)> {
    let angle = |p: usize, i: usize| p as f64 * 10_000.0_f64.powf(-((2 * i) as f64) / dim as f64);
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the point")]
    let pair = |a: f64| (a.cos() as f32, a.sin() as f32);
    (0..positions).flat_map(|p| (0..dim / 2).map(move |i| pair(angle(p, i)))).collect()
}
