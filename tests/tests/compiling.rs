//! While kernels are compiled, the caller hears how many are done, and may end it.
use engine::{
    DType, Graph,
    compute::error::CompileError,
    compute::executor::{Executor, Program},
    compute::run::CompileObserver,
};
use kinora_tests::run;
use std::ops::ControlFlow;

/// Two kernels.
fn graph() -> Graph {
    let mut graph = Graph::new();
    let [x, y] = ["x", "y"].map(|name| graph.input(name, &[1, 2, 2, 3], DType::F32));
    let sum = graph.add(x, y).unwrap();
    let rgb = graph.to_rgb8(sum).unwrap();
    graph.output("rgb8", rgb);
    graph
}

fn compile(executor: &mut Executor, observer: &mut CompileObserver<'_>) -> Result<Program, CompileError> {
    let plan = executor.plan(&graph())?;
    pollster::block_on(executor.compile_observed(graph(), plan, observer))
}

#[test]
fn each_compiled_kernel_is_told_once() {
    for adapter in run::adapters() {
        let mut executor = run::gpu(adapter.index, false);
        let mut told = Vec::new();
        let mut observer = |done: usize, total: usize| {
            told.push((done, total));
            ControlFlow::Continue(())
        };
        compile(&mut executor, &mut observer).unwrap();
        assert_eq!(told, [(0, 2), (1, 2), (2, 2)], "{}", adapter.name);
        // What is there is not compiled again.
        let mut observer = |done: usize, _: usize| panic!("{done} compiled again");
        compile(&mut executor, &mut observer).unwrap();
    }
}

#[test]
fn who_hears_of_it_may_end_it() {
    for adapter in run::adapters() {
        let mut executor = run::gpu(adapter.index, false);
        let mut observer = |done: usize, _: usize| match done {
            0 => ControlFlow::Break(()),
            _ => panic!("it went on"),
        };
        let ended = compile(&mut executor, &mut observer);
        assert!(matches!(ended, Err(CompileError::Cancelled)), "{ended:?}");
        compile(&mut executor, &mut |_, _| ControlFlow::Continue(())).unwrap();
    }
}
