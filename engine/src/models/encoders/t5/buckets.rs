//! T5's relative positions, in buckets that grow with the distance.

/// The bucket of each relative position `key - query` from `1 - length` to `length - 1`.
///
/// T5's bidirectional buckets: half of them for each sign, of these half exact and half logarithmic up to
/// `max_distance`. The logarithm is taken in f32 as the reference does: the values sit on integers.
pub fn relative_buckets(length: usize, buckets: usize, max_distance: usize) -> Vec<u32> {
    let per_sign = buckets / 2;
    let exact = per_sign / 2;
    let bucket = |distance: usize| {
        if distance < exact {
            return distance;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the reference computes in f32")]
        let scale = (max_distance as f64 / exact as f64).ln() as f32;
        #[expect(clippy::cast_precision_loss, reason = "small integers")]
        let ratio = (distance as f32 / exact as f32).ln() / scale * (per_sign - exact) as f32;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "flooring is the point")]
        let offset = ratio as usize;
        (exact + offset).min(per_sign - 1)
    };
    let negative = (1..length).rev().map(bucket);
    let positive = (1..length).map(|distance| per_sign + bucket(distance));
    negative.chain([0]).chain(positive).map(crate::target::clamp_u32).collect()
}
