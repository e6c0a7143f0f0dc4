//! Whether a device multiplies cooperative matrices right, and in subgroups of which size.
use super::{GpuExecutor, trials::LaunchTrials};
use crate::{
    error::DeviceError,
    graph::Graph,
    op::{Io, Launch},
    plan::{Plan, PlanTarget},
    target::Target,
    tensor::DType,
    tuner::Trials,
    tuning::Tuning,
};

/// A plain launch, and one that does the same on matrices.
type Pair = [Launch; 2];

impl GpuExecutor {
    /// Tries the device's cooperative matrices on small graphs of one op each, such as `ops::matrix_trials` has for operands
    /// of a dtype. Plans use those that were right without being tuned; without this call only the tuner does. It compiles a few
    /// kernels, and nothing where there are no matrices.
    ///
    /// # Errors
    /// If the device is lost.
    pub async fn prove_matrices(&mut self, trials: fn(DType) -> Vec<Graph>) -> Result<(), DeviceError> {
        let target = self.gpu.target().clone();
        let Some((least, most)) = target.subgroups else { return Ok(()) };
        let mut proven = target.cooperative.clone();
        for matrices in &mut proven {
            let alone = Target { cooperative: vec![*matrices], ..target.clone() };
            let graphs = trials(matrices.operands);
            // Few drivers give less than the most.
            for lanes in [most, least] {
                if matrices.proven_lanes.is_none() && self.multiplies(&graphs, &alone, lanes).await? {
                    matrices.proven_lanes = Some(lanes);
                }
            }
        }
        self.gpu.set_matrices(proven);
        Ok(())
    }

    /// Whether all graphs are right in forms on the target's only matrices.
    async fn multiplies(
        &mut self,
        graphs: &[Graph],
        target: &Target,
        lanes: u32,
    ) -> Result<bool, DeviceError> {
        for graph in graphs {
            match self.agrees(graph, target, lanes).await {
                Ok(true) => {}
                Err(DeviceError::Lost(reason)) => return Err(DeviceError::Lost(reason)),
                Ok(false) | Err(_) => return Ok(false),
            }
        }
        Ok(!graphs.is_empty())
    }

    async fn agrees(&mut self, graph: &Graph, target: &Target, lanes: u32) -> Result<bool, DeviceError> {
        let (Some(node), Some(launches)) = (graph.nodes().first(), pair(graph, target, lanes)) else {
            return Ok(false);
        };
        let (inputs, output) = (graph.descs(&node.inputs), graph.desc(node.output));
        let io = Io { inputs: &inputs, output, aliased: None };
        let trials = LaunchTrials::new(&self.gpu, &mut self.pipelines, &io, &launches).await?;
        let Some(mut trials) = trials else { return Ok(false) };
        trials.difference(0).await?;
        let difference = trials.difference(1).await?;
        // Written so that NaN is wrong.
        Ok(difference <= trials.tolerance())
    }
}

/// The plainest launch of a graph's only op, and the first on matrices in subgroups of this size.
fn pair(graph: &Graph, target: &Target, lanes: u32) -> Option<Pair> {
    let planned = |tuning: Tuning| {
        let target = Target { tuning, ..target.clone() };
        Plan::new(graph, &PlanTarget::Gpu(target)).ok()?.ops.into_iter().next()
    };
    let choice = planned(Tuning::default())?.choice?;
    let launch = |form: &str| planned(Tuning::default().with(&choice.key, form))?.launches.into_iter().next();
    let on_matrices = |form: &&String| {
        launch(form).is_some_and(|launch| {
            launch.variant.imports.contains_key("FRAGMENTS")
                && launch.variant.consts.get("LANES") == Some(&lanes)
        })
    };
    let form = choice.forms.iter().find(on_matrices)?;
    Some([launch(choice.forms.first()?)?, launch(form)?])
}
