//! Runs a planned graph on a GPU: encodes, submits, and nothing else.
use super::{
    Gpu, buffers,
    launch::{self, BoundLaunch, ParamBlocks},
    pacing::Pacing,
    pipelines::Pipelines,
    readback,
    streaming::Bringing,
    timestamps::{self, Timestamps},
    tuning::Tuner,
};
use crate::{
    error::{CompileError, DeviceError, RunError},
    graph::{Graph, Origin, State},
    op::{Binding, Launch, Operand},
    plan::{Brought, Place, Plan, PlanTarget},
    residents::Residents,
    run::{self, Cancel, CompileObserver, RunInput, Timing},
    stopwatch::Stopwatch,
    tensor::{DType, TensorDesc, TensorId},
    weight::Weight,
};

/// A device with its pipelines, constants and states.
#[derive(Debug)]
pub struct GpuExecutor {
    pub(super) gpu: Gpu,
    pub(super) pipelines: Pipelines,
    pub(super) tuner: Option<Tuner>,
    residents: Residents<(), wgpu::Buffer, wgpu::Buffer>,
    pacing: Pacing,
    dummy: Option<wgpu::Buffer>,
}

/// A graph with its plan, its buffers and its bind groups.
#[derive(Debug)]
pub struct GpuProgram {
    graph: Graph,
    pub(super) plan: Plan,
    slots: Vec<wgpu::Buffer>,
    /// By tensor: the buffers of weights and states.
    constants: Vec<Option<wgpu::Buffer>>,
    pub(super) launches: Vec<Queued>,
}

/// A bound launch, which one of the plan it is, and its work.
#[derive(Debug)]
pub(super) struct Queued {
    bound: BoundLaunch,
    pub(super) op: usize,
    /// Its position among the launches of its op.
    index: usize,
    units: u64,
}

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

    /// Compiles a graph's kernels, uploads its constants and allocates its buffers.
    ///
    /// # Errors
    /// If the plan is of another graph or another device, a kernel does not compile, memory runs out, or the observer
    /// breaks.
    pub async fn compile(
        &mut self,
        graph: Graph,
        plan: Plan,
        observer: &mut CompileObserver<'_>,
    ) -> Result<GpuProgram, CompileError> {
        self.residents.sweep();
        if !plan.is_for(&graph, &PlanTarget::Gpu(self.gpu.target().clone())) {
            return Err(CompileError::OtherPlan);
        }
        let keys = plan.ops.iter().flat_map(|op| &op.launches).map(launch::key);
        if self.pipelines.prepare(&self.gpu, keys, observer).await?.is_break() {
            return Err(CompileError::Cancelled);
        }
        self.gpu.check()?;
        let mut slots = Vec::with_capacity(plan.slots.len());
        for bytes in &plan.slots {
            slots.push(buffers::slot(&self.gpu, *bytes).await?);
        }
        let mut constants = Vec::with_capacity(graph.tensors().len());
        let streamed = plan.streamed();
        for (id, tensor) in graph.ids().zip(graph.tensors()) {
            constants.push(match &tensor.origin {
                Origin::Weight(_) if streamed.contains(&id) => None,
                Origin::Weight(weight) => Some(self.weight(weight).await?),
                Origin::State(state) => Some(self.state(state).await?),
                _ => None,
            });
        }
        if self.dummy.is_none() {
            self.dummy = Some(buffers::storage(&self.gpu, "dummy", 256).await?);
        }
        let mut program = GpuProgram { graph, plan, slots, constants, launches: Vec::new() };
        program.launches = self.bind(&program).await?;
        Ok(program)
    }

    /// The buffer of a constant, uploaded at its first use.
    async fn weight(&mut self, weight: &Weight) -> Result<wgpu::Buffer, DeviceError> {
        if let Some(buffer) = self.residents.weight(weight, ()) {
            return Ok(buffer.clone());
        }
        let buffer = buffers::upload(&self.gpu, weight).await?;
        self.residents.keep_weight(weight, (), buffer.clone(), buffer.size());
        Ok(buffer)
    }

    /// The buffer of a state, made of zeros at its first use.
    async fn state(&mut self, state: &State) -> Result<wgpu::Buffer, DeviceError> {
        if let Some(buffer) = self.residents.state(state) {
            return Ok(buffer.clone());
        }
        let what = format!("state `{}`", state.name());
        let buffer = buffers::storage(&self.gpu, &what, state.desc().bytes()).await?;
        Ok(self.residents.state_mut(state, || (buffer.clone(), buffer.size())).clone())
    }

    async fn bind(&self, program: &GpuProgram) -> Result<Vec<Queued>, DeviceError> {
        let all = program.plan.ops.iter().enumerate();
        let all: Vec<(usize, usize, &Launch)> = all
            .flat_map(|(op, planned)| {
                planned.launches.iter().enumerate().map(move |(i, launch)| (op, i, launch))
            })
            .collect();
        let params = ParamBlocks::new(&self.gpu, all.iter().map(|(.., launch)| *launch)).await?;
        let mut launches = Vec::with_capacity(all.len());
        for (position, (op, index, launch)) in all.into_iter().enumerate() {
            let Some(pipeline) = self.pipelines.get(&launch::key(launch)) else {
                return Err(DeviceError::Validation(format!("{} was not compiled", launch.kernel.name)));
            };
            let operand = |binding: &Binding| self.operand(program, op, binding.operand);
            let bound = launch::bind(&self.gpu, launch, pipeline, params.block(position), operand).await?;
            let planned = &program.plan.ops[op];
            let bytes = launch.bindings.iter().map(|b| b.size).sum();
            let units = Pacing::units(planned.cost.flops / planned.launches.len() as u64, bytes);
            launches.push(Queued { bound, op, index, units });
        }
        Ok(launches)
    }

    fn operand<'a>(
        &'a self,
        program: &'a GpuProgram,
        op: usize,
        operand: Operand,
    ) -> Result<&'a wgpu::Buffer, DeviceError> {
        let node = &program.graph.nodes()[op];
        let found = match operand {
            Operand::Input(index) => match program.plan.ops[op].streamed[index] {
                Some(Brought::Slot(slot)) => program.slots.get(slot),
                _ => program.buffer(node.inputs[index]),
            },
            Operand::Output => program.buffer(node.output),
            Operand::Scratch(index) => program.slots.get(program.plan.ops[op].scratch[index]),
            Operand::Unused => self.dummy.as_ref(),
        };
        found.ok_or_else(|| DeviceError::Validation(format!("{}: an operand has no buffer", node.op.name())))
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
        for (id, words) in run::inputs(&program.graph, inputs)? {
            if let Some(buffer) = program.buffer(id) {
                buffers::write(&self.gpu, buffer, program.graph.desc(id), words).await?;
            }
        }
        let timestamps = match timings {
            Some(_) => Timestamps::new(&self.gpu).await?,
            None => None,
        };
        let mut start = 0;
        let mut bringing = Bringing::default();
        while start < program.launches.len() {
            if cancel.is_cancelled() {
                return Err(RunError::Cancelled);
            }
            self.bring(program, &mut bringing, start).await?;
            let end = self.end_of_submission(program, start, timestamps.is_some());
            let end = bringing.end(program, start, end);
            let (clock, submission) = self.submit(&program.launches[start..end], timestamps.as_ref()).await?;
            // The next constants come while the device works.
            self.bring(program, &mut bringing, end).await?;
            let durations =
                self.finish(&program.launches[start..end], clock, submission, timestamps.as_ref()).await?;
            if let Some(timings) = timings.as_deref_mut() {
                for (launch, duration) in program.launches[start..end].iter().zip(durations) {
                    let op = &program.plan.ops[launch.op];
                    timings.push(Timing::of(op, Some(launch.index), duration));
                }
            }
            start = end;
        }
        self.residents.sweep();
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

    /// Brings the constants that may come once all launches before `launch` are submitted.
    async fn bring(
        &mut self,
        program: &GpuProgram,
        bringing: &mut Bringing,
        launch: usize,
    ) -> Result<(), DeviceError> {
        while let Some((tensor, slot)) = bringing.next(program, launch) {
            let (Some(weight), Some(buffer)) = (program.graph.weight_of(tensor), program.slots.get(slot))
            else {
                return Err(DeviceError::Validation("a constant to be brought has no place".to_owned()));
            };
            let bytes = buffers::bring(&self.gpu, weight, buffer).await?;
            self.residents.note_brought(bytes);
        }
        Ok(())
    }

    async fn submit(
        &mut self,
        launches: &[Queued],
        timestamps: Option<&Timestamps>,
    ) -> Result<(Stopwatch, wgpu::SubmissionIndex), DeviceError> {
        let clock = Stopwatch::start();
        let submission = self
            .gpu
            .scoped("submission", 0, || {
                let mut encoder =
                    self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                match timestamps {
                    None => launch::encode(&mut encoder, launches.iter().map(|l| &l.bound), None),
                    Some(timestamps) => {
                        for (index, launch) in launches.iter().enumerate() {
                            let writes = Some(timestamps.writes(index));
                            launch::encode(&mut encoder, [&launch.bound], writes);
                        }
                        timestamps.resolve(&mut encoder, launches.len());
                    }
                }
                self.gpu.queue.submit([encoder.finish()])
            })
            .await?;
        Ok((clock, submission))
    }

    /// Waits for a submission.
    async fn finish(
        &mut self,
        launches: &[Queued],
        clock: Stopwatch,
        submission: wgpu::SubmissionIndex,
        timestamps: Option<&Timestamps>,
    ) -> Result<Vec<std::time::Duration>, DeviceError> {
        self.gpu.wait(submission).await?;
        self.pacing.learn(launches.iter().map(|l| l.units).sum(), clock.elapsed());
        match timestamps {
            Some(timestamps) => timestamps.read(&self.gpu, launches.len()).await,
            None => Ok(Vec::new()),
        }
    }

    /// The values of an output or tap, after a run.
    pub async fn read(&self, program: &GpuProgram, id: TensorId) -> Result<Vec<f32>, DeviceError> {
        match program.buffer(id) {
            Some(buffer) => readback::read(&self.gpu, buffer, program.graph.desc(id)).await,
            None => Err(DeviceError::Validation("the tensor has no buffer".to_owned())),
        }
    }

    /// `Err` if a launch has written behind a tensor. Needs [`super::GpuOptions::guard_bands`].
    pub async fn check_guards(&self, program: &GpuProgram) -> Result<(), DeviceError> {
        for (index, slot) in program.slots.iter().enumerate() {
            let desc = TensorDesc::new(&[usize::try_from(slot.size() / 4).unwrap_or(0)], DType::U32);
            let words = readback::read(&self.gpu, slot, &desc).await?;
            let guard = usize::try_from(buffers::GUARD / 4).unwrap_or(0);
            if words[words.len().saturating_sub(guard)..].iter().any(|w| w.to_bits() != u32::MAX) {
                return Err(DeviceError::Validation(format!("slot {index}: written behind its end")));
            }
        }
        Ok(())
    }

    /// The values of a state.
    pub async fn read_state(&mut self, state: &State) -> Result<Vec<f32>, DeviceError> {
        let buffer = self.state(state).await?;
        readback::read(&self.gpu, &buffer, state.desc()).await
    }

    /// Replaces the first values of a state; the rest become zero.
    pub async fn write_state(&mut self, state: &State, values: &[f32]) -> Result<(), DeviceError> {
        self.residents.sweep();
        let buffer = self.state(state).await?;
        let mut all = values.to_vec();
        all.resize(state.desc().elements(), 0.0);
        buffers::write(&self.gpu, &buffer, state.desc(), &all).await
    }

    /// Frees the constants that a graph does not use.
    pub fn keep_only_weights_of(&mut self, graph: &Graph) {
        self.residents.keep_only_weights_of(graph);
    }

    /// Bytes of the constants and states that somebody still holds the handle of.
    pub fn resident_bytes(&mut self) -> u64 {
        self.residents.sweep();
        self.residents.bytes()
    }

    /// Bytes of all constants that were ever brought here.
    pub fn brought_bytes(&self) -> u64 {
        self.residents.brought()
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
            Place::Weight | Place::State => self.constants[self.graph.root(id).index()].as_ref(),
            Place::Nowhere => None,
        }
    }
}
