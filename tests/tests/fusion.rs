//! What plans say of fusion: how many launches the ops stand for, and that they move little more than they must.
use engine::{
    DType, Graph, TensorId, Weight,
    compute::op::OpError,
    compute::ops::{Activation, Gate, LayerNormOptions, MatmulOptions, Modulation, RmsNormOptions, Rope},
    compute::plan::{Plan, PlanTarget},
    compute::target::Target,
};
use model_loader::{Bytes, Format, HostTensor};

fn plan(target: &PlanTarget, build: impl Fn(&mut Graph) -> Result<TensorId, OpError>) -> Plan {
    let mut graph = Graph::new();
    let out = build(&mut graph).unwrap_or_else(|e| panic!("{e}"));
    graph.output("out", out);
    Plan::new(&graph, target).unwrap_or_else(|e| panic!("{e}"))
}

/// Launches as they are and unfused, on a GPU and on the CPU.
fn launches(build: impl Fn(&mut Graph) -> Result<TensorId, OpError>) -> (usize, usize) {
    let [gpu, cpu] = [PlanTarget::Gpu(Target::webgpu_defaults()), PlanTarget::Cpu].map(|target| {
        let plan = plan(&target, &build);
        (plan.launches(), plan.unfused_launches())
    });
    assert_eq!(gpu, cpu);
    gpu
}

fn matrix(rows: usize, cols: usize) -> HostTensor {
    let bytes = Bytes::from(vec![0; 4 * rows * cols]);
    HostTensor::new("", Format::F32, &[rows, cols], bytes)
}

#[test]
fn every_function_of_an_epilogue_is_counted() {
    let product = |graph: &mut Graph, stacked: usize, full: bool| {
        let parts: Vec<HostTensor> = (0..stacked).map(|_| matrix(8, 8)).collect();
        let x = graph.input("x", &[4, 8], DType::F32);
        let weight = graph.weight(&Weight::stack("w", &parts));
        let (bias, same) = (graph.input("b", &[8], DType::F32), graph.input("r", &[4, 8], DType::F32));
        let (table, multiplier) =
            (graph.input("g", &[6, 8], DType::F32), graph.input("m", &[4, 8], DType::F32));
        let bare = MatmulOptions::new(DType::F32);
        let everything = MatmulOptions {
            bias: Some(bias),
            activation: Activation::Silu,
            multiplier: Some(multiplier),
            residual: Some(same),
            gate: Some(Gate { table, row: 2, split: None }),
            ..bare
        };
        graph.matmul(x, weight, if full { &everything } else { &bare })
    };
    assert_eq!(launches(|graph| product(graph, 1, false)), (1, 1));
    assert_eq!(launches(|graph| product(graph, 3, false)), (1, 3));
    assert_eq!(launches(|graph| product(graph, 1, true)), (1, 6));
}

#[test]
fn norms_count_what_follows_them() {
    let normed = |graph: &mut Graph, modulated: bool| {
        let (x, table) = (graph.input("x", &[4, 8], DType::F32), graph.input("t", &[6, 8], DType::F32));
        let modulation = modulated.then_some(Modulation { table, shift: 0, scale: 1, split: None });
        let options = LayerNormOptions { modulation, ..LayerNormOptions::new(1e-6, DType::F32) };
        graph.layer_norm(x, &options)
    };
    assert_eq!(launches(|graph| normed(graph, false)), (1, 1));
    assert_eq!(launches(|graph| normed(graph, true)), (1, 3));
    let queries_and_keys = |graph: &mut Graph| {
        let (x, weight) = (graph.input("x", &[4, 24], DType::F32), graph.input("w", &[2, 8], DType::F32));
        let [cos, sin] = ["c", "s"].map(|name| graph.input(name, &[4, 2], DType::F32));
        let rope = Some(Rope { cos, sin, head_dim: 4 });
        graph.rms_norm(x, weight, &RmsNormOptions { rope, ..RmsNormOptions::new(1e-6, DType::F32) })
    };
    assert_eq!(launches(queries_and_keys), (1, 6));
    // Two of the three parts of x, the weight, both tables, the result.
    let needed = 4 * (4 * 16 + 16 + 2 * 4 * 2 + 4 * 16);
    let target = PlanTarget::Gpu(Target::webgpu_defaults());
    let plan = plan(&target, queries_and_keys);
    assert_eq!((plan.bytes(), plan.least_bytes()), (needed, needed));
}

/// Launches that are cut short, as software's are soonest, read their weights again.
#[test]
fn no_op_moves_half_as_much_again_as_it_must() {
    let gpu = Target { max_buffer_bytes: 1 << 30, ..Target::webgpu_defaults() };
    let software = Target { software: true, subgroups: Some((8, 8)), ..gpu.clone() };
    for (name, target) in [("GPU", gpu), ("software", software)] {
        let target = PlanTarget::Gpu(target);
        for case in workbench::cases() {
            let label = format!("{name}, {}", case.name);
            let graph = case.graph().unwrap_or_else(|e| panic!("{label}: {e}"));
            let plan = Plan::new(&graph, &target).unwrap_or_else(|e| panic!("{label}: {e}"));
            let cost = plan.ops[0].cost;
            assert!(cost.bytes >= cost.least_bytes, "{label}: {cost:?}");
            // A group norm reads its input twice, and the moments are a little more.
            assert!(cost.ratio() <= 1.51, "{label}: {:.2}, {cost:?}", cost.ratio());
        }
    }
}

/// A feed-forward's first product at full size, whose launches would each read 28 MB of weights for a few rows.
#[test]
fn weights_are_not_read_again_for_a_few_rows() {
    let gpu = Target { max_buffer_bytes: 4 << 30, ..Target::webgpu_defaults() };
    let software = Target { software: true, subgroups: Some((8, 8)), ..gpu.clone() };
    for (target, dtype) in [(gpu.clone(), DType::F32), (gpu, DType::F16), (software, DType::F32)] {
        let plan = plan(&PlanTarget::Gpu(target), |graph| {
            let x = graph.input("x", &[32_760, 1536], dtype);
            let bytes = Bytes::from(vec![0; 2 * 8960 * 1536]);
            let weight = HostTensor::new("", Format::BF16, &[8960, 1536], bytes);
            let weight = graph.weight(&Weight::matrix(weight));
            graph.matmul(x, weight, &MatmulOptions::new(dtype))
        });
        let cost = plan.ops[0].cost;
        assert!(plan.launches() > 1, "{dtype}: one launch of {} GFLOP", cost.flops / 1_000_000_000);
        assert!(cost.ratio() <= 1.5, "{dtype}: {:.2}, {} launches", cost.ratio(), plan.launches());
    }
}
