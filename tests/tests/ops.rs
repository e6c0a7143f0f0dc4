//! Every case on every adapter, with and without runtime checks, and on the CPU executor.
use kinora_tests::{Case, ops, run};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

type Shared = Arc<Mutex<Option<engine::compute::executor::Executor>>>;

fn main() {
    let arguments = Arguments::from_args();
    let cases: Arc<Vec<Case>> = Arc::new(ops::all());
    assert!(!cases.is_empty(), "no cases");
    let mut trials = Vec::new();
    add(&mut trials, &cases, "cpu", true, run::cpu);
    for adapter in run::adapters() {
        let name = adapter.name.split([' ', '(']).next().unwrap_or("gpu").to_lowercase();
        let (index, f16) = (adapter.index, adapter.target.shader_f16);
        add(&mut trials, &cases, &format!("{name}{index}/checked"), f16, move || run::gpu(index, true));
        add(&mut trials, &cases, &format!("{name}{index}/unchecked"), f16, move || run::gpu(index, false));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// One trial a case; those that need f16 are shown as ignored where the adapter lacks it.
fn add(
    trials: &mut Vec<Trial>,
    cases: &Arc<Vec<Case>>,
    backend: &str,
    f16: bool,
    open: impl Fn() -> engine::compute::executor::Executor + Send + Sync + 'static,
) {
    static OPENING: OnceLock<Mutex<()>> = OnceLock::new();
    let (executor, open): (Shared, _) = (Arc::default(), Arc::new(open));
    for (index, case) in cases.iter().enumerate() {
        let (cases, executor, open) = (Arc::clone(cases), Arc::clone(&executor), Arc::clone(&open));
        let ignored = !f16 && case.needs_f16();
        let trial = Trial::test(format!("{backend}/{}", case.name), move || {
            let mut executor = executor.lock().unwrap_or_else(PoisonError::into_inner);
            if executor.is_none() {
                let _guard = OPENING.get_or_init(Mutex::default).lock();
                *executor = Some(open());
            }
            match executor.as_mut() {
                Some(executor) => run::run_case(&cases[index], executor).map_err(Failed::from),
                None => Err(Failed::from("no executor")),
            }
        });
        trials.push(trial.with_ignored_flag(ignored));
    }
}
