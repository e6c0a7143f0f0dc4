//! What executors refuse: plans of something else, and inputs that do not fit the graph.
use engine::{
    DType, Graph,
    compute::error::{CompileError, RunError},
    compute::executor::{Executor, Program},
    compute::run::{Cancel, RunInput},
};
use kinora_tests::run;
use pollster::block_on;

/// The sum of two inputs of so many rows.
fn sum(rows: usize) -> Graph {
    let mut graph = Graph::new();
    let [a, b] = ["a", "b"].map(|name| graph.input(name, &[rows, 8], DType::F32));
    let out = graph.add(a, b).unwrap_or_else(|e| panic!("{e}"));
    graph.output("out", out);
    graph
}

fn executors() -> [Executor; 2] {
    [run::cpu(), run::gpu(run::main_adapter().index, true)]
}

fn compiled(executor: &mut Executor) -> Program {
    let graph = sum(2);
    let plan = executor.plan(&graph).unwrap_or_else(|e| panic!("{e}"));
    block_on(executor.compile(graph, plan)).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_plan_is_of_its_graph_and_of_its_device() {
    let [mut cpu, mut gpu] = executors();
    let plans = [&cpu, &gpu].map(|executor| executor.plan(&sum(2)).unwrap_or_else(|e| panic!("{e}")));
    for (executor, other) in [(&mut cpu, &plans[1]), (&mut gpu, &plans[0])] {
        let refused = block_on(executor.compile(sum(2), other.clone()));
        assert!(matches!(refused, Err(CompileError::OtherPlan)), "{refused:?}");
    }
    for (executor, own) in [(&mut cpu, &plans[0]), (&mut gpu, &plans[1])] {
        let refused = block_on(executor.compile(sum(3), own.clone()));
        assert!(matches!(refused, Err(CompileError::OtherPlan)), "{refused:?}");
        assert!(block_on(executor.compile(sum(2), own.clone())).is_ok());
    }
}

#[test]
fn a_program_runs_on_its_own_executor() {
    let [mut cpu, mut gpu] = executors();
    let mut program = compiled(&mut cpu);
    let refused = block_on(gpu.run(&mut program, &[], &Cancel::default(), None));
    assert!(matches!(refused, Err(RunError::OtherExecutor)), "{refused:?}");
}

#[test]
fn every_input_is_given_with_all_its_values() {
    let full = [0.5; 16];
    for mut executor in executors() {
        let mut program = compiled(&mut executor);
        let mut run = |inputs: &[(&str, &[f32])]| {
            let inputs: Vec<RunInput<'_>> =
                inputs.iter().map(|(name, values)| RunInput::f32(name, values)).collect();
            block_on(executor.run(&mut program, &inputs, &Cancel::default(), None))
        };
        run(&[("b", &full), ("a", &full)]).unwrap_or_else(|e| panic!("{e}"));
        // The values of the last run are still there, and are not taken for these.
        let error = |result: Result<(), RunError>| result.err().map(|e| e.to_string());
        assert_eq!(error(run(&[("a", &full)])).as_deref(), Some("input `b` is missing"));
        assert_eq!(error(run(&[])).as_deref(), Some("input `a` is missing"));
        let other = [("a", &full[..]), ("b", &full), ("c", &full)];
        assert_eq!(error(run(&other)).as_deref(), Some("the graph has no input `c`"));
        let short = error(run(&[("a", &full), ("b", &full[1..])]));
        assert_eq!(short.as_deref(), Some("input `b` has 15 values, expected 16"));
    }
}
