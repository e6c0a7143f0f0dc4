//! Group norms over frames and volumes.
use crate::{Case, CaseInput, Tolerance};
use engine::{
    DType::{self, F16, F32},
    Graph, TensorId,
    compute::op::OpError,
    compute::ops::{GroupNormOptions, NearestModulation, Scope},
};

const EPS: f32 = 1e-6;

/// One norm.
#[derive(Debug, Clone, Copy)]
struct Norm {
    shape: [usize; 4],
    groups: usize,
    scope: Scope,
    silu: bool,
    /// Frames, height and width of the modulation, and whether the first frame is apart.
    modulation: Option<([usize; 3], bool)>,
    dtypes: [DType; 2],
}

impl Norm {
    fn new(shape: [usize; 4], groups: usize, scope: Scope) -> Self {
        Self { shape, groups, scope, silu: true, modulation: None, dtypes: [F32; 2] }
    }

    fn modulated(self, z: [usize; 3], first_apart: bool) -> Self {
        Self { modulation: Some((z, first_apart)), ..self }
    }

    fn inputs(&self) -> Vec<CaseInput> {
        let channels = self.shape[3];
        let mut inputs = vec![
            CaseInput::activation(&self.shape, self.dtypes[0]).spiked(),
            CaseInput::vector(&[channels]).range(0.5, 2.0),
            CaseInput::vector(&[channels]),
        ];
        inputs.extend(
            self.modulation.map(|([t, h, w], _)| CaseInput::activation(&[t, h, w, 2 * channels], F32)),
        );
        inputs
    }

    fn build(&self, graph: &mut Graph, x: TensorId, ids: &[TensorId]) -> Result<TensorId, OpError> {
        let modulation =
            self.modulation.map(|(_, first_apart)| NearestModulation { values: ids[3], first_apart });
        let options = GroupNormOptions {
            scope: self.scope,
            groups: self.groups,
            eps: EPS,
            weight: ids[1],
            bias: ids[2],
            modulation,
            silu: self.silu,
            out: self.dtypes[1],
        };
        graph.group_norm(x, &options)
    }

    fn reference(&self, data: &[Vec<f64>]) -> Vec<f64> {
        let [t, h, w, c] = self.shape;
        let n = c / self.groups;
        let positions = match self.scope {
            Scope::Volume => t * h * w,
            Scope::Frame => h * w,
            Scope::Position => 1,
        };
        let mut out = data[0].clone();
        for segment in out.chunks_mut(positions * c) {
            for g in 0..self.groups {
                let places: Vec<usize> = (0..segment.len()).filter(|i| i % c / n == g).collect();
                let count = places.len() as f64;
                let mean = places.iter().map(|i| segment[*i]).sum::<f64>() / count;
                let variance = places.iter().map(|i| (segment[*i] - mean).powi(2)).sum::<f64>() / count;
                for i in places {
                    segment[i] = (segment[i] - mean) / (variance + f64::from(EPS)).sqrt() * data[1][i % c]
                        + data[2][i % c];
                }
            }
        }
        for (i, value) in out.iter_mut().enumerate() {
            if let Some((z, apart)) = self.modulation {
                let (x, y, frame) = (i / c % w, i / c / w % h, i / c / w / h);
                let z_frame = match (apart, frame) {
                    (false, _) => frame * z[0] / t,
                    (true, 0) => 0,
                    (true, _) => 1 + (frame - 1) * (z[0] - 1) / (t - 1),
                };
                let at = (z_frame * z[1] + y * z[1] / h) * z[2] + x * z[2] / w;
                *value = *value * data[3][2 * at * c + i % c] + data[3][(2 * at + 1) * c + i % c];
            }
            if self.silu {
                *value /= 1.0 + (-*value).exp();
            }
        }
        out
    }

    fn case(self) -> Case {
        Case::new(
            format!("group_norm/{self:?}"),
            self.inputs(),
            move |graph, ids| self.build(graph, ids[0], ids),
            move |data| self.reference(data),
            tolerance(self.dtypes[1]),
        )
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for scope in [Scope::Volume, Scope::Frame, Scope::Position] {
        for dtypes in [[F32, F32], [F16, F16], [F16, F32]] {
            let norms = [
                Norm::new([3, 5, 7, 12], 4, scope),
                Norm { silu: false, ..Norm::new([2, 3, 11, 32], 8, scope) },
                Norm { silu: false, ..Norm::new([1, 13, 17, 6], 2, scope) },
                // As the decoder of a video does it: three frames of latents, then two.
                Norm::new([5, 4, 6, 16], 4, scope).modulated([3, 2, 3], true),
            ];
            cases.extend(norms.map(|norm| Norm { dtypes, ..norm }.case()));
        }
        let norms = [
            // More units of a group than a workgroup takes, groups that fill no workgroup, prime extents.
            Norm::new([2, 3, 5, 72], 2, scope),
            Norm::new([1, 4, 7, 9], 1, scope),
            Norm::new([2, 5, 3, 44], 11, scope),
            Norm::new([4, 4, 6, 8], 2, scope).modulated([2, 2, 3], false),
            Norm::new([1, 4, 6, 12], 3, scope).modulated([1, 2, 3], false),
            Norm::new([9, 5, 7, 6], 2, scope).modulated([3, 2, 3], true),
            Norm::new([2, 7, 11, 8], 2, scope).modulated([2, 7, 11], false),
        ];
        cases.extend(norms.map(Norm::case));
        cases.push(in_place(scope));
    }
    for scope in [Scope::Volume, Scope::Frame] {
        let norms = [
            Norm::new([1, 1, 2, 1], 1, scope),
            // Around the batches that are summed at once, and several chunks of them.
            Norm::new([1, 1, 8191, 1], 1, scope),
            Norm::new([1, 64, 64, 4], 2, scope),
            Norm::new([1, 1, 8193, 2], 2, scope),
            Norm::new([2, 59, 61, 24], 3, scope),
        ];
        cases.extend(norms.map(Norm::case));
        cases.push(far_from_zero(scope, F32));
    }
    cases
}

/// Of more than 64 KiB: a volume and frames that no binding holds, frames of which some fit, and a modulation that does not.
pub fn tall() -> Vec<Case> {
    let map = |scope| Norm::new([5, 24, 32, 16], 4, scope).modulated([3, 12, 16], true);
    let mut norms = [Scope::Volume, Scope::Frame, Scope::Position].map(map).to_vec();
    norms.push(Norm::new([2, 40, 40, 12], 2, Scope::Frame));
    norms.push(Norm::new([9, 13, 17, 24], 3, Scope::Frame));
    norms.push(Norm { dtypes: [F16, F32], ..Norm::new([3, 37, 41, 8], 8, Scope::Position) });
    norms.into_iter().map(Norm::case).collect()
}

fn tolerance(dtype: DType) -> Tolerance {
    match dtype {
        F16 => Tolerance { abs: 1e-5, rel: 1e-3 },
        // Tens of thousands of values up to 20 in f32.
        _ => Tolerance { abs: 1e-5, rel: 1e-5 },
    }
}

/// Mean 1000, variance 1: a mean of squares less the squared mean would keep two digits of the variance at best.
fn far_from_zero(scope: Scope, dtype: DType) -> Case {
    let norm = Norm { silu: false, ..Norm::new([3, 19, 23, 16], 4, scope) };
    let mut inputs = norm.inputs();
    let half_width = 3.0_f64.sqrt();
    inputs[0] = CaseInput::activation(&norm.shape, dtype).range(1000.0 - half_width, 1000.0 + half_width);
    Case::new(
        format!("group_norm/far from zero/{scope:?}/{dtype}"),
        inputs,
        move |graph, ids| norm.build(graph, ids[0], ids),
        move |data| norm.reference(data),
        // The mean is an f32 near 1000: half a unit in its last place is 3e-5, and weights go up to 2.
        Tolerance { abs: 2e-4, rel: 1e-5 },
    )
}

/// The norm takes over the buffer of the sum before it.
fn in_place(scope: Scope) -> Case {
    let norm = Norm::new([3, 9, 11, 12], 3, scope).modulated([3, 3, 4], true);
    let mut inputs = norm.inputs();
    inputs.push(CaseInput::activation(&norm.shape, F32));
    Case::new(
        format!("group_norm/in place/{scope:?}"),
        inputs,
        move |graph, ids| {
            let sum = graph.add(ids[0], ids[4])?;
            norm.build(graph, sum, ids)
        },
        move |data| {
            let mut data = data.to_vec();
            let y = data[4].clone();
            data[0].iter_mut().zip(y).for_each(|(x, y)| *x += y);
            norm.reference(&data)
        },
        tolerance(F32),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_dtypes_are_checked() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 2, 3, 8], F32);
        let flat = graph.input("flat", &[6, 8], F32);
        let (weight, short) = (graph.input("weight", &[8], F32), graph.input("short", &[7], F32));
        let z = graph.input("z", &[1, 1, 1, 8], F32);
        let wide = graph.input("wide", &[1, 1, 1, 16], F32);
        let mut refused_with = |x, groups, bias, out, modulation| {
            let scope = Scope::Volume;
            let options =
                GroupNormOptions { scope, groups, eps: EPS, weight, bias, modulation, silu: true, out };
            graph.group_norm(x, &options).unwrap_err().to_string()
        };
        let mut modulated = |values, first_apart| {
            refused_with(x, 4, weight, F32, Some(NearestModulation { values, first_apart }))
        };
        assert_eq!(
            modulated(z, false),
            "group_norm: modulation is [1, 1, 1, 8], expected [frames, height, width, 16]"
        );
        assert_eq!(
            modulated(wide, true),
            "group_norm: the number of frames is [1, 1], expected two or more in both volumes, the first being apart"
        );
        let mut refused = |x, groups, bias, out| refused_with(x, groups, bias, out, None);
        assert_eq!(
            refused(flat, 4, weight, F32),
            "group_norm: x is [6, 8], expected [frames, height, width, channels]"
        );
        assert_eq!(
            refused(x, 3, weight, F32),
            "group_norm: groups is 3, expected a divisor of x's 8 channels"
        );
        assert_eq!(refused(x, 4, short, F32), "group_norm: bias is [7], expected [8]");
        assert_eq!(refused(x, 4, weight, DType::U32), "group_norm: out is u32, expected f32, f16 or bf16");
    }
}
