//! When constants that do not stay on the device may come: each once all launches that had its slot before are submitted, and
//! before those that read it.
use super::executor::GpuProgram;
use crate::{plan::Step, tensor::TensorId};

/// How far the constants of a run have come.
#[derive(Debug, Default)]
pub(super) struct Bringing {
    /// The first step of the plan that is not looked at yet.
    step: usize,
}

impl Bringing {
    /// The next constant that may come when all launches before `launch` are submitted, and its slot.
    pub(super) fn next(&mut self, program: &GpuProgram, launch: usize) -> Option<(TensorId, usize)> {
        let ops_done = program.launches.get(launch).map_or(program.plan.ops.len(), |queued| queued.op);
        while let Some(step) = program.plan.steps.get(self.step) {
            match *step {
                Step::Run(op) if op >= ops_done => return None,
                Step::Run(_) => self.step += 1,
                Step::Bring { tensor, slot } => {
                    self.step += 1;
                    if let Some(slot) = slot {
                        return Some((tensor, slot));
                    }
                }
            }
        }
        None
    }

    /// Where a submission of the launches from `start` on ends at the latest: before the first op behind a constant that is still to
    /// come.
    pub(super) fn end(&self, program: &GpuProgram, start: usize, end: usize) -> usize {
        let left = program.plan.steps.iter().skip(self.step);
        let mut is_waiting = false;
        let mut first = None;
        for step in left {
            match *step {
                Step::Bring { .. } => is_waiting = true,
                Step::Run(op) if is_waiting => {
                    first = Some(op);
                    break;
                }
                Step::Run(_) => {}
            }
        }
        let Some(first) = first else { return end };
        let limit = program.launches.partition_point(|queued| queued.op < first);
        // There is always something that may run: what is before a constant needs none that is still to come.
        end.min(limit.max(start + 1))
    }
}
