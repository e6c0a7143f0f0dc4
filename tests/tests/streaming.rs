//! Constants that do not stay on the device: a model of twice the memory gives the same numbers, on the CPU and on every adapter.
use engine::{
    DType, Graph, TensorId, Weight,
    compute::{
        executor::Executor,
        ops::MatmulOptions,
        plan::{Brought, Place, Plan, PlanTarget, Step},
        run::{Cancel, RunInput},
        target::Target,
    },
};
use kinora_tests::run;
use model_loader::{Bytes, Format, HostTensor};
use std::collections::HashMap;

const WIDTH: usize = 256;
const ROWS: usize = 24;

/// Numbers that differ from place to place.
fn noise(seed: usize, count: usize) -> Vec<f32> {
    let mut state = u32::try_from(seed).unwrap_or(7).wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(state.to_le_bytes()[3]) / 128.0 - 1.0
    };
    (0..count).map(|_| next() / 8.0).collect()
}

fn matrix(index: usize, format: Format) -> Weight {
    let values = noise(index + 1, WIDTH * WIDTH);
    let bytes: Vec<u8> = match format {
        Format::F16 => values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
        Format::BF16 => values.iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    };
    Weight::matrix(HostTensor::new(format!("w{index}"), format, &[WIDTH, WIDTH], Bytes::from(bytes)))
}

/// Layers with residuals, gone through twice, as guidance does: of all formats in turn, each with a bias that stays.
fn graph(weights: &[Weight], biases: &[Weight]) -> Graph {
    let mut graph = Graph::new();
    let input = graph.input("x", &[ROWS, WIDTH], DType::F32);
    for pass in 0..2 {
        let mut x = input;
        for (weight, bias) in weights.iter().zip(biases) {
            let (weight, bias) = (graph.weight(weight), graph.weight(bias));
            let options =
                MatmulOptions { bias: Some(bias), residual: Some(x), ..MatmulOptions::new(DType::F32) };
            x = graph.matmul(x, weight, &options).unwrap_or_else(|e| panic!("{e}"));
        }
        graph.output(&format!("y{pass}"), x);
    }
    graph
}

fn model() -> (Vec<Weight>, Vec<Weight>) {
    let formats = [Format::F32, Format::F16, Format::BF16];
    let weights = (0..12).map(|index| matrix(index, formats[index % 3])).collect();
    let biases = (0..12).map(|index| Weight::from_f32("bias", &[WIDTH], noise(90 + index, WIDTH))).collect();
    (weights, biases)
}

fn results(executor: &mut Executor, graph: Graph, plan: Plan) -> Vec<Vec<f32>> {
    pollster::block_on(async {
        let mut program = executor.compile(graph, plan).await?;
        let x = noise(0, ROWS * WIDTH);
        let mut results = Vec::new();
        // Twice: what a run leaves in the slots must not matter to the next.
        for _ in 0..2 {
            executor.run(&mut program, &[RunInput::f32("x", &x)], &Cancel::default(), None).await?;
            for name in ["y0", "y1"] {
                let id = program.output(name).unwrap_or_else(|| panic!("no {name}"));
                results.push(executor.read(&program, id).await?.into_owned());
            }
        }
        executor.check_guards(&program).await?;
        Ok::<_, Box<dyn std::error::Error>>(results)
    })
    .unwrap_or_else(|e| panic!("{e}"))
}

fn executors() -> Vec<(String, Executor)> {
    let gpus = run::adapters().into_iter().map(|adapter| (adapter.name, run::gpu(adapter.index, true)));
    std::iter::once(("CPU".to_owned(), run::cpu())).chain(gpus).collect()
}

#[test]
fn a_model_of_twice_the_memory_gives_the_same_numbers() {
    for (name, mut executor) in executors() {
        let (weights, biases) = model();
        let whole = executor.plan(&graph(&weights, &biases)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(whole.streamed_bytes.each_run, 0);
        let total = whole.total_bytes();
        let wanted = results(&mut executor, graph(&weights, &biases), whole);
        assert_eq!(wanted[0], wanted[1], "{name}: passes");
        assert!(wanted[0].iter().all(|v| v.is_finite()) && wanted[0].iter().any(|v| v.abs() > 1e-3));
        for budget in [total * 3 / 4, total / 2, total / 3] {
            let (weights, biases) = model();
            let graph = || graph(&weights, &biases);
            let plan = executor.plan_within(&graph(), budget).unwrap_or_else(|e| panic!("{e}"));
            let (planned, streamed) = (plan.total_bytes(), plan.streamed_bytes.each_run);
            assert!(planned <= budget, "{name}: {planned} of {budget}");
            assert!(streamed > 0, "{name}: nothing is brought within {budget} of {total}");
            let staying = plan.weight_bytes;
            executor.keep_only_weights_of(&graph());
            let before = executor.brought_bytes();
            assert_eq!(results(&mut executor, graph(), plan), wanted, "{name}: {budget} of {total}");
            let brought = executor.brought_bytes() - before;
            assert_eq!(brought, staying + 2 * streamed, "{name}: brought in two runs");
            // What stays is there, and nothing else; slots belong to the program, which is gone.
            assert_eq!(executor.resident_bytes(), staying, "{name}: resident");
        }
    }
}

#[test]
fn more_memory_means_that_more_stays() {
    let (weights, biases) = model();
    let graph = graph(&weights, &biases);
    for target in [PlanTarget::Cpu, PlanTarget::Gpu(Target::webgpu_defaults())] {
        let total = Plan::new(&graph, &target).unwrap_or_else(|e| panic!("{e}")).total_bytes();
        let mut last = u64::MAX;
        for part in 2..=8 {
            let budget = total * part / 8;
            let plan = Plan::within(&graph, &target, budget).unwrap_or_else(|e| panic!("{e}"));
            check(&graph, &plan);
            let planned = plan.total_bytes();
            assert!(planned <= budget, "{part} of 8: {planned} of {budget}");
            // Which constants stay is not searched through: another one may fit better.
            let slack = 2 * 4 * (WIDTH * WIDTH) as u64;
            let streamed = plan.streamed_bytes.each_run;
            assert!(streamed <= last.saturating_add(slack), "{part} of 8: {streamed} after {last}");
            last = streamed;
        }
        assert_eq!(last, 0);
        let least = Plan::within(&graph, &target, 1).unwrap_or_else(|e| panic!("{e}"));
        check(&graph, &least);
        assert!(least.total_bytes() > 1 && least.total_bytes() < total / 3, "what does not fit is told");
    }
}

/// Whose a slot is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Owner {
    Weight(TensorId),
    Other,
}

/// Goes through a plan: whatever an op reads lies where the plan says, and nothing lies over it.
fn check(graph: &Graph, plan: &Plan) {
    let mut slots: HashMap<usize, Owner> = HashMap::new();
    let mut ops = 0;
    for step in &plan.steps {
        match *step {
            Step::Bring { tensor, slot } => {
                if let Some(slot) = slot {
                    slots.insert(slot, Owner::Weight(tensor));
                }
            }
            Step::Run(index) => {
                assert_eq!(index, ops, "ops run in order");
                ops += 1;
                let (op, node) = (&plan.ops[index], &graph.nodes()[index]);
                for (input, streamed) in node.inputs.iter().zip(&op.streamed) {
                    if let Some(Brought::Slot(slot)) = streamed {
                        let root = graph.root(*input);
                        assert_eq!(slots.get(slot), Some(&Owner::Weight(root)), "op {index}");
                    }
                }
                let output = match plan.place(node.output) {
                    Place::Slot(slot) => Some(*slot),
                    _ => None,
                };
                for slot in op.scratch.iter().copied().chain(output) {
                    let read = op.streamed.contains(&Some(Brought::Slot(slot)));
                    assert!(!read, "op {index} writes what it reads");
                    slots.insert(slot, Owner::Other);
                }
            }
        }
    }
    assert_eq!(ops, plan.ops.len());
}
