//! Searches for the scale, or scale and minimum, with which whole levels come closest to some values.
//!
//! For given levels the best scale is a matter of least squares; the levels follow from a scale. So a few scales around that which
//! maps the extremes to the ends are tried: each gives levels, those the best scale, and the best of all is kept.

/// Below this, a scale in half precision is zero for every format.
const NOTHING: f32 = 1e-9;

/// The nearest whole number, ties to even, of a value far below 2^22. In vectors even where processors have no operation for it.
pub(super) fn round(value: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT) - SHIFT
}

/// The inverse of a scale, with which levels are the nearest whole numbers; zero for a scale of zero.
pub(super) fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// How much each value's error counts: that of large ones is more likely to matter.
pub(super) fn weights<const N: usize>(values: &[f32; N]) -> [f32; N] {
    let mean_square = values.iter().map(|value| value * value).sum::<f32>() / N as f32;
    let typical = mean_square.sqrt();
    values.map(|value| typical + value.abs())
}

/// The value farthest from zero.
pub(super) fn extreme(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most: f32, &value| if value.abs() > most.abs() { value } else { most })
}

/// Sums of what `terms` makes of each value and its weight, eight at a time so that they are computed in vectors.
fn sums<const N: usize, const TERMS: usize>(
    values: &[f32; N],
    weights: &[f32; N],
    terms: impl Fn(f32, f32) -> [f32; TERMS],
) -> [f32; TERMS] {
    const LANES: usize = 8;
    let mut lanes = [[0.0; LANES]; TERMS];
    for (values, weights) in values.as_chunks::<LANES>().0.iter().zip(weights.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            let terms = terms(values[lane], weights[lane]);
            for (lanes, term) in lanes.iter_mut().zip(terms) {
                lanes[lane] += term;
            }
        }
    }
    lanes.map(|lanes| lanes.iter().sum())
}

/// A scale whose products with levels between `least` and `most` come close to the values.
pub(super) fn scale<const N: usize>(values: &[f32; N], weights: &[f32; N], least: f32, most: f32) -> f32 {
    let end = extreme(values);
    if end.abs() < NOTHING {
        return 0.0;
    }
    let inverses = (-9i8..=9).map(|step| (least + 0.1 * f32::from(step)) / end);
    best_scale(inverses, |inverse| {
        sums(values, weights, |value, weight| {
            let level = round(value * inverse).clamp(least, most);
            [weight * value * level, weight * level * level]
        })
    })
}

/// As [`scale`], for levels of a table in rising order.
pub(super) fn scale_of_table<const N: usize>(
    values: &[f32; N],
    weights: &[f32; N],
    table: &[f32; 16],
) -> f32 {
    let end = extreme(values);
    if end.abs() < NOTHING {
        return 0.0;
    }
    let ends = (-7i8..=7).flat_map(|step| [table[0] + f32::from(step), table[15] + f32::from(step)]);
    best_scale(ends.map(|level| level / end), |inverse| {
        sums(values, weights, |value, weight| {
            let level = nearest(table, value * inverse);
            [weight * value * level, weight * level * level]
        })
    })
}

/// What of the table is nearest to the value. Steps are added up, which vectors can do.
pub(super) fn nearest(table: &[f32; 16], value: f32) -> f32 {
    let mut level = table[0];
    for pair in table.windows(2) {
        level += if value > (pair[0] + pair[1]) * 0.5 { pair[1] - pair[0] } else { 0.0 };
    }
    level
}

/// The scale that takes most from the squared error, which is the square of the one sum over the other.
fn best_scale(inverses: impl Iterator<Item = f32>, sums: impl Fn(f32) -> [f32; 2]) -> f32 {
    let (mut best_gain, mut best) = (0.0, 0.0);
    for inverse in inverses {
        let [value_level, level_level] = sums(inverse);
        let scale = value_level / level_level;
        let gain = scale * value_level;
        // False for NaN.
        if gain > best_gain {
            (best_gain, best) = (gain, scale);
        }
    }
    best
}

/// Scale and minimum: `scale * level + least` comes close to the values, for levels from 0 to `most`. `sinks` demands a minimum of
/// zero or below.
pub(super) fn scale_and_least<const N: usize>(
    values: &[f32; N],
    weights: &[f32; N],
    most: f32,
    sinks: bool,
) -> (f32, f32) {
    let (mut low, mut high) =
        values.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value)));
    if sinks {
        (low, high) = (low.min(0.0), high.max(low.min(0.0)));
    }
    let reach = high - low;
    if reach < NOTHING {
        return (0.0, low);
    }
    // From the lowest value up, so that a common offset costs no precision.
    let shifted = values.map(|value| value - low);
    let ceiling = if sinks { -low } else { f32::MAX };
    let (mut least_error, mut best) = (f32::MAX, (reach / most, 0.0));
    for step in -10i8..=10 {
        let inverse = (most + 0.1 * f32::from(step)) / reach;
        let line = Line::new(&shifted, weights, inverse, most);
        if let Some((scale, least)) = line.best(ceiling) {
            let error = line.error(scale, least);
            if error < least_error {
                (least_error, best) = (error, (scale, least));
            }
        }
    }
    (best.0, low + best.1)
}

/// Sums over weighted values and their levels, of which a line is fitted.
struct Line {
    one: f32,
    value: f32,
    level: f32,
    value_value: f32,
    value_level: f32,
    level_level: f32,
}

impl Line {
    fn new<const N: usize>(values: &[f32; N], weights: &[f32; N], inverse: f32, most: f32) -> Self {
        let [one, value, level, value_value, value_level, level_level] =
            sums(values, weights, |value, weight| {
                let level = round(value * inverse).clamp(0.0, most);
                let (weighted, of_level) = (weight * value, weight * level);
                [weight, weighted, of_level, weighted * value, weighted * level, of_level * level]
            });
        Self { one, value, level, value_value, value_level, level_level }
    }

    /// The scale and the minimum, at most `ceiling`, with the least error.
    fn best(&self, ceiling: f32) -> Option<(f32, f32)> {
        let determinant = self.one * self.level_level - self.level * self.level;
        let scale = (self.one * self.value_level - self.value * self.level) / determinant;
        let least = (self.level_level * self.value - self.level * self.value_level) / determinant;
        if least > ceiling {
            let scale = (self.value_level - ceiling * self.level) / self.level_level;
            return (scale > 0.0).then_some((scale, ceiling));
        }
        (determinant > 0.0 && scale > 0.0).then_some((scale, least))
    }

    /// The weighted squared error.
    fn error(&self, scale: f32, least: f32) -> f32 {
        self.value_value - 2.0 * (scale * self.value_level + least * self.value)
            + scale * scale * self.level_level
            + 2.0 * scale * least * self.level
            + least * least * self.one
    }
}
