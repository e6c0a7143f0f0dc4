//! Pictures cut into overlapping tiles, and the tiles' results blended into one, as diffusers does it.
use std::{collections::HashMap, ops::Range};

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
        let row = |(row, rows): (usize, Range<usize>)| {
            let tile = move |(column, columns)| Tile { place: [row, column], rows: rows.clone(), columns };
            columns.clone().into_iter().enumerate().map(tile)
        };
        self.rows.tiles(height).enumerate().flat_map(row).collect()
    }

    /// The sizes of the tiles of a picture, the largest first. Tiles of one size after those of the other come in an
    /// order that a [`Blender`] takes.
    pub fn sizes(&self, height: usize, width: usize) -> Vec<[usize; 2]> {
        let mut sizes: Vec<[usize; 2]> = Vec::new();
        for tile in self.tiles(height, width) {
            if !sizes.contains(&tile.size()) {
                sizes.push(tile.size());
            }
        }
        sizes
    }
}

/// Part of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Its row and its column among the tiles.
    pub place: [usize; 2],
    /// From top to bottom.
    pub rows: Range<usize>,
    /// From left to right.
    pub columns: Range<usize>,
}

impl Tile {
    /// Extents along height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }
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
    /// Lower ends of tiles whose neighbour below is still to come, by their places.
    lower: HashMap<[usize; 2], Map>,
    /// Right ends of tiles whose neighbour to the right is still to come.
    right: HashMap<[usize; 2], Map>,
    whole: Map,
}

impl Blender {
    /// For a picture that becomes `[T, H, W, C]`.
    pub fn new(tiling: Tiling, result: [usize; 4]) -> Self {
        let whole = Map { shape: result, values: vec![0.0; result.iter().product()] };
        Self { tiling, lower: HashMap::new(), right: HashMap::new(), whole }
    }

    /// Adds the result of the tile at `place`, `[T, H, W, C]`; those above and to the left of it come before it.
    ///
    /// # Panics
    /// If the number of values is not that of the shape.
    pub fn add(&mut self, place: [usize; 2], shape: [usize; 4], values: Vec<f32>) {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "a tile's values");
        let ([row, column], Tiling { rows, columns }) = (place, self.tiling);
        let mut tile = Map { shape, values };
        if let Some(above) = row.checked_sub(1).and_then(|row| self.lower.remove(&[row, column])) {
            tile.fade_rows(&above, rows);
        }
        if let Some(left) = column.checked_sub(1).and_then(|column| self.right.remove(&[row, column])) {
            tile.fade_columns(&left, columns);
        }
        let end = |length: usize, axis: TileAxis| length.saturating_sub(axis.blend)..length;
        self.lower.insert(place, tile.part(end(shape[1], rows), 0..shape[2]));
        self.right.insert(place, tile.part(0..shape[1], end(shape[2], columns)));
        self.whole.paste(&tile, [row * rows.limit, column * columns.limit], [rows.limit, columns.limit]);
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
    fn sizes_come_largest_first() {
        let tiling = Tiling { rows: AXIS, columns: AXIS };
        assert_eq!(tiling.sizes(7, 8), [[4, 4], [4, 2], [1, 4], [1, 2]]);
        let overlapping = TileAxis { stride: 1, ..AXIS };
        let tiling = Tiling { rows: AXIS, columns: overlapping };
        assert_eq!(tiling.sizes(4, 5), [[4, 4], [4, 3], [4, 2], [4, 1], [1, 4], [1, 3], [1, 2], [1, 1]]);
    }

    #[test]
    fn equal_tiles_make_the_picture_and_others_fade() {
        let tiling = Tiling { rows: AXIS, columns: AXIS };
        let mut blender = Blender::new(tiling, [1, 10, 10, 1]);
        let picture = |y: usize, x: usize| f32::from(u8::try_from(10 * y + x).unwrap_or(0));
        for size in tiling.sizes(5, 5) {
            for tile in tiling.tiles(5, 5).into_iter().filter(|tile| tile.size() == size) {
                let (rows, columns) =
                    (2 * tile.rows.start..2 * tile.rows.end, 2 * tile.columns.start..2 * tile.columns.end);
                let values = rows.clone().flat_map(|y| columns.clone().map(move |x| picture(y, x))).collect();
                blender.add(tile.place, [1, rows.len(), columns.len(), 1], values);
            }
        }
        let want: Vec<f32> = (0..100_u8).map(f32::from).collect();
        assert_eq!(blender.finish(), want);

        let mut blender = Blender::new(tiling, [1, 2, 10, 1]);
        blender.add([0, 0], [1, 2, 8, 1], vec![0.0; 16]);
        blender.add([0, 1], [1, 2, 4, 1], vec![1.0; 8]);
        assert_eq!(blender.finish()[..10], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0]);
    }
}
