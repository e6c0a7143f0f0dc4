//! Runs a planned graph on a GPU: encodes, submits, and nothing else.
use super::{
    Gpu, GpuError,
    buffers::{self, Residents},
    pacing::Pacing,
    pipelines::{PipelineKey, Pipelines},
    readback,
    timestamps::{self, Timestamps},
    tuning::Tuner,
};
use crate::{
    graph::{Graph, Source, State},
    op::{Dispatch, Operand},
    plan::{Place, Plan, PlanTarget},
    run::{Cancel, RunError, RunInput, Timing},
    stopwatch::Stopwatch,
    tensor::{DType, TensorDesc, TensorId},
};
use shaders::Access;
use std::ops::ControlFlow;

/// A device with its pipelines, constants and states.
#[derive(Debug)]
pub struct GpuExecutor {
    pub(super) gpu: Gpu,
    pub(super) pipelines: Pipelines,
    pub(super) tuner: Option<Tuner>,
    residents: Residents,
    pacing: Pacing,
    dummy: Option<wgpu::Buffer>,
}

/// A graph with its plan, its buffers and its bind groups.
#[derive(Debug)]
pub struct GpuProgram {
    graph: Graph,
    plan: Plan,
    slots: Vec<wgpu::Buffer>,
    states: Vec<Option<wgpu::Buffer>>,
    launches: Vec<Launch>,
}

#[derive(Debug)]
struct Launch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
    op: usize,
    dispatch: usize,
    units: u64,
}

/// Offsets of parameter blocks; 256 is the largest alignment that WebGPU may ask for.
const PARAMS_ALIGNMENT: usize = 256;

impl GpuExecutor {
    /// An executor on an opened device.
    pub fn new(gpu: Gpu) -> Self {
        let pacing = Pacing::new(gpu.target().software);
        let (pipelines, residents) = (Pipelines::default(), Residents::default());
        let tuner = Tuner::open(&gpu.options.tuning, gpu.summary());
        let mut executor = Self { gpu, pipelines, tuner, residents, pacing, dummy: None };
        executor.adopt();
        executor
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Plans a graph, compiles its kernels, uploads its constants and allocates its buffers.
    ///
    /// # Errors
    /// If the plan does not fit the device, a kernel does not compile, or memory runs out.
    pub async fn compile(&mut self, graph: Graph) -> Result<GpuProgram, crate::executor::CompileError> {
        let plan = Plan::new(&graph, &PlanTarget::Gpu(self.gpu.target().clone()))?;
        let keys = plan.ops.iter().flat_map(|op| &op.dispatches).map(key);
        let mut unobserved = |_, _| ControlFlow::Continue(());
        let _ = self.pipelines.prepare(&self.gpu, keys, &mut unobserved).await?;
        let mut slots = Vec::with_capacity(plan.slots.len());
        for bytes in &plan.slots {
            slots.push(buffers::slot(&self.gpu, *bytes).await?);
        }
        let mut constants = Vec::with_capacity(graph.tensors().len());
        for tensor in graph.tensors() {
            constants.push(match &tensor.source {
                Source::Weight(weight) => Some(self.residents.weight(&self.gpu, weight).await?),
                Source::State(state) => Some(self.residents.state(&self.gpu, state).await?),
                _ => None,
            });
        }
        if self.dummy.is_none() {
            self.dummy = Some(buffers::storage(&self.gpu, "dummy", 256).await?);
        }
        let mut program = GpuProgram { graph, plan, slots, states: constants, launches: Vec::new() };
        program.launches = self.launches(&program).await?;
        Ok(program)
    }

    async fn launches(&self, program: &GpuProgram) -> Result<Vec<Launch>, GpuError> {
        let params = self.params(&program.plan).await?;
        let mut launches = Vec::with_capacity(program.plan.launches());
        let mut offset = 0;
        for (op_index, op) in program.plan.ops.iter().enumerate() {
            for (index, dispatch) in op.dispatches.iter().enumerate() {
                let Some(pipeline) = self.pipelines.get(&key(dispatch)) else {
                    return Err(GpuError::Validation(format!("{} was not compiled", dispatch.kernel.name)));
                };
                self.check_usage(program, op_index, dispatch, &pipeline.accesses)?;
                let mut entries = vec![wgpu::BindGroupEntry {
                    binding: 0,
                    resource: range(&params, offset, dispatch.params.len() as u64),
                }];
                for (position, binding) in dispatch.bindings.iter().enumerate() {
                    let buffer = self.operand(program, op_index, binding.operand)?;
                    let resource = range(buffer, binding.offset, binding.size.next_multiple_of(4));
                    let binding = crate::target::clamp_u32(position + 1);
                    entries.push(wgpu::BindGroupEntry { binding, resource });
                }
                let descriptor = wgpu::BindGroupDescriptor {
                    label: Some(dispatch.kernel.name),
                    layout: &pipeline.layout,
                    entries: &entries,
                };
                let bind_group = self
                    .gpu
                    .scoped(&format!("bindings of `{}`", dispatch.kernel.name), 0, || {
                        self.gpu.device.create_bind_group(&descriptor)
                    })
                    .await?;
                let bytes = dispatch.bindings.iter().map(|b| b.size).sum();
                launches.push(Launch {
                    pipeline: pipeline.pipeline.clone(),
                    bind_group,
                    grid: dispatch.grid,
                    op: op_index,
                    dispatch: index,
                    units: Pacing::units(op.cost.flops / op.dispatches.len() as u64, bytes),
                });
                offset += dispatch.params.len().next_multiple_of(PARAMS_ALIGNMENT) as u64;
            }
        }
        Ok(launches)
    }

    /// `Err` naming the kernel if a launch would bind one buffer both for reading and for writing.
    fn check_usage(
        &self,
        program: &GpuProgram,
        op: usize,
        dispatch: &Dispatch,
        accesses: &[Access],
    ) -> Result<(), GpuError> {
        let mut bound: Vec<(&wgpu::Buffer, Access)> = Vec::new();
        for (binding, access) in dispatch.bindings.iter().zip(accesses.iter().skip(1)) {
            let buffer = self.operand(program, op, binding.operand)?;
            let clash = |(other, other_access): &(&wgpu::Buffer, Access)| {
                *other == buffer && (*access == Access::ReadWrite || *other_access == Access::ReadWrite)
            };
            if bound.iter().any(clash) {
                let kernel = dispatch.kernel.name;
                return Err(GpuError::Validation(format!("`{kernel}` would read and write one buffer")));
            }
            bound.push((buffer, *access));
        }
        Ok(())
    }

    /// All parameter blocks of a plan in one uniform buffer.
    async fn params(&self, plan: &Plan) -> Result<wgpu::Buffer, GpuError> {
        let mut bytes = Vec::new();
        for dispatch in plan.ops.iter().flat_map(|op| &op.dispatches) {
            bytes.extend_from_slice(&dispatch.params);
            bytes.resize(bytes.len().next_multiple_of(PARAMS_ALIGNMENT), 0);
        }
        bytes.resize(bytes.len().max(PARAMS_ALIGNMENT), 0);
        let size = bytes.len() as u64;
        self.gpu
            .scoped("parameters", size, || {
                let buffer = self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("parameters"),
                    size,
                    usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                self.gpu.queue.write_buffer(&buffer, 0, &bytes);
                buffer
            })
            .await
    }

    fn operand<'a>(
        &'a self,
        program: &'a GpuProgram,
        op: usize,
        operand: Operand,
    ) -> Result<&'a wgpu::Buffer, GpuError> {
        let node = &program.graph.nodes()[op];
        let found = match operand {
            Operand::Input(index) => program.buffer(node.inputs[index]),
            Operand::Output => program.buffer(node.output),
            Operand::Scratch(index) => program.slots.get(program.plan.ops[op].scratch[index]),
            Operand::Unused => self.dummy.as_ref(),
        };
        found.ok_or_else(|| GpuError::Validation(format!("{}: an operand has no buffer", node.op.name())))
    }

    /// Runs a program once, in submissions of about 100 ms; cancellation is looked at between them.
    ///
    /// With `timings`, every launch is timed on the device (one pass each).
    pub async fn run(
        &mut self,
        program: &mut GpuProgram,
        inputs: &[RunInput<'_>],
        cancel: &Cancel,
        mut timings: Option<&mut Vec<Timing>>,
    ) -> Result<(), RunError> {
        for input in inputs {
            let id = input.find(&program.graph)?;
            if let Some(buffer) = program.buffer(id) {
                buffers::write(&self.gpu, buffer, program.graph.desc(id), input.words());
            }
        }
        let timestamps = match timings {
            Some(_) => Timestamps::new(&self.gpu).await?,
            None => None,
        };
        let mut start = 0;
        while start < program.launches.len() {
            if cancel.is_cancelled() {
                return Err(RunError::Cancelled);
            }
            let end = self.end_of_submission(program, start, timestamps.is_some());
            let durations = self.submit(&program.launches[start..end], timestamps.as_ref()).await?;
            if let Some(timings) = timings.as_deref_mut() {
                for (launch, duration) in program.launches[start..end].iter().zip(durations) {
                    let op = &program.plan.ops[launch.op];
                    timings.push(Timing::of(op, Some(launch.dispatch), duration));
                }
            }
            start = end;
        }
        Ok(())
    }

    fn end_of_submission(&self, program: &GpuProgram, start: usize, timed: bool) -> usize {
        let (budget, mut units) = (self.pacing.budget(), 0);
        let mut end = start;
        while end < program.launches.len() && (end == start || units + program.launches[end].units <= budget)
        {
            units += program.launches[end].units;
            end += 1;
        }
        if timed { end.min(start + timestamps::CAPACITY) } else { end }
    }

    async fn submit(
        &mut self,
        launches: &[Launch],
        timestamps: Option<&Timestamps>,
    ) -> Result<Vec<std::time::Duration>, GpuError> {
        let clock = Stopwatch::start();
        let submission = self
            .gpu
            .scoped("submission", 0, || {
                let mut encoder =
                    self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                match timestamps {
                    None => encode(&mut encoder, launches, None),
                    Some(timestamps) => {
                        for (index, launch) in launches.iter().enumerate() {
                            let writes = Some(timestamps.writes(index));
                            encode(&mut encoder, std::slice::from_ref(launch), writes);
                        }
                        timestamps.resolve(&mut encoder, launches.len());
                    }
                }
                self.gpu.queue.submit([encoder.finish()])
            })
            .await?;
        self.gpu.wait(submission).await?;
        self.pacing.learn(launches.iter().map(|l| l.units).sum(), clock.elapsed());
        match timestamps {
            Some(timestamps) => timestamps.read(&self.gpu, launches.len()).await,
            None => Ok(Vec::new()),
        }
    }

    /// The values of an output or tap, after a run.
    pub async fn read(&self, program: &GpuProgram, id: TensorId) -> Result<Vec<f32>, GpuError> {
        match program.buffer(id) {
            Some(buffer) => readback::read(&self.gpu, buffer, program.graph.desc(id)).await,
            None => Err(GpuError::Validation("the tensor has no buffer".to_owned())),
        }
    }

    /// `Err` if a launch has written behind a tensor. Needs [`super::GpuOptions::guard_bands`].
    pub async fn check_guards(&self, program: &GpuProgram) -> Result<(), GpuError> {
        for (index, slot) in program.slots.iter().enumerate() {
            let desc = TensorDesc::new(&[usize::try_from(slot.size() / 4).unwrap_or(0)], DType::U32);
            let words = readback::read(&self.gpu, slot, &desc).await?;
            let guard = usize::try_from(buffers::GUARD / 4).unwrap_or(0);
            if words[words.len().saturating_sub(guard)..].iter().any(|w| w.to_bits() != u32::MAX) {
                return Err(GpuError::Validation(format!("slot {index}: written behind its end")));
            }
        }
        Ok(())
    }

    /// The values of a state.
    pub async fn read_state(&mut self, state: &State) -> Result<Vec<f32>, GpuError> {
        let buffer = self.residents.state(&self.gpu, state).await?;
        readback::read(&self.gpu, &buffer, state.desc()).await
    }

    /// Replaces the first values of a state; the rest become zero.
    pub async fn write_state(&mut self, state: &State, values: &[f32]) -> Result<(), GpuError> {
        let buffer = self.residents.state(&self.gpu, state).await?;
        let mut all = values.to_vec();
        all.resize(state.desc().elements(), 0.0);
        buffers::write(&self.gpu, &buffer, state.desc(), &all);
        Ok(())
    }

    /// Frees a state's memory; its next use starts from zeros.
    pub fn drop_state(&mut self, state: &State) {
        self.residents.drop_state(state);
    }

    /// Frees the constants that no model uses any more.
    pub fn release_unused(&mut self) {
        self.residents.release_unused();
    }

    /// Bytes of constants and states on the device.
    pub fn resident_bytes(&self) -> u64 {
        self.residents.bytes()
    }
}

impl GpuProgram {
    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn buffer(&self, id: TensorId) -> Option<&wgpu::Buffer> {
        match self.plan.place(id) {
            Place::Slot(slot) => self.slots.get(*slot),
            Place::Weight | Place::State => self.states[self.graph.root(id).index()].as_ref(),
            Place::Nowhere => None,
        }
    }
}

pub(super) fn key(dispatch: &Dispatch) -> PipelineKey {
    PipelineKey { kernel: dispatch.kernel, variant: dispatch.variant.clone() }
}

pub(super) fn range(buffer: &wgpu::Buffer, offset: u64, size: u64) -> wgpu::BindingResource<'_> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
        buffer,
        offset,
        size: std::num::NonZeroU64::new(size),
    })
}

fn encode(
    encoder: &mut wgpu::CommandEncoder,
    launches: &[Launch],
    timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
    for launch in launches {
        pass.set_pipeline(&launch.pipeline);
        pass.set_bind_group(0, &launch.bind_group, &[]);
        pass.dispatch_workgroups(launch.grid[0], launch.grid[1], launch.grid[2]);
    }
}
