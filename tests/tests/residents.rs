//! Who owns what outlives a program: constants and states lie in a device's memory as long as somebody holds their handles.
use engine::{
    DType, Graph, State, TensorDesc, TensorId, Weight,
    compute::executor::{Executor, Program},
    compute::op::OpError,
    compute::ops::{Conv3dOptions, MatmulOptions, Pad},
    compute::run::{Cancel, RunInput},
};
use kinora_tests::run;
use model_loader::{Bytes, Format, HostTensor};
use pollster::block_on;

/// The CPU and an adapter.
fn executors() -> [(&'static str, Executor); 2] {
    [("CPU", run::cpu()), ("GPU", run::gpu(run::main_adapter().index, true))]
}

fn stored(shape: &[usize], format: Format) -> HostTensor {
    let bytes = format.bytes(shape.iter().product()).expect("a small tensor");
    HostTensor::new("w", format, shape, Bytes::from(vec![0; bytes]))
}

/// A matrix product with a state for its result.
fn product(weight: &Weight, state: &State) -> Graph {
    let mut graph = Graph::new();
    let rows = state.desc().shape[0];
    let x = graph.input("x", &[rows, weight.desc().cols()], DType::F32);
    let weight = graph.weight(weight);
    let y = graph.matmul(x, weight, &MatmulOptions::new(DType::F32)).unwrap_or_else(|e| panic!("{e}"));
    graph.store(y, state).unwrap_or_else(|e| panic!("{e}"));
    graph
}

fn compile(executor: &mut Executor, graph: Graph) -> Program {
    let plan = executor.plan(&graph).unwrap_or_else(|e| panic!("{e}"));
    block_on(executor.compile(graph, plan)).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_last_handle_frees_a_weight_and_a_state() {
    for (device, mut executor) in executors() {
        assert_eq!(executor.resident_bytes(), 0, "{device}");
        let weight = Weight::matrix(stored(&[64, 32], Format::F16));
        let state = State::new("state", TensorDesc::new(&[3, 64], DType::F32));
        block_on(executor.write_state(&state, &[1.0])).unwrap_or_else(|e| panic!("{e}"));
        let of_state = executor.resident_bytes();
        assert_eq!(of_state, 4 * 3 * 64, "{device}");
        let program = compile(&mut executor, product(&weight, &state));
        let both = executor.resident_bytes();
        assert!(both > of_state, "{device}");

        // The program holds what it reads.
        drop((weight, state));
        assert_eq!(executor.resident_bytes(), both, "{device}");
        drop(program);
        assert_eq!(executor.resident_bytes(), 0, "{device}");
    }
}

#[test]
fn what_nobody_holds_is_freed_by_the_next_work() {
    for (device, mut executor) in executors() {
        let make = || State::new("state", TensorDesc::new(&[3, 64], DType::F32));
        let (weight, kept) = (Weight::matrix(stored(&[64, 32], Format::F16)), make());
        let mut program = compile(&mut executor, product(&weight, &kept));
        let before = executor.resident_bytes();
        let lost = make();
        block_on(executor.write_state(&lost, &[1.0])).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(executor.resident_bytes(), before + 4 * 3 * 64, "{device}");
        drop(lost);
        let inputs = [RunInput::f32("x", &[0.5; 3 * 32])];
        block_on(executor.run(&mut program, &inputs, &Cancel::default(), None))
            .unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(executor.resident_bytes(), before, "{device}");
    }
}

#[test]
fn two_programs_share_one_weight() {
    for (device, mut executor) in executors() {
        let weight = Weight::matrix(stored(&[64, 32], Format::BF16));
        let state = State::new("state", TensorDesc::new(&[3, 64], DType::F32));
        let first = compile(&mut executor, product(&weight, &state));
        let before = executor.resident_bytes();
        let second = compile(&mut executor, product(&weight, &state));
        assert_eq!(executor.resident_bytes(), before, "{device}");
        drop(first);
        assert_eq!(executor.resident_bytes(), before, "{device}");
        drop((second, weight, state));
        assert_eq!(executor.resident_bytes(), 0, "{device}");
    }
}

/// A graph that reads constants in every form there is.
fn every_form(dtype: Format) -> Graph {
    let build = |graph: &mut Graph| -> Result<TensorId, OpError> {
        let x = graph.input("x", &[5, 24], DType::F32);
        let matrix = graph.weight(&Weight::matrix(stored(&[37, 24], dtype)));
        let bias = graph.weight(&Weight::from_f32("bias", &[37], vec![0.5; 37]));
        graph.matmul(x, matrix, &MatmulOptions { bias: Some(bias), ..MatmulOptions::new(DType::F32) })?;
        let parts = [stored(&[7, 24], dtype), stored(&[9, 24], Format::F32)];
        let stacked = graph.weight(&Weight::stack("stacked", &parts));
        graph.matmul(x, stacked, &MatmulOptions::new(DType::F32))?;

        let frames = graph.input("frames", &[2, 4, 4, 6], DType::F32);
        let kernel = graph.weight(&Weight::channels_last(&stored(&[10, 6, 3, 3, 3], dtype)));
        let plain = Conv3dOptions { pad: Pad::all(1), ..Conv3dOptions::new(DType::F32) };
        graph.causal_conv3d(frames, kernel, &plain)?;
        // The same weight once more, for an input that is enlarged.
        let out = graph.causal_conv3d(frames, kernel, &Conv3dOptions { upsample: true, ..plain })?;
        let state = State::new("state", TensorDesc::new(&graph.desc(out).shape, DType::F16));
        graph.state(&state);

        let (ids, table) = (graph.input("ids", &[3], DType::U32), stored(&[50, 24], dtype));
        let table = graph.weight(&Weight::matrix(table));
        graph.embedding(ids, table, DType::F32)
    };
    let mut graph = Graph::new();
    let out = build(&mut graph).unwrap_or_else(|e| panic!("{e}"));
    graph.output("out", out);
    graph
}

#[test]
fn what_is_planned_is_what_is_resident() {
    for (device, mut executor) in executors() {
        for dtype in [Format::F32, Format::F16, Format::BF16] {
            let program = compile(&mut executor, every_form(dtype));
            let plan = program.plan();
            assert!(plan.weight_bytes > 0 && plan.state_bytes > 0);
            let (planned, resident) = (plan.weight_bytes + plan.state_bytes, executor.resident_bytes());
            assert_eq!(planned, resident, "{device}, {dtype:?}");
        }
        assert_eq!(executor.resident_bytes(), 0, "{device}");
    }
}

/// A weight that is multiplied by and added, which the CPU reads in two forms.
#[test]
fn one_weight_may_be_read_in_two_forms() {
    #[expect(clippy::cast_precision_loss, reason = "small integers")]
    let values: Vec<f32> = (0..64).map(|i| i as f32 - 20.0).collect();
    for (device, mut executor) in executors() {
        let weight = Weight::from_f32("w", &[8, 8], values.clone());
        let mut graph = Graph::new();
        let (x, w) = (graph.input("x", &[8, 8], DType::F32), graph.weight(&weight));
        let product = graph.matmul(x, w, &MatmulOptions::new(DType::F32)).unwrap_or_else(|e| panic!("{e}"));
        let sum = graph.add(product, w).unwrap_or_else(|e| panic!("{e}"));
        graph.output("sum", sum);
        graph.output("w", w);
        let mut program = compile(&mut executor, graph);
        let mut unit = vec![0.0; 64];
        unit.iter_mut().step_by(9).for_each(|value| *value = 1.0);
        let inputs = [RunInput::f32("x", &unit)];
        block_on(executor.run(&mut program, &inputs, &Cancel::default(), None))
            .unwrap_or_else(|e| panic!("{e}"));
        let sums = block_on(executor.read(&program, sum)).unwrap_or_else(|e| panic!("{e}"));
        let transposed = (0..64).map(|i| values[i % 8 * 8 + i / 8]);
        let wanted: Vec<f32> = transposed.zip(&values).map(|(a, b)| a + b).collect();
        assert_eq!(sums, wanted, "{device}");
        assert_eq!(
            block_on(executor.read(&program, w)).unwrap_or_else(|e| panic!("{e}")),
            values,
            "{device}"
        );
    }
}
