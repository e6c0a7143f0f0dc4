//! The tuner on a GPU: which shapes of a graph are new, and their trials.
use super::{GpuExecutor, trials::LaunchTrials};
use crate::{
    adapter::{AdapterKind, AdapterSummary},
    error::{DeviceError, LowerError, RunError},
    graph::Graph,
    op::{Io, Launch},
    plan::{Plan, PlanTarget, PlannedOp},
    stopwatch::Stopwatch,
    target::Target,
    tuner::{Entry, Search, TuningEvent, TuningMode, TuningObserver, TuningOptions, TuningTable},
    tuning::{Choice, Tuning},
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// What trials for one graph may take; what is left over is tried at the next run.
const BUDGET: Duration = Duration::from_secs(4);
/// On software, where only those wait who have asked for it.
const SOFTWARE_BUDGET: Duration = Duration::from_secs(60);

/// The table of one device, and whether it may grow.
#[derive(Debug)]
pub(super) struct Tuner {
    table: TuningTable,
    folder: Option<PathBuf>,
    tries: bool,
    budget: Duration,
    /// Not yet told.
    notice: Option<String>,
}

/// One class of shapes that a graph has and the table lacks.
struct Job {
    choice: Choice,
    /// The node to try it on.
    node: usize,
    largest: u64,
    flops: u64,
}

impl Tuner {
    /// `None` if the heuristics are to decide.
    pub(super) fn open(options: &TuningOptions, adapter: &AdapterSummary) -> Option<Self> {
        let software = adapter.kind == AdapterKind::Software;
        let tries = match options.mode {
            TuningMode::Off => return None,
            TuningMode::Stored => false,
            TuningMode::Hardware => !software,
            TuningMode::Always => true,
        };
        let folder = options.folder.clone();
        let loaded = folder.as_ref().map_or(Ok(None), |folder| TuningTable::load(folder, adapter));
        let (table, notice) = match loaded {
            Ok(table) => (table, None),
            Err(error) => (None, Some(format!("{error}; it is not used"))),
        };
        let table = table.unwrap_or_else(|| TuningTable::new(adapter));
        let budget = if software { SOFTWARE_BUDGET } else { BUDGET };
        Some(Self { table, folder, tries, budget, notice })
    }

    /// What is known so far.
    pub(super) fn table(&self) -> &TuningTable {
        &self.table
    }

    /// Classes of shapes with forms that were not tried, those with the most work first.
    fn jobs(&self, ops: &[PlannedOp]) -> Vec<Job> {
        let mut jobs: BTreeMap<&str, Job> = BTreeMap::new();
        for (node, op) in ops.iter().enumerate() {
            let Some(choice) = &op.choice else { continue };
            let known = self.table.entries.get(&choice.key);
            if choice.forms.len() < 2 || known.is_some_and(|entry| entry.covers(&choice.forms)) {
                continue;
            }
            let job = jobs.entry(&choice.key).or_insert_with(|| Job {
                choice: choice.clone(),
                node,
                largest: 0,
                flops: 0,
            });
            job.flops += op.cost.flops;
            if op.cost.flops > job.largest {
                (job.largest, job.node, job.choice) = (op.cost.flops, node, choice.clone());
            }
        }
        let mut jobs: Vec<Job> = jobs.into_values().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.flops));
        jobs
    }

    /// Notes what is known of a key; a table that cannot be written costs time at the next start, nothing else.
    fn keep(&mut self, key: &str, entry: &Entry, adapter: &AdapterSummary) {
        self.table.entries.insert(key.to_owned(), entry.clone());
        let Some(folder) = &self.folder else { return };
        if let Err(error) = self.table.save(folder, adapter) {
            tracing::warn!("tuning table in `{}` not written: {error}", folder.display());
        }
    }
}

impl GpuExecutor {
    /// Tries the forms of what is new in a graph, and plans with the fastest from then on; the plan that it gives back is the
    /// graph's with those.
    ///
    /// Does nothing unless [`super::GpuOptions::tuning`] asks for it. Takes some seconds at most for each graph.
    ///
    /// # Errors
    /// If the device is lost, or the observer breaks.
    pub async fn tune(
        &mut self,
        graph: &Graph,
        plan: Plan,
        observer: &mut TuningObserver<'_>,
    ) -> Result<Plan, RunError> {
        let Some(tuner) = &mut self.tuner else { return Ok(plan) };
        if let Some(notice) = tuner.notice.take() {
            tell(observer, TuningEvent::Notice(&notice))?;
        }
        if !tuner.tries {
            return Ok(plan);
        }
        let jobs = tuner.jobs(&plan.ops);
        let (clock, budget, total) = (Stopwatch::start(), tuner.budget, jobs.len());
        for (done, job) in jobs.iter().enumerate() {
            if clock.elapsed() >= budget {
                let left = total - done;
                let notice = format!("{left} of {total} shapes are left to be tuned at the next run");
                tell(observer, TuningEvent::Notice(&notice))?;
                break;
            }
            tell(observer, TuningEvent::Progress { done, total })?;
            let tried = self.try_forms(graph, &plan.ops[job.node], job, || clock.elapsed() < budget).await;
            self.adopt();
            tried?;
        }
        if total > 0 {
            tell(observer, TuningEvent::Progress { done: total, total })?;
        }
        let target = PlanTarget::Gpu(self.gpu.target().clone());
        if plan.target() == &target {
            return Ok(plan);
        }
        // What is known has grown since the plan was made. The old one runs in any case.
        Ok(plan.again(graph, &target).unwrap_or(plan))
    }

    /// What has been tried on this device; `None` if it is not tuned.
    pub fn tuning_table(&self) -> Option<&TuningTable> {
        self.tuner.as_ref().map(Tuner::table)
    }

    /// Plans are made with what is known from now on.
    pub(super) fn adopt(&mut self) {
        if let Some(tuner) = &self.tuner {
            self.gpu.set_tuning(tuner.table.tuning());
        }
    }

    async fn try_forms(
        &mut self,
        graph: &Graph,
        op: &PlannedOp,
        job: &Job,
        in_time: impl Fn() -> bool,
    ) -> Result<(), DeviceError> {
        let Some(tuner) = &mut self.tuner else { return Ok(()) };
        let node = &graph.nodes()[job.node];
        let (inputs, output) = (graph.descs(&node.inputs), graph.desc(node.output));
        let io = Io { inputs: &inputs, output, aliased: op.aliased };
        let Choice { key, forms, likely } = &job.choice;
        let launches: Result<Vec<Launch>, LowerError> = forms
            .iter()
            .map(|form| {
                let tuning = Tuning::default().with(key, form);
                let target = Target { tuning, ..self.gpu.target().clone() };
                Ok(node.op.lower(&io, &target)?.launches.into_iter().next())
            })
            .filter_map(Result::transpose)
            .collect();
        let Ok(launches) = launches else { return Ok(()) };
        if launches.len() != forms.len() {
            return Ok(());
        }
        let trials = LaunchTrials::new(&self.gpu, &mut self.pipelines, &io, &launches).await;
        let mut trials = match trials {
            Ok(Some(trials)) => trials,
            Err(DeviceError::Lost(reason)) => return Err(DeviceError::Lost(reason)),
            // Too large, or no memory for it: the heuristic decides.
            Ok(None) | Err(_) => return Ok(()),
        };
        let known = tuner.table.entries.get(key).cloned().unwrap_or_default();
        let adapter = self.gpu.summary();
        let keep = |entry: &Entry| tuner.keep(key, entry, adapter);
        let search = Search { forms, likely: *likely, in_time, keep };
        search.run(known, &mut trials).await?;
        Ok(())
    }
}

fn tell(observer: &mut TuningObserver<'_>, event: TuningEvent<'_>) -> Result<(), RunError> {
    if observer(event).is_break() { Err(RunError::Cancelled) } else { Ok(()) }
}
