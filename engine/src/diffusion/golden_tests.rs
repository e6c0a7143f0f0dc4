//! The schedulers against runs recorded from diffusers 0.42.1.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::{
    Ddim, Dpm, FlowMatchEuler, FlowMatchEulerSettings, GuidanceSettings, NoiseScheduleSettings,
    NoiseScheduler, UniPc, UniPcSettings,
};

/// The recorded tensors, widened.
struct Golden(Vec<u8>);

impl Golden {
    fn open(fixture: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
        let path = fixtures.join(fixture).join("golden.safetensors");
        Self(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    fn get(&self, name: &str) -> Vec<f64> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        match tensor.dtype() {
            Dtype::F32 => {
                tensor.data().as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect()
            }
            Dtype::F64 => tensor.data().as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
            Dtype::I64 => tensor.data().as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect(),
            other => panic!("{name} is {other}"),
        }
    }
}

/// NaN anywhere makes this NaN, and NaN is not below any bound.
fn relative_l2(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let size = norm(&mut want.iter().copied());
    assert!(size > 0.0, "the reference is all zero");
    norm(&mut got.iter().zip(want).map(|(g, w)| g - w)) / size
}

fn check_table(scheduler: &dyn NoiseScheduler, golden: &Golden, prefix: &str) {
    assert_eq!(scheduler.timesteps(), golden.get(&format!("{prefix}timesteps")), "{prefix}");
    let (name, table) = scheduler.table();
    let recorded = golden.get(&format!("{prefix}{name}"));
    for (got, want) in table.iter().zip(&recorded) {
        assert!((got - want).abs() <= 1e-6, "{prefix}: {got}, expected {want}");
    }
    assert_eq!(table.len(), recorded.len());
}

/// Runs the scheduler on recorded model outputs and noise, each element by itself, and returns row 0 after every step.
fn replay(
    scheduler: &dyn NoiseScheduler,
    start: &[f64],
    outputs: &[Vec<f64>],
    noises: &[Vec<f64>],
) -> Vec<Vec<f64>> {
    let mut elements: Vec<Vec<f64>> = start
        .iter()
        .map(|&x| {
            let mut rows = vec![0.0; scheduler.state_rows()];
            rows[0] = x * scheduler.init_noise_sigma();
            rows
        })
        .collect();
    (0..scheduler.steps())
        .map(|step| {
            let update = scheduler.update(step);
            assert!(!update.needs_noise() || step < noises.len());
            let noise = |at: usize| noises.get(step).map_or(0.0, |noise| noise[at]);
            for (at, (rows, &v)) in elements.iter_mut().zip(&outputs[step]).enumerate() {
                *rows = update.apply(rows, v, noise(at));
            }
            elements.iter().map(|rows| rows[0]).collect()
        })
        .collect()
}

fn check_run(scheduler: &dyn NoiseScheduler, golden: &Golden, case: &str) {
    check_table(scheduler, golden, &format!("micro.{case}.out."));
    let start = golden.get(&format!("micro.{case}.in.x"));
    let outputs: Vec<Vec<f64>> = golden
        .get(&format!("micro.{case}.in.model_outputs"))
        .chunks(start.len())
        .map(<[f64]>::to_vec)
        .collect();
    let expected = golden.get(&format!("micro.{case}.out.x_after"));
    let got = replay(scheduler, &start, &outputs, &[]);
    assert_eq!(got.len() * start.len(), expected.len());
    for (step, (got, want)) in got.iter().zip(expected.chunks(start.len())).enumerate() {
        let error = relative_l2(got, want);
        assert!(error <= 1e-6, "{case}, step {step}: relative error {error:e}");
    }
}

fn unipc(solver_order: usize, flow_shift: f64, steps: usize) -> Box<dyn NoiseScheduler> {
    let settings = UniPcSettings { solver_order, flow_shift, ..Default::default() };
    Box::new(UniPc::new(&settings, steps).unwrap())
}

fn euler(shift: f64, steps: usize) -> Box<dyn NoiseScheduler> {
    let settings = FlowMatchEulerSettings { shift, ..Default::default() };
    Box::new(FlowMatchEuler::new(settings, steps).unwrap())
}

#[test]
fn every_recorded_solver_run_is_reproduced() {
    let golden = Golden::open("wan");
    let cases = [
        ("unipc_order1", unipc(1, 3.0, 6)),
        ("unipc_order2", unipc(2, 3.0, 6)),
        ("unipc_order3", unipc(3, 3.0, 6)),
        ("unipc_shift5", unipc(2, 5.0, 4)),
        ("flow_euler_shift3", euler(3.0, 5)),
    ];
    for (case, scheduler) in &cases {
        check_run(scheduler.as_ref(), &golden, case);
    }
    for name in golden.tensors().names() {
        let scheduler = ["micro.unipc_", "micro.flow_"].iter().any(|prefix| name.starts_with(prefix));
        let covered = cases.iter().any(|(case, _)| name.starts_with(&format!("micro.{case}.")));
        assert!(!scheduler || covered, "{name} is in no case");
    }
}

/// Replays a recorded pipeline run from its guided model outputs.
fn check_pipeline(scheduler: &dyn NoiseScheduler, golden: &Golden) {
    check_table(scheduler, golden, "sched.");
    let of_every_step = |name: &str| -> Vec<Vec<f64>> {
        (0..scheduler.steps()).map(|step| golden.get(&name.replace('#', &step.to_string()))).collect()
    };
    let is_stochastic = (0..scheduler.steps()).any(|step| scheduler.update(step).needs_noise());
    let noises = if is_stochastic { of_every_step("sched.step#.noise") } else { Vec::new() };
    let got = replay(scheduler, &golden.get("latents.init"), &of_every_step("dit.step#.guided"), &noises);
    for (step, (got, want)) in got.iter().zip(of_every_step("latents.step#")).enumerate() {
        let error = relative_l2(got, &want);
        assert!(error <= 1e-6, "step {step}: relative error {error:e}");
    }
}

#[test]
fn the_recorded_pipeline_run_is_reproduced() {
    check_pipeline(unipc(2, 3.0, 5).as_ref(), &Golden::open("wan"));
}

/// Six steps do not divide a thousand, so that the last one ends at timestep 0.
#[test]
fn the_recorded_runs_of_cogvideox_are_reproduced() {
    let settings = |snr_shift_scale| NoiseScheduleSettings { snr_shift_scale, ..Default::default() };
    let two = Ddim::new(&settings(3.0), 6).unwrap();
    check_pipeline(&two, &Golden::open("cogvideox"));
    let five = Dpm::new(&settings(1.0), 6).unwrap();
    check_pipeline(&five, &Golden::open("cogvideox-5b"));
    let newer = Ddim::new(&settings(1.0), 3).unwrap();
    check_pipeline(&newer, &Golden::open("cogvideox-1.5"));
}

#[test]
fn guidance_is_reproduced() {
    let fixed = |scale| GuidanceSettings::new(scale).unwrap();
    let runs = [
        ("wan", fixed(5.0)),
        ("cogvideox", fixed(6.0)),
        ("cogvideox-5b", fixed(6.0).dynamic(true)),
        ("cogvideox-1.5", fixed(5.0)),
    ];
    for (fixture, guidance) in runs {
        check_guidance(&Golden::open(fixture), guidance);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the recorded values are single precision")]
fn check_guidance(golden: &Golden, guidance: GuidanceSettings) {
    let timesteps = golden.get("sched.timesteps");
    for (step, timestep) in timesteps.iter().enumerate() {
        let guidance = guidance.at(*timestep, timesteps.len());
        let [cond, uncond, want] =
            ["cond", "uncond", "guided"].map(|which| golden.get(&format!("dit.step{step}.{which}")));
        let got: Vec<f64> = uncond
            .iter()
            .zip(&cond)
            .map(|(&u, &c)| f64::from(guidance.combine(u as f32, c as f32)))
            .collect();
        let error = relative_l2(&got, &want);
        assert!(error <= 1e-6, "step {step}: {error:e}");
    }
}
