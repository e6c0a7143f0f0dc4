//! Models in every form that people have them in, against what diffusers computes from the same weights: on the CPU and on the main
//! adapter, with configs from a base folder and, where the files tell them, without.
#![expect(clippy::print_stdout, reason = "the distances are the result")]

use engine::{
    compute::nn::Precision,
    pipeline::{DeviceChoice, JobOptions},
};
use kinora_tests::{
    backend::Backend,
    checkpoints::{CheckpointCase, cases},
    parity::{self, Bars},
    run,
};
use libtest_mimic::{Arguments, Failed, Trial};
use model_loader::ModelFolder;

/// The reference's own rounding moves single tensors by up to 1e-5.
const BARS: Bars = Bars { relative_l2: 1e-4, psnr: 50.0 };

fn main() {
    let mut arguments = Arguments::from_args();
    // Every run uses all cores already.
    arguments.test_threads.get_or_insert(1);
    let mut trials = Vec::new();
    // What a file is has nothing to do with the adapter: one of them is enough.
    let main = DeviceChoice::Gpu(Some(run::main_adapter().index));
    for backend in Backend::all().into_iter().filter(|backend| backend.is_cpu() || backend.device() == main) {
        for case in cases() {
            let (name, device) = (format!("{}/{}", backend.name, case.name()), backend.device());
            if case.stands_alone() && backend.is_cpu() {
                let (case, device) = (case.clone(), device.clone());
                trials.push(Trial::test(format!("{name}/alone"), move || check_alone(&case, device)));
            }
            trials.push(Trial::test(name, move || check_over_base(&case, device)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn check_over_base(case: &CheckpointCase, device: DeviceChoice) -> Result<(), Failed> {
    check(case, &case.model()?, device, |_| true)
}

/// Without a base the scheduler may be another one: what does not depend on it is compared. The first timestep is 999 for every shift.
fn check_alone(case: &CheckpointCase, device: DeviceChoice) -> Result<(), Failed> {
    let wanted = |key: &str| key.starts_with("text.") || key.starts_with("dit.step0.");
    check(case, &case.model_alone()?, device, wanted)
}

fn check(
    case: &CheckpointCase,
    model: &ModelFolder,
    device: DeviceChoice,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), Failed> {
    let golden = case.golden();
    let options = JobOptions { dump: true, ..JobOptions::default() };
    let run = parity::run_model(model, &golden.request(), options, device, Precision::F32)?;
    let verdict = parity::judge(&run, &golden.outputs(wanted), BARS);
    println!("{}: {verdict}", case.name());
    verdict.into_result()?;
    Ok(())
}
