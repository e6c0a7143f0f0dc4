//! A GPU that is lost, at any call to it: an error that says so, never a panic, never a result.
use engine::{
    DType, Graph, State, TensorDesc, Weight,
    compute::error::{CompileError, DeviceError, PlanError, RunError},
    compute::executor::{Executor, Program},
    compute::gpu::{Gpu, GpuExecutor, GpuOptions, LossSwitch},
    compute::ops::MatmulOptions,
    compute::run::{Cancel, RunInput},
};
use kinora_tests::run;
use pollster::block_on;

const X: [f32; 8] = [0.5; 8];

fn open(loss: &LossSwitch) -> Executor {
    let options = GpuOptions { guard_bands: true, loss: loss.clone(), ..GpuOptions::default() };
    let index = run::main_adapter().index;
    let gpu = block_on(Gpu::open(index, options)).unwrap_or_else(|e| panic!("{e}"));
    Executor::Gpu(Box::new(GpuExecutor::new(gpu)))
}

/// A product that lies in a state.
fn graph(state: &State) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", &[2, 4], DType::F32);
    let weight = graph.weight(&Weight::from_f32("weight", &[3, 4], vec![1.0; 12]));
    let y = graph.matmul(x, weight, &MatmulOptions::new(DType::F32)).unwrap_or_else(|e| panic!("{e}"));
    graph.store(y, state).unwrap_or_else(|e| panic!("{e}"));
    graph.output("y", y);
    graph
}

#[derive(Debug)]
enum Failure {
    Lost,
    Other(String),
}

fn of_device(error: &DeviceError) -> Failure {
    match error {
        DeviceError::Lost(_) => Failure::Lost,
        other => Failure::Other(other.to_string()),
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match &error {
            RunError::Device(error) => of_device(error),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        match &error {
            CompileError::Device(error) => of_device(error),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::Other(error.to_string())
    }
}

async fn ready(executor: &mut Executor, state: &State) -> Result<Program, Failure> {
    let graph = graph(state);
    let plan = executor.plan(&graph)?;
    Ok(executor.compile(graph, plan).await?)
}

/// Everything that a GPU is asked for, from the first to the last.
async fn work(executor: &mut Executor, state: &State) -> Result<Vec<f32>, Failure> {
    executor.write_state(state, &[1.0]).await?;
    let mut program = ready(executor, state).await?;
    let mut timings = Vec::new();
    executor.run(&mut program, &[RunInput::f32("x", &X)], &Cancel::default(), Some(&mut timings)).await?;
    let y = program.output("y").unwrap_or_else(|| panic!("no output"));
    let values = executor.read(&program, y).await?.into_owned();
    executor.check_guards(&program).await?;
    assert_eq!(executor.read_state(state).await?, values);
    Ok(values)
}

fn state() -> State {
    State::new("y", TensorDesc::new(&[2, 3], DType::F32))
}

/// Loses the device in one call after the other; returns how many there are.
fn lose_in_every_call() -> u32 {
    let loss = LossSwitch::default();
    for call in 0.. {
        loss.lose_after(call);
        let mut executor = open(&loss);
        match block_on(work(&mut executor, &state())) {
            Err(Failure::Lost) => assert!(loss.is_idle(), "lost before call {call}"),
            Err(Failure::Other(error)) => panic!("call {call}: {error}"),
            Ok(values) => {
                assert!(!loss.is_idle(), "the device is lost in call {call}, and nobody says so");
                assert_eq!(values, [2.0; 6]);
                return call;
            }
        }
    }
    unreachable!("some call is the last")
}

#[test]
fn a_loss_in_any_call_is_said() {
    let calls = lose_in_every_call();
    assert!(calls > 15, "{calls} calls prove little");
}

#[test]
fn a_lost_device_stays_lost_and_the_next_one_is_whole() {
    let loss = LossSwitch::default();
    let (mut executor, state) = (open(&loss), state());
    let mut program = block_on(ready(&mut executor, &state)).unwrap_or_else(|e| panic!("{e:?}"));
    loss.lose();
    let inputs = [RunInput::f32("x", &X)];
    let lost = |result: Result<(), Failure>| assert!(matches!(result, Err(Failure::Lost)), "{result:?}");
    let mut run = |executor: &mut Executor| {
        block_on(executor.run(&mut program, &inputs, &Cancel::default(), None)).map_err(Failure::from)
    };
    lost(run(&mut executor));
    lost(run(&mut executor));
    lost(block_on(ready(&mut executor, &state)).map(|_| ()));
    lost(block_on(executor.write_state(&state, &[1.0])).map_err(Failure::from));
    lost(block_on(executor.read_state(&state)).map(|_| ()).map_err(Failure::from));
    let y = program.output("y").unwrap_or_else(|| panic!("no output"));
    lost(block_on(executor.read(&program, y)).map(|_| ()).map_err(Failure::from));
    lost(block_on(executor.check_guards(&program)).map_err(Failure::from));

    drop((program, executor));
    let values = block_on(work(&mut open(&loss), &state));
    assert_eq!(values.unwrap_or_else(|e| panic!("{e:?}")), [2.0; 6]);
}
