//! The graph of one denoising step, whole or in strips of tokens.
use super::EngineError;
use crate::{
    error::PlanError,
    graph::{Graph, State},
    models::{Context, DenoisingTransformer, StepInputs, Times},
    nn::Precision,
    plan::{Plan, PlanTarget},
    tensor::DType,
};

/// What a denoising step works on.
pub(super) struct StepStates<'a> {
    /// The solver's rows `[rows, C, F, H, W]`.
    pub(super) latents: &'a State,
    /// What there is of a picture.
    pub(super) condition: Option<&'a State>,
    /// Whether the step takes fresh noise.
    pub(super) is_stochastic: bool,
}

/// One denoising step: velocities of all prompts, guidance and the scheduler's update.
pub(super) struct StepGraph<'a> {
    /// The network.
    pub(super) transformer: &'a dyn DenoisingTransformer,
    /// The prompts.
    pub(super) contexts: &'a [Context],
    /// What it works on.
    pub(super) states: &'a StepStates<'a>,
    /// Whether intermediate tensors are kept: such a graph is whole.
    pub(super) taps: bool,
    /// How activations are stored.
    pub(super) precision: Precision,
}

/// Tokens of a strip, from what costs nothing to what saves the most.
const STRIPS: [usize; 3] = [8192, 2048, 512];

impl StepGraph<'_> {
    /// The graph and its plan: whole if that fits `budget` bytes with all weights, else whole or in the largest strips that fit, whatever
    /// brings fewer bytes of weights, else what takes the least.
    ///
    /// # Errors
    /// If the settings do not fit the model, or no form fits the device.
    pub(super) fn within(
        &self,
        target: &PlanTarget,
        budget: Option<u64>,
    ) -> Result<(Graph, Plan), EngineError> {
        let mut best: Option<(Graph, Plan)> = None;
        let mut least: Option<(Graph, Plan)> = None;
        let mut failure: Option<PlanError> = None;
        let strips = STRIPS.into_iter().filter(|_| !self.taps);
        for strip in std::iter::once(None).chain(strips.map(Some)) {
            // Smaller strips than the largest cost time: they are for what fits in no other way.
            if best.is_some() && strip.is_some_and(|strip| strip < STRIPS[0]) {
                break;
            }
            let graph = self.build(strip)?;
            let plan = match budget {
                Some(budget) => Plan::within(&graph, target, budget),
                None => Plan::new(&graph, target),
            };
            match plan {
                Ok(plan) if budget.is_none_or(|budget| plan.total_bytes() <= budget) => {
                    let is_whole = plan.streamed_bytes.each_run == 0;
                    replace_if_less(&mut best, graph, plan, |plan| plan.streamed_bytes.each_run);
                    if is_whole {
                        break;
                    }
                }
                Ok(plan) => replace_if_less(&mut least, graph, plan, Plan::total_bytes),
                // A buffer may be too large for the device; those of strips are smaller.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match (best.or(least), failure) {
            (Some(step), _) => Ok(step),
            (None, Some(error)) => Err(error.into()),
            (None, None) => Err(EngineError::Internal("there was no step to plan".to_owned())),
        }
    }

    fn build(&self, strip: Option<usize>) -> Result<Graph, EngineError> {
        let Self { transformer, contexts, states, taps, precision } = *self;
        let mut graph = Graph::with_taps(taps);
        let rows = states.latents.desc().shape[0];
        let columns = if states.is_stochastic { rows + 2 } else { rows + 1 };
        let latents = graph.state(states.latents);
        let condition = states.condition.map(|condition| graph.state(condition));
        let times = Times::Whole(graph.input("timestep", &[1], DType::F32));
        let coefficients = graph.input("coefficients", &[1 + rows * columns], DType::F32);
        let contexts: Vec<&Context> = contexts.iter().collect();
        let inputs = StepInputs { latents, times, contexts: &contexts, condition, precision, strip };
        let velocities = transformer.forward(&mut graph, &inputs)?;
        for (name, velocity) in ["cond", "uncond"].iter().zip(&velocities) {
            graph.tap(name, *velocity);
        }
        let (cond, uncond) = (velocities[0], velocities.get(1).copied());
        if states.is_stochastic {
            let noise = graph.input("noise", &states.latents.desc().shape[1..], DType::F32);
            graph.noisy_denoise_step(latents, cond, uncond, noise, coefficients)?;
        } else {
            graph.denoise_step(latents, cond, uncond, coefficients)?;
        }
        Ok(graph)
    }
}

/// Keeps the plan of which `measure` is less; of equal ones the first.
fn replace_if_less(
    kept: &mut Option<(Graph, Plan)>,
    graph: Graph,
    plan: Plan,
    measure: impl Fn(&Plan) -> u64,
) {
    if kept.as_ref().is_none_or(|(_, other)| measure(&plan) < measure(other)) {
        *kept = Some((graph, plan));
    }
}
