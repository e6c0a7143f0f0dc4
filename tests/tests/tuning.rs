//! The tuner on every adapter: what it finds is used and right, what is wrong is refused, what is kept is read again.
use engine::{
    DType, Graph, TensorDesc,
    compute::adapter::AdapterSummary,
    compute::cpu::CpuIo,
    compute::error::{LowerError, RunError},
    compute::executor::Executor,
    compute::gpu::{Gpu, GpuExecutor, GpuOptions},
    compute::op::{Io, Launch, Lowered, Op, OpError},
    compute::target::Target,
    compute::tuner::{Outcome, TuningEvent, TuningMode, TuningOptions, TuningTable},
};
use kinora_tests::{
    Case,
    ops::matmul::{self, Sizes},
    run,
};
use std::{ops::ControlFlow, path::Path};

fn open(adapter: &AdapterSummary, mode: TuningMode, folder: &Path) -> Executor {
    let tuning = TuningOptions { mode, folder: Some(folder.to_owned()) };
    let options = GpuOptions { guard_bands: true, tuning, ..GpuOptions::default() };
    let gpu = pollster::block_on(Gpu::open(adapter.index, options)).unwrap_or_else(|e| panic!("{e}"));
    Executor::Gpu(Box::new(GpuExecutor::new(gpu)))
}

/// Tunes a graph; how many shapes were new, and what was said. The plan that comes back is one with all that is known.
fn tune(executor: &mut Executor, graph: &Graph) -> (usize, Vec<String>) {
    let (mut shapes, mut notices) = (0, Vec::new());
    let mut observer = |event: TuningEvent<'_>| {
        match event {
            TuningEvent::Progress { total, .. } => shapes = total,
            TuningEvent::Notice(text) => notices.push(text.to_owned()),
        }
        ControlFlow::Continue(())
    };
    let plan = executor.plan(graph).unwrap_or_else(|e| panic!("{e}"));
    let tuned =
        pollster::block_on(executor.tune(graph, plan, &mut observer)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(tuned.target(), &executor.target());
    (shapes, notices)
}

fn table(executor: &Executor) -> TuningTable {
    match executor {
        Executor::Gpu(gpu) => gpu.tuning_table().cloned().unwrap_or_else(|| panic!("it is not tuned")),
        Executor::Cpu(_) => panic!("the CPU is not tuned"),
    }
}

fn graph(case: &Case) -> Graph {
    case.graph().unwrap_or_else(|e| panic!("{}: {e}", case.name)).0
}

#[test]
fn products_are_tuned_once_and_stay_right() {
    let cases = [
        matmul::plain(Sizes::f32(96, 40, 64)),
        matmul::plain(Sizes { dtypes: [DType::F32, DType::F16, DType::F32], ..Sizes::f32(5, 96, 32) }),
    ];
    for adapter in run::adapters() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let mut executor = open(&adapter, TuningMode::Always, folder.path());
        for case in &cases {
            assert_eq!(tune(&mut executor, &graph(case)), (1, Vec::new()), "{}", case.name);
            assert_eq!(tune(&mut executor, &graph(case)).0, 0, "{}: tuned twice", case.name);
            run::run_case(case, &mut executor).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        }
        let found = table(&executor);
        assert_eq!(found.entries.len(), 2);
        for (key, entry) in &found.entries {
            assert!(entry.tried.len() > 2, "{key}: {entry:?}");
            assert!(entry.microseconds(&entry.form).is_some_and(|time| time > 0.0), "{key}: {entry:?}");
            for (form, outcome) in &entry.tried {
                assert!(
                    matches!(outcome, Outcome::Microseconds(_)),
                    "{}: {key}: {form}: {outcome:?}",
                    adapter.name
                );
            }
        }
        // The next start reads it, also one that tries nothing.
        let stored = open(&adapter, TuningMode::Stored, folder.path());
        assert_eq!(table(&stored), found);
    }
}

#[test]
fn a_plan_from_before_the_trials_is_made_anew() {
    let adapter = run::main_adapter();
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let mut executor = open(&adapter, TuningMode::Always, folder.path());
    let graph = graph(&matmul::plain(Sizes::f32(8, 8, 8)));
    let before = executor.plan(&graph).unwrap_or_else(|e| panic!("{e}"));
    // Another plan of the same shapes has been tuned meanwhile: nothing is left to be tried for this one.
    assert_eq!(tune(&mut executor, &graph).0, 1);
    assert_ne!(before.target(), &executor.target());
    let mut observer = |_: TuningEvent<'_>| panic!("there is nothing to be told");
    let after = pollster::block_on(executor.tune(&graph, before, &mut observer));
    assert_eq!(after.unwrap_or_else(|e| panic!("{e}")).target(), &executor.target());
}

#[test]
fn every_form_of_a_product_is_right_when_the_table_names_it() {
    let case = matmul::plain(Sizes::f32(37, 24, 20));
    for adapter in run::adapters() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let mut executor = open(&adapter, TuningMode::Always, folder.path());
        tune(&mut executor, &graph(&case));
        let mut found = table(&executor);
        let (key, entry) = found.entries.first_key_value().unwrap_or_else(|| panic!("nothing was tried"));
        let (key, entry) = (key.clone(), entry.clone());
        for form in entry.tried.keys() {
            let changed = engine::compute::tuner::Entry { form: form.clone(), tried: entry.tried.clone() };
            found.entries.insert(key.clone(), changed);
            found.save(folder.path(), &adapter).unwrap_or_else(|e| panic!("{e}"));
            let mut executor = open(&adapter, TuningMode::Stored, folder.path());
            run::run_case(&case, &mut executor).unwrap_or_else(|e| panic!("{}: {form}: {e}", adapter.name));
        }
    }
}

#[test]
fn a_damaged_table_is_told_of_and_measured_anew() {
    let case = matmul::plain(Sizes::f32(8, 8, 8));
    let adapter = run::main_adapter();
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let path = TuningTable::path(folder.path(), &adapter);
    std::fs::write(&path, "{\"version\": 1, ").unwrap_or_else(|e| panic!("{e}"));
    let mut executor = open(&adapter, TuningMode::Always, folder.path());
    let (shapes, notices) = tune(&mut executor, &graph(&case));
    assert_eq!(shapes, 1);
    assert!(notices.len() == 1 && notices[0].ends_with("it is not used"), "{notices:?}");
    assert!(TuningTable::load(folder.path(), &adapter).is_ok_and(|table| table.is_some()));
}

#[test]
fn software_is_not_tuned_unless_asked_for_and_nothing_is_when_it_is_off() {
    let graph = graph(&matmul::plain(Sizes::f32(8, 8, 8)));
    for adapter in run::adapters().into_iter().filter(|adapter| adapter.target.software) {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        for mode in [TuningMode::Off, TuningMode::Stored, TuningMode::Hardware] {
            assert_eq!(tune(&mut open(&adapter, mode, folder.path()), &graph).0, 0);
        }
        assert!(!TuningTable::path(folder.path(), &adapter).exists());
    }
}

#[test]
fn an_observer_can_end_the_tuning() {
    let adapter = run::main_adapter();
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let mut executor = open(&adapter, TuningMode::Always, folder.path());
    let graph = graph(&matmul::plain(Sizes::f32(8, 8, 8)));
    let plan = executor.plan(&graph).unwrap_or_else(|e| panic!("{e}"));
    let ended = pollster::block_on(executor.tune(&graph, plan, &mut |_| ControlFlow::Break(())));
    assert!(matches!(ended, Err(RunError::Cancelled)));
}

/// A sum whose other forms are defective.
#[derive(Debug)]
struct Defective;

const FORMS: [&str; 4] = ["whole", "half of it", "does not compile", "binds less"];

impl Op for Defective {
    fn name(&self) -> &'static str {
        "defective"
    }

    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        Ok(inputs[0].clone())
    }

    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        output.elements() as u64
    }

    fn lower(&self, io: &Io<'_>, target: &Target) -> Result<Lowered, LowerError> {
        let (form, choice) =
            target.tuning.pick("defective".to_owned(), &FORMS, 0).unwrap_or_else(|| panic!("no forms"));
        let count = u32::try_from(io.output.elements()).unwrap_or(u32::MAX);
        let count = if form == "half of it" { count / 2 } else { count };
        let mut variant =
            shaders::Variant::new().alias("X", shaders::Elem::F32).alias("Y", shaders::Elem::F32);
        if form != "does not compile" {
            variant = variant.constant("IN_PLACE", 0);
        }
        let mut bindings = vec![io.bind_input(0), io.bind_input(1), io.bind_output()];
        if form == "binds less" {
            bindings.pop();
        }
        let params = count.to_le_bytes().to_vec();
        let grid = target.fold(io.output.elements());
        let launch = Launch { kernel: &shaders::ADD, variant, params, bindings, grid };
        Ok(Lowered { launches: vec![launch], scratch: Vec::new(), choice: Some(choice) })
    }

    fn evaluate(&self, _: &mut CpuIo<'_>) {}
}

#[test]
fn what_is_wrong_or_fails_is_refused_and_never_used() {
    for adapter in run::adapters() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let mut executor = open(&adapter, TuningMode::Always, folder.path());
        let mut graph = Graph::new();
        let [x, y] = ["x", "y"].map(|name| graph.input(name, &[4096], DType::F32));
        graph.push(Defective, &[x, y]).unwrap_or_else(|e| panic!("{e}"));
        tune(&mut executor, &graph);
        let entry = &table(&executor).entries["defective"];
        assert_eq!(entry.form, "whole");
        let why = |form: &str| match &entry.tried[form] {
            Outcome::Refused(why) => why.clone(),
            Outcome::Microseconds(_) => panic!("{}: `{form}` was accepted", adapter.name),
        };
        assert!(why(FORMS[1]).contains("its result is off by"), "{}", why(FORMS[1]));
        assert!(why(FORMS[2]).contains("kernel `add`"), "{}", why(FORMS[2]));
        assert!(!why(FORMS[3]).is_empty());
    }
}
