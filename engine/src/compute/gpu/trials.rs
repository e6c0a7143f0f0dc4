//! One launch run in several forms on random operands, compared and timed.
use super::{
    Gpu, buffers,
    launch::{self, BoundLaunch, ParamBlocks},
    pipelines::{Pipeline, Pipelines},
    readback,
    timestamps::Timestamps,
};
use crate::{
    error::DeviceError,
    op::{Binding, Io, Launch, Operand},
    stopwatch::Stopwatch,
    tensor::{DType, Grouping, TensorDesc},
    tuner::Trials,
};
use shaders::Access;
use std::time::Duration;

/// The first launch of an op in all its forms.
pub(super) struct LaunchTrials<'a> {
    gpu: &'a Gpu,
    operands: Vec<Trial>,
    forms: Vec<Result<BoundLaunch, Option<DeviceError>>>,
    timestamps: Option<Timestamps>,
    reference: Vec<Vec<f32>>,
    tolerance: f64,
}

/// An operand's own copy.
struct Trial {
    operand: Operand,
    desc: TensorDesc,
    buffer: wgpu::Buffer,
    written: bool,
}

/// More than this is not allocated for trials.
const MOST_BYTES: u64 = 768 << 20;

/// Random numbers made; larger operands repeat them. A prime, so that no two rows are the same.
const PERIOD: usize = 65_521;

/// Length of one timed submission, and how many there are.
const SUBMISSION: Duration = Duration::from_millis(2);
const SUBMISSIONS: usize = 3;
const MOST_REPEATS: usize = 256;

impl<'a> LaunchTrials<'a> {
    /// Compiles the forms and makes operands; `None` if those are too large to have twice.
    pub(super) async fn new(
        gpu: &'a Gpu,
        pipelines: &mut Pipelines,
        io: &Io<'_>,
        launches: &[Launch],
    ) -> Result<Option<Self>, DeviceError> {
        let Some(first) = launches.first() else { return Ok(None) };
        let made = pipelines.try_each(gpu, launches.iter().map(launch::key).collect()).await;
        let Some(Ok(own)) = made.first() else { return Ok(None) };
        let accesses = own.accesses.clone();
        let mut operands: Vec<Trial> = Vec::new();
        let (mut bytes, mut tolerance) = (0, 1e-4);
        for (binding, access) in first.bindings.iter().zip(accesses.iter().skip(1)) {
            let written = *access == Access::ReadWrite;
            if let Some(known) = operands.iter_mut().find(|known| known.operand == binding.operand) {
                known.written |= written;
                continue;
            }
            let same = first.bindings.iter().filter(|other| other.operand == binding.operand);
            let size = same.map(|other| other.offset + other.size).max().unwrap_or(0).next_multiple_of(4);
            bytes += size;
            if bytes > MOST_BYTES {
                return Ok(None);
            }
            let dtype = match binding.operand {
                Operand::Input(index) => io.inputs[index].dtype,
                Operand::Output => io.output.dtype,
                Operand::Scratch(_) | Operand::Unused => DType::F32,
            };
            if dtype == DType::F16 {
                tolerance = 1e-2;
            }
            let size_here = usize::try_from(size).unwrap_or(usize::MAX);
            let elements = match dtype {
                DType::Grouped(grouping) => size_here / grouping.bytes(1) * grouping.len(),
                _ => size_here / dtype.size(),
            };
            let desc = TensorDesc::new(&[elements], dtype);
            let buffer = buffers::storage(gpu, "operand of a trial", size).await?;
            buffers::fill(gpu, &buffer, &random(&desc)).await?;
            operands.push(Trial { operand: binding.operand, desc, buffer, written });
        }
        let timestamps = Timestamps::new(gpu).await?;
        let mut trials =
            Self { gpu, operands, forms: Vec::new(), timestamps, reference: Vec::new(), tolerance };
        let params = ParamBlocks::new(gpu, launches).await?;
        for (index, (launch, made)) in launches.iter().zip(made).enumerate() {
            let form = match made {
                Ok(pipeline) if pipeline.accesses == accesses => {
                    trials.form(launch, &pipeline, params.block(index)).await
                }
                Ok(_) => Err(DeviceError::Validation("it binds other operands".to_owned())),
                Err(error) => Err(error),
            };
            trials.forms.push(form.map_err(Some));
        }
        Ok(Some(trials))
    }

    async fn form(
        &self,
        launch: &Launch,
        pipeline: &Pipeline,
        params: wgpu::BindingResource<'_>,
    ) -> Result<BoundLaunch, DeviceError> {
        let operand = |binding: &Binding| {
            let found = self.operands.iter().find(|trial| trial.operand == binding.operand);
            let fits = |trial: &&Trial| binding.offset + binding.size <= trial.buffer.size();
            let other = || DeviceError::Validation("it binds other ranges".to_owned());
            found.filter(fits).map(|trial| &trial.buffer).ok_or_else(other)
        };
        launch::bind(self.gpu, launch, pipeline, params, operand).await
    }

    /// Runs a form so many times in one submission; the time of one.
    async fn submit(&self, form: usize, repeats: usize) -> Result<Duration, DeviceError> {
        let Ok(form) = &self.forms[form] else {
            return Err(DeviceError::Validation("it was not compiled".to_owned()));
        };
        let clock = Stopwatch::start();
        let submission = self.gpu.scoped("a trial", 0, || {
            let mut encoder =
                self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let writes = self.timestamps.as_ref().map(|timestamps| timestamps.writes(0));
            launch::encode(&mut encoder, std::iter::repeat_n(form, repeats), writes);
            if let Some(timestamps) = &self.timestamps {
                timestamps.resolve(&mut encoder, 1);
            }
            self.gpu.queue.submit([encoder.finish()])
        });
        self.gpu.wait(submission.await?).await?;
        let mut time = clock.elapsed();
        if let Some(timestamps) = &self.timestamps
            && let Some(measured) = timestamps.read(self.gpu, 1).await?.first()
            && !measured.is_zero()
        {
            time = *measured;
        }
        Ok(time.div_f64(repeats as f64))
    }
}

impl Trials for LaunchTrials<'_> {
    async fn difference(&mut self, form: usize) -> Result<f64, DeviceError> {
        if let Err(error) = &mut self.forms[form] {
            let again = || DeviceError::Validation("it was not compiled".to_owned());
            return Err(error.take().unwrap_or_else(again));
        }
        for trial in self.operands.iter().filter(|trial| trial.written) {
            buffers::fill(self.gpu, &trial.buffer, &random(&trial.desc)).await?;
        }
        self.submit(form, 1).await?;
        let mut results = Vec::new();
        for trial in self.operands.iter().filter(|trial| trial.written) {
            results.push(readback::read(self.gpu, &trial.buffer, &trial.desc).await?);
        }
        if form == 0 {
            if results.iter().flatten().any(|value| !value.is_finite()) {
                return Err(DeviceError::Validation("nothing to compare with".to_owned()));
            }
            self.reference = results;
            return Ok(0.0);
        }
        let both = results.iter().flatten().zip(self.reference.iter().flatten());
        let (mut error, mut norm) = (0.0, 0.0);
        for (got, want) in both {
            let (got, want) = (f64::from(*got), f64::from(*want));
            error += (got - want) * (got - want);
            norm += want * want;
        }
        Ok((error / norm).sqrt())
    }

    async fn time(&mut self, form: usize) -> Result<Duration, DeviceError> {
        let once = self.submit(form, 1).await?.max(Duration::from_nanos(100));
        let wanted = SUBMISSION.as_nanos() / once.as_nanos().max(1);
        let repeats = usize::try_from(wanted).unwrap_or(MOST_REPEATS).clamp(1, MOST_REPEATS);
        let mut best = once;
        for _ in 0..SUBMISSIONS {
            best = best.min(self.submit(form, repeats).await?);
        }
        Ok(best)
    }

    fn tolerance(&self) -> f64 {
        self.tolerance
    }
}

/// Numbers in -1..1, the same at each call.
fn random(desc: &TensorDesc) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    if let DType::Grouped(grouping) = desc.dtype {
        return random_groups(grouping, desc.elements(), state);
    }
    let values = (0..PERIOD).map(|_| {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        f32::from_bits(0x3F80_0000 | (state >> 9)).mul_add(2.0, -3.0)
    });
    let block: Vec<u8> = match desc.dtype {
        DType::F16 => values.flat_map(|value| half::f16::from_f32(value).to_le_bytes()).collect(),
        DType::Bf16 => values.flat_map(|value| half::bf16::from_f32(value).to_le_bytes()).collect(),
        DType::F32 | DType::U32 | DType::Grouped(_) => values.flat_map(f32::to_le_bytes).collect(),
    };
    let size = usize::try_from(desc.bytes()).unwrap_or(0);
    let mut bytes = block.repeat(size.div_ceil(block.len()).max(1));
    bytes.truncate(size);
    bytes
}

/// Groups of any codes, whose scales are small enough for their largest values to stay near one.
fn random_groups(grouping: Grouping, values: usize, mut state: u32) -> Vec<u8> {
    let groups = values.div_ceil(grouping.len());
    let last = grouping.words() - 1;
    let mut group = || -> Vec<u32> {
        let words = (0..=last).map(|at| {
            state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            let random = (state >> 28 ^ state).wrapping_mul(277_803_737);
            match grouping.layout() {
                // Without the uppermost bit of the exponent no code of float8 is large, or no number.
                None if at < last => random & 0xBFBF_BFBF,
                None => 0.25_f32.to_bits(),
                // Both halves are 2^-8, or half of that where runs have scales.
                Some(_) if at == last && grouping.run_words() == 0 => 0x1C00_1C00,
                Some(_) if at == last => 0x0C00_0C00,
                Some(_) => random,
            }
        });
        words.collect()
    };
    // No period of the rows' length, as among other operands.
    let period: Vec<u32> = (0..groups.min(PERIOD / 16)).flat_map(|_| group()).collect();
    let bytes: Vec<u8> = period.into_iter().flat_map(u32::to_le_bytes).collect();
    let size = grouping.bytes(values);
    let mut all = bytes.repeat(size.div_ceil(bytes.len().max(1)));
    all.truncate(size);
    all
}
