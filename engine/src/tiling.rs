//! Pictures cut into overlapping tiles, and the tiles' results blended into one, as diffusers does it.
use std::ops::Range;

/// How one axis of a picture is cut and put together again. A model's result may have another length than its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileAxis {
    /// Length of a tile in the input.
    pub tile: usize,
    /// From the beginning of a tile to that of the next one, in the input.
    pub stride: usize,
    /// Results over which a tile fades into the next one.
    pub blend: usize,
    /// Results that are taken of each tile.
    pub limit: usize,
    /// Results side by side that fade alike: the edge of a patch.
    pub unit: usize,
}

impl TileAxis {
    /// Where the tiles of an input of `length` lie.
    pub fn tiles(&self, length: usize) -> impl Iterator<Item = Range<usize>> {
        let tile = self.tile;
        (0..length).step_by(self.stride.max(1)).map(move |start| start..(start + tile).min(length))
    }

    /// Whether results lie where their inputs do, `scale` results for each: then there are no seams.
    pub fn is_seamless(&self, scale: usize) -> bool {
        self.limit == self.stride * scale && self.limit + self.blend == self.tile * scale && self.stride > 0
    }
}

/// How pictures are cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// From top to bottom.
    pub rows: TileAxis,
    /// From left to right.
    pub columns: TileAxis,
}

impl Tiling {
    /// The tiles of a picture, row by row.
    pub fn tiles(&self, height: usize, width: usize) -> Vec<Tile> {
        let columns: Vec<Range<usize>> = self.columns.tiles(width).collect();
        let row = |rows: Range<usize>| {
            columns.clone().into_iter().map(move |columns| Tile { rows: rows.clone(), columns })
        };
        self.rows.tiles(height).flat_map(row).collect()
    }
}

/// Part of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// From top to bottom.
    pub rows: Range<usize>,
    /// From left to right.
    pub columns: Range<usize>,
}

/// Values `[T, H, W, C]`.
#[derive(Debug, Clone, PartialEq)]
struct Map {
    shape: [usize; 4],
    values: Vec<f32>,
}

/// Puts the results of a picture's tiles together.
#[derive(Debug)]
pub struct Blender {
    tiling: Tiling,
    /// Tiles in a row.
    across: usize,
    /// Tiles so far.
    count: usize,
    /// Lower ends of the tiles of the row above and, up to the present one, of this row.
    above: Vec<Map>,
    /// The right end of the tile before.
    left: Option<Map>,
    whole: Map,
}

impl Blender {
    /// For a picture that is `width` wide in the input and becomes `[T, H, W, C]`.
    pub fn new(tiling: Tiling, width: usize, result: [usize; 4]) -> Self {
        let whole = Map { shape: result, values: vec![0.0; result.iter().product()] };
        let across = tiling.columns.tiles(width).count();
        Self { tiling, across, count: 0, above: Vec::with_capacity(across), left: None, whole }
    }

    /// Adds the next tile's result, `[T, H, W, C]`.
    ///
    /// # Panics
    /// If the number of values is not that of the shape.
    pub fn add(&mut self, shape: [usize; 4], values: Vec<f32>) {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "a tile's values");
        let (row, column) = (self.count / self.across.max(1), self.count % self.across.max(1));
        let Tiling { rows, columns } = self.tiling;
        let mut tile = Map { shape, values };
        if row > 0 {
            tile.fade_rows(&self.above[column], rows);
        }
        if let Some(left) = self.left.take().filter(|_| column > 0) {
            tile.fade_columns(&left, columns);
        }
        let end = |length: usize, axis: TileAxis| length.saturating_sub(axis.blend)..length;
        let lower = tile.part(end(shape[1], rows), 0..shape[2]);
        if row == 0 {
            self.above.push(lower);
        } else {
            self.above[column] = lower;
        }
        self.left = Some(tile.part(0..shape[1], end(shape[2], columns)));
        self.whole.paste(&tile, [row * rows.limit, column * columns.limit], [rows.limit, columns.limit]);
        self.count += 1;
    }

    /// The whole result.
    pub fn finish(self) -> Vec<f32> {
        self.whole.values
    }
}

/// The share of the later tile at place `at` of `extent`.
fn share(at: usize, extent: usize, unit: usize) -> [f32; 2] {
    #[expect(clippy::cast_precision_loss, reason = "extents are small")]
    let later = (at / unit) as f64 / (extent / unit) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
    let shares = [(1.0 - later) as f32, later as f32];
    shares
}

impl Map {
    fn at(&self, frame: usize, y: usize, x: usize) -> usize {
        let [_, h, w, c] = self.shape;
        ((frame * h + y) * w + x) * c
    }

    fn part(&self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let [t, _, _, c] = self.shape;
        let lines = (0..t).flat_map(|frame| rows.clone().map(move |y| (frame, y)));
        let values = lines
            .flat_map(|(frame, y)| {
                let start = self.at(frame, y, columns.start);
                &self.values[start..start + columns.len() * c]
            })
            .copied()
            .collect();
        Self { shape: [t, rows.len(), columns.len(), c], values }
    }

    /// The end of `above` fades into the beginning of this.
    fn fade_rows(&mut self, above: &Self, axis: TileAxis) {
        let extent = above.shape[1].min(self.shape[1]).min(axis.blend);
        let line = self.shape[2].min(above.shape[2]) * self.shape[3];
        for (frame, y) in (0..self.shape[0]).flat_map(|frame| (0..extent).map(move |y| (frame, y))) {
            let [earlier, later] = share(y, extent, axis.unit);
            let (from, to) = (above.at(frame, above.shape[1] - extent + y, 0), self.at(frame, y, 0));
            fade(&above.values[from..from + line], &mut self.values[to..to + line], earlier, later);
        }
    }

    /// The end of `left` fades into the beginning of this.
    fn fade_columns(&mut self, left: &Self, axis: TileAxis) {
        let extent = left.shape[2].min(self.shape[2]).min(axis.blend);
        let rows = self.shape[1].min(left.shape[1]);
        for (frame, y) in (0..self.shape[0]).flat_map(|frame| (0..rows).map(move |y| (frame, y))) {
            for x in 0..extent {
                let [earlier, later] = share(x, extent, axis.unit);
                let (from, to) = (left.at(frame, y, left.shape[2] - extent + x), self.at(frame, y, x));
                let channels = self.shape[3];
                fade(
                    &left.values[from..from + channels],
                    &mut self.values[to..to + channels],
                    earlier,
                    later,
                );
            }
        }
    }

    /// Takes over at most `limit` rows and columns of `tile`, as far as there is room.
    fn paste(&mut self, tile: &Self, [top, left]: [usize; 2], limit: [usize; 2]) {
        let [t, height, width, c] = self.shape;
        let rows = tile.shape[1].min(limit[0]).min(height.saturating_sub(top));
        let columns = tile.shape[2].min(limit[1]).min(width.saturating_sub(left));
        for (frame, y) in (0..t).flat_map(|frame| (0..rows).map(move |y| (frame, y))) {
            let (from, to) = (tile.at(frame, y, 0), self.at(frame, top + y, left));
            self.values[to..to + columns * c].copy_from_slice(&tile.values[from..from + columns * c]);
        }
    }
}

fn fade(earlier: &[f32], later: &mut [f32], share: f32, own: f32) {
    for (later, earlier) in later.iter_mut().zip(earlier) {
        *later = earlier * share + *later * own;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXIS: TileAxis = TileAxis { tile: 4, stride: 3, blend: 2, limit: 6, unit: 1 };

    #[test]
    fn tiles_cover_a_picture_and_end_with_it() {
        let tiles: Vec<Range<usize>> = AXIS.tiles(8).collect();
        assert_eq!(tiles, [0..4, 3..7, 6..8]);
        assert!(AXIS.is_seamless(2) && !AXIS.is_seamless(1));
        assert_eq!(Tiling { rows: AXIS, columns: AXIS }.tiles(3, 5).len(), 2);
    }

    #[test]
    fn equal_tiles_make_the_picture_and_others_fade() {
        let tiling = Tiling { rows: AXIS, columns: AXIS };
        let mut blender = Blender::new(tiling, 5, [1, 10, 10, 1]);
        let picture = |y: usize, x: usize| f32::from(u8::try_from(10 * y + x).unwrap_or(0));
        for tile in tiling.tiles(5, 5) {
            let (rows, columns) =
                (2 * tile.rows.start..2 * tile.rows.end, 2 * tile.columns.start..2 * tile.columns.end);
            let values = rows.clone().flat_map(|y| columns.clone().map(move |x| picture(y, x))).collect();
            blender.add([1, rows.len(), columns.len(), 1], values);
        }
        let want: Vec<f32> = (0..100_u8).map(f32::from).collect();
        assert_eq!(blender.finish(), want);

        let mut blender = Blender::new(tiling, 5, [1, 2, 10, 1]);
        blender.add([1, 2, 8, 1], vec![0.0; 16]);
        blender.add([1, 2, 4, 1], vec![1.0; 8]);
        assert_eq!(blender.finish()[..10], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0]);
    }
}
