//! Liveness, in-place reuse and errors, on a graph of dummy ops.
use super::*;
use crate::{
    cpu::CpuIo,
    error::LowerError,
    graph::State,
    op::{Lowered, Op, OpError},
    tensor::DType,
};

#[derive(Debug)]
struct Add {
    in_place: bool,
}

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }
    fn output(&self, inputs: &[TensorDesc]) -> Result<TensorDesc, OpError> {
        OpError::expect_shape("add", "b", &inputs[1], &inputs[0].shape)?;
        Ok(inputs[0].clone())
    }
    fn in_place(&self) -> Option<usize> {
        self.in_place.then_some(0)
    }
    fn flops(&self, _: &[TensorDesc], output: &TensorDesc) -> u64 {
        output.elements() as u64
    }
    fn lower(&self, _: &Io<'_>, _: &Target) -> Result<Lowered, LowerError> {
        Ok(Lowered::default())
    }
    fn evaluate(&self, _: &mut CpuIo<'_>) {}
}

fn chain(in_place: bool, length: usize) -> (Graph, TensorId) {
    let mut graph = Graph::new();
    let input = graph.input("x", &[8], DType::F32);
    let mut x = input;
    for _ in 0..length {
        x = graph.push(Add { in_place }, &[x, input]).unwrap();
    }
    graph.output("y", x);
    (graph, x)
}

#[test]
fn a_long_chain_needs_two_slots_beside_its_input() {
    let (graph, _) = chain(false, 10);
    assert_eq!(Plan::new(&graph, &PlanTarget::Cpu).unwrap().slots.len(), 3);
}

#[test]
fn a_chain_in_place_needs_one_slot_and_never_touches_its_input() {
    let (graph, _) = chain(true, 10);
    let plan = Plan::new(&graph, &PlanTarget::Cpu).unwrap();
    assert_eq!(plan.slots.len(), 2);
    assert_eq!(plan.ops[0].aliased, None);
    assert!(plan.ops[1..].iter().all(|op| op.aliased == Some(0)));
}

#[test]
fn a_tapped_tensor_keeps_its_slot() {
    let mut graph = Graph::with_taps(true);
    let input = graph.input("x", &[8], DType::F32);
    let a = graph.push(Add { in_place: true }, &[input, input]).unwrap();
    graph.tap("a", a);
    let b = graph.push(Add { in_place: true }, &[a, input]).unwrap();
    let plan = Plan::new(&graph, &PlanTarget::Cpu).unwrap();
    assert_ne!(plan.place(a), plan.place(b));
}

#[test]
fn a_view_keeps_its_root_alive() {
    let mut graph = Graph::new();
    let input = graph.input("x", &[8], DType::F32);
    let a = graph.push(Add { in_place: false }, &[input, input]).unwrap();
    let view = graph.reshape(a, &[2, 4]).unwrap();
    let b = graph.push(Add { in_place: false }, &[input, input]).unwrap();
    let flat = graph.reshape(view, &[8]).unwrap();
    let c = graph.push(Add { in_place: false }, &[flat, b]).unwrap();
    let plan = Plan::new(&graph, &PlanTarget::Cpu).unwrap();
    assert_eq!(plan.place(a), plan.place(flat));
    assert_ne!(plan.place(a), plan.place(b));
    assert_ne!(plan.place(c), plan.place(b));
}

#[test]
fn an_update_of_a_state_is_aliased_with_it() {
    let mut graph = Graph::new();
    let state = State::new("s", TensorDesc::new(&[8], DType::F32));
    let s = graph.state(&state);
    let x = graph.input("x", &[8], DType::F32);
    graph.push_into(Add { in_place: false }, &[s, x], s).unwrap();
    let plan = Plan::new(&graph, &PlanTarget::Cpu).unwrap();
    assert_eq!(plan.ops[0].aliased, Some(0));
    assert_eq!(plan.state_bytes, 32);
}

#[test]
fn a_buffer_beyond_the_limit_is_named() {
    let (graph, _) = chain(false, 1);
    let target = PlanTarget::Gpu(Target { max_buffer_bytes: 16, ..Target::webgpu_defaults() });
    let error = Plan::new(&graph, &target).unwrap_err().to_string();
    assert_eq!(error, "add: its output [8] of 32 bytes exceeds the adapter's largest buffer of 16 bytes");
}
