//! The extents of a convolution, and which part of its input some of its output needs.
use std::ops::Range;

/// All extents of one convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extents {
    /// Frames, height, width of x.
    pub(super) input: [usize; 3],
    pub(super) channels: usize,
    pub(super) kernel: [usize; 3],
    /// Frames in front of x.
    pub(super) front: usize,
    /// Whether those are x's first frame.
    pub(super) repeats: bool,
    pub(super) stride: [usize; 3],
    /// Zeros above and to the left.
    pub(super) pad: [usize; 2],
    /// 1, or 2 where x is enlarged.
    pub(super) factor: usize,
    /// Frames, height, width of the sums.
    pub(super) output: [usize; 3],
    pub(super) n: usize,
}

/// Elements of the inputs that some rows need; none where they lie outside an input altogether.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) x: Option<Range<usize>>,
    pub(super) front: Option<Range<usize>>,
}

impl Extents {
    /// Values of one output channel's kernel.
    pub(super) fn k(&self) -> usize {
        self.kernel.iter().product::<usize>() * self.channels
    }

    /// Positions of one output frame.
    pub(super) fn frame(&self) -> usize {
        self.output[1] * self.output[2]
    }

    /// What the output positions `rows` need for the given taps along time.
    pub(super) fn window(&self, rows: &Range<usize>, taps: &Range<usize>) -> Window {
        let place = |row: usize| (row / self.frame(), row % self.frame() / self.output[2]);
        let ((first_t, first_y), (last_t, last_y)) = (place(rows.start), place(rows.end - 1));
        let [_, height, width] = self.input;
        let line = |y: usize| (y.saturating_sub(self.pad[0]) / self.factor).min(height - 1);
        let top = line(first_y * self.stride[1]);
        let bottom = line(last_y * self.stride[1] + self.kernel[1] - 1) + 1;
        // Frames counted from the first one in front. The very first is read by rows of the first output frame only, hence
        // from `top` on, and the very last down to `bottom`; those between are read whole unless there is one output frame.
        let (first, last) = (first_t * self.stride[0] + taps.start, last_t * self.stride[0] + taps.end - 1);
        let elements = |from: usize, to: usize, skipped: usize| {
            let start = if from == first || first_t == last_t { top } else { 0 };
            let end = if to == last || first_t == last_t { bottom } else { height };
            let pixels = ((from - skipped) * height + start) * width..((to - skipped) * height + end) * width;
            pixels.start * self.channels..pixels.end * self.channels
        };
        if self.repeats && first < self.front {
            let frames = last.max(self.front) + 1 - self.front;
            return Window { x: Some(0..frames * height * width * self.channels), front: None };
        }
        Window {
            x: (last >= self.front).then(|| elements(first.max(self.front), last, self.front)),
            front: (first < self.front).then(|| elements(first, last.min(self.front - 1), 0)),
        }
    }

    /// Positions of the output that `rows` go to when each frame is stored as two, the first one perhaps only as its second.
    pub(super) fn frame_pairs(&self, rows: &Range<usize>, first_once: bool) -> Range<usize> {
        let frame = self.frame();
        let last = rows.end - 1;
        let skipped = usize::from(first_once);
        (2 * (rows.start / frame)).saturating_sub(skipped) * frame + rows.start % frame
            ..(2 * (last / frame) + 1 - skipped) * frame + last % frame + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents() -> Extents {
        Extents {
            input: [3, 4, 5],
            channels: 2,
            kernel: [3, 3, 3],
            front: 2,
            repeats: false,
            stride: [1; 3],
            pad: [1, 1],
            factor: 1,
            output: [3, 4, 5],
            n: 7,
        }
    }

    /// Which elements the taps really touch, one by one.
    fn touched(e: &Extents, rows: &Range<usize>, taps: &Range<usize>) -> Window {
        let mut found: [Vec<usize>; 2] = Default::default();
        for row in rows.clone() {
            let (t, y, x) = (row / e.frame(), row % e.frame() / e.output[2], row % e.output[2]);
            for dt in taps.clone() {
                for (dy, dx) in (0..e.kernel[1]).flat_map(|dy| (0..e.kernel[2]).map(move |dx| (dy, dx))) {
                    let t = t * e.stride[0] + dt;
                    let Some(y) = (y * e.stride[1] + dy).checked_sub(e.pad[0]).map(|y| y / e.factor) else {
                        continue;
                    };
                    let Some(x) = (x * e.stride[2] + dx).checked_sub(e.pad[1]).map(|x| x / e.factor) else {
                        continue;
                    };
                    if y >= e.input[1] || x >= e.input[2] {
                        continue;
                    }
                    let (source, t) = if t >= e.front { (0, t - e.front) } else { (1, t) };
                    found[source].push(((t * e.input[1] + y) * e.input[2] + x) * e.channels);
                }
            }
        }
        let range = |v: &Vec<usize>| Some(*v.iter().min()?..*v.iter().max()? + e.channels);
        Window { x: range(&found[0]), front: range(&found[1]) }
    }

    #[test]
    fn windows_hold_all_that_is_read_and_little_more() {
        let strided =
            Extents { stride: [2, 2, 2], output: [2, 2, 3], front: 2, input: [4, 4, 5], ..extents() };
        let enlarged = Extents { factor: 2, output: [3, 8, 10], ..extents() };
        for e in [extents(), strided, enlarged] {
            let total = e.output.iter().product::<usize>();
            for start in 0..total {
                for end in [start + 1, (start + 7).min(total), total] {
                    for taps in [0..3, 0..1, 1..2, 2..3] {
                        let (rows, row) = (start..end, e.input[2] * e.channels);
                        let (got, want) = (e.window(&rows, &taps), touched(&e, &rows, &taps));
                        for (got, want) in [(got.x, want.x), (got.front, want.front)] {
                            let Some(want) = want else { continue };
                            let got = got.unwrap();
                            assert!(got.start <= want.start && want.end <= got.end, "{rows:?} {taps:?}");
                            assert!(got.start + 4 * row >= want.start && got.end <= want.end + 4 * row);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn frame_pairs_span_both_halves() {
        assert_eq!(extents().frame_pairs(&(0..20), false), 0..40);
        assert_eq!(extents().frame_pairs(&(5..25), false), 5..65);
        assert_eq!(extents().frame_pairs(&(20..60), false), 40..120);
        assert_eq!(extents().frame_pairs(&(5..25), true), 5..45);
        assert_eq!(extents().frame_pairs(&(20..60), true), 20..100);
    }
}
