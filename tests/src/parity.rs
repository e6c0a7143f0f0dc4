//! Whether a run says what the recorded one says, stage by stage.
use crate::{
    compare::{psnr, relative_l2},
    golden::{GoldenTensor, Recorded},
};
use engine::{
    compute::gpu::GpuOptions,
    compute::nn::Precision,
    pipeline::{
        DeviceChoice, EngineError, Event, Job, JobOptions, LoadOptions, Request, TensorData, VideoPipeline,
    },
};
use model_loader::ModelFolder;
use std::{collections::BTreeMap, fmt, ops::ControlFlow};

/// How far a run may be off.
#[derive(Debug, Clone, Copy)]
pub struct Bars {
    /// Largest relative L2 distance of a float tensor.
    pub relative_l2: f64,
    /// Smallest PSNR of 8-bit frames, in dB.
    pub psnr: f64,
}

/// How a run compares.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Relative L2 distance of every float tensor.
    pub distances: BTreeMap<String, f64>,
    /// PSNR of the frames.
    pub psnr: Option<f64>,
    /// What is wrong, one line each.
    pub failures: Vec<String>,
}

impl Verdict {
    /// The float tensor that is furthest off.
    pub fn worst(&self) -> Option<(&str, f64)> {
        let worst = self.distances.iter().max_by(|a, b| a.1.total_cmp(b.1));
        worst.map(|(key, distance)| (key.as_str(), *distance))
    }

    /// `Err` with the failures if there are any.
    ///
    /// # Errors
    /// If something is wrong.
    pub fn into_result(self) -> Result<Self, String> {
        if self.failures.is_empty() { Ok(self) } else { Err(self.failures.join("\n")) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, distance) = self.worst().unwrap_or(("nothing", f64::NAN));
        write!(f, "{} tensors, at most {distance:.1e} off ({key})", self.distances.len())?;
        self.psnr.map_or(Ok(()), |psnr| write!(f, ", frames {psnr:.1} dB"))
    }
}

/// Holds a run against the recorded tensors: floats by relative L2, integers exactly, 8-bit frames by PSNR.
pub fn judge(
    run: &BTreeMap<String, Recorded>,
    golden: &BTreeMap<&str, &GoldenTensor>,
    bars: Bars,
) -> Verdict {
    let mut verdict = Verdict::default();
    if golden.is_empty() {
        verdict.failures.push("nothing to compare with".to_owned());
    }
    for (key, wanted) in golden {
        let problem = match run.get(*key) {
            None => Some("missing".to_owned()),
            Some(got) => judge_one(&mut verdict, key, got, wanted, bars).err(),
        };
        verdict.failures.extend(problem.map(|problem| format!("{key}: {problem}")));
    }
    verdict
}

fn judge_one(
    verdict: &mut Verdict,
    key: &str,
    got: &Recorded,
    wanted: &GoldenTensor,
    bars: Bars,
) -> Result<(), String> {
    match (fit(got, wanted)?, &wanted.recorded.data) {
        (TensorData::F32(got), TensorData::F32(want)) => {
            if want.iter().all(|v| *v == 0.0) || want.iter().any(|v| !v.is_finite()) {
                return Err("the recorded tensor is all zero or not finite".to_owned());
            }
            let distance = relative_l2(&got, want);
            verdict.distances.insert(key.to_owned(), distance);
            let within = distance <= bars.relative_l2; // false for NaN
            if within {
                Ok(())
            } else {
                Err(format!("off by {distance:.2e}, allowed {:.0e}", bars.relative_l2))
            }
        }
        (TensorData::I64(got), TensorData::I64(want)) => {
            let differs = got.iter().zip(want).position(|(g, w)| g != w);
            differs.map_or(Ok(()), |i| Err(format!("[{i}] is {}, expected {}", got[i], want[i])))
        }
        (TensorData::U8(got), TensorData::U8(want)) => {
            let psnr = psnr(&got, want);
            verdict.psnr = Some(psnr);
            let within = psnr >= bars.psnr; // false for NaN
            if within { Ok(()) } else { Err(format!("{psnr:.1} dB, expected {} dB", bars.psnr)) }
        }
        (got, want) => Err(format!("{} instead of {}", kind(&got), kind(want))),
    }
}

/// Brings a tensor to the recorded one's extents: axes of one do not count, left-out rows are left out.
fn fit(got: &Recorded, wanted: &GoldenTensor) -> Result<TensorData, String> {
    let extents = |shape: &[usize]| shape.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
    let given = extents(&got.shape);
    if given == extents(&wanted.recorded.shape) {
        return Ok(got.data.clone());
    }
    if let Some((full, stride)) = &wanted.thinned
        && given == extents(full)
    {
        return Ok(match &got.data {
            TensorData::F32(values) => TensorData::F32(thin(values, full, stride)),
            TensorData::I64(values) => TensorData::I64(thin(values, full, stride)),
            TensorData::U8(values) => TensorData::U8(thin(values, full, stride)),
        });
    }
    Err(format!("the shape is {:?}, expected {:?}", got.shape, wanted.recorded.shape))
}

/// Every `stride`-th element along each axis.
fn thin<T: Copy>(values: &[T], shape: &[usize], stride: &[usize]) -> Vec<T> {
    let mut kept = values.to_vec();
    let mut inner = 1;
    for (extent, stride) in shape.iter().zip(stride).rev() {
        let line = extent * inner;
        let lines = kept.chunks(line).flat_map(|line| line.chunks(inner).step_by(*stride).flatten());
        kept = lines.copied().collect();
        inner *= extent.div_ceil(*stride);
    }
    kept
}

fn kind(data: &TensorData) -> &'static str {
    match data {
        TensorData::F32(_) => "floats",
        TensorData::I64(_) => "integers",
        TensorData::U8(_) => "bytes",
    }
}

/// The key under which [`run_model`] gives the frames themselves, `[T, H, W, 3]`.
pub const FRAMES: &str = "frames";

/// Every tensor that a run of a model reports, and the frames under [`FRAMES`].
///
/// # Errors
/// If the model cannot be opened or the run fails.
pub fn run_model(
    model: &ModelFolder,
    request: &Request,
    options: JobOptions,
    device: DeviceChoice,
    precision: Precision,
) -> Result<BTreeMap<String, Recorded>, EngineError> {
    let mut run = BTreeMap::new();
    let mut frames = Vec::new();
    let mut observer = |event: Event<'_>| {
        match event {
            Event::Tensor { name, shape, data } => {
                run.insert(name.to_owned(), Recorded { shape, data });
            }
            Event::Frame(frame) => frames.extend(frame.rgb),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let gpu = GpuOptions { runtime_checks: true, guard_bands: true, ..GpuOptions::default() };
    let settings = pollster::block_on(async {
        let load = LoadOptions { device, precision: Some(precision), gpu, ..LoadOptions::default() };
        let mut pipeline = VideoPipeline::load(model, load).await?;
        let (settings, _) = pipeline.resolve(request)?;
        pipeline.run(Job { options, ..Job::new(&settings, &mut observer) }).await?;
        Ok::<_, EngineError>(settings)
    })?;
    let shape = vec![settings.num_frames, settings.height, settings.width, 3];
    run.insert(FRAMES.to_owned(), Recorded { shape, data: TensorData::U8(frames) });
    Ok(run)
}

#[cfg(test)]
mod tests;
