//! Whether a device multiplies cooperative matrices right, and in subgroups of which size.
use super::{GpuExecutor, trials::LaunchTrials};
use crate::{
    error::DeviceError,
    graph::Graph,
    op::{Io, Launch, OpError},
    ops::{AttentionInputs, Mask, MatmulOptions},
    plan::{Plan, PlanTarget},
    target::Target,
    tensor::DType,
    tuner::Trials,
    tuning::Tuning,
};

/// A plain launch, and one that does the same on matrices.
type Pair = [Launch; 2];

impl GpuExecutor {
    /// Tries the device's cooperative matrices on a small product and a small attention. Plans use those that were right without
    /// being tuned; without this call only the tuner does. It compiles a few kernels, and nothing where there are no matrices.
    ///
    /// # Errors
    /// If the device is lost.
    pub async fn prove_matrices(&mut self) -> Result<(), DeviceError> {
        let target = self.gpu.target().clone();
        let Some((least, most)) = target.subgroups else { return Ok(()) };
        let mut proven = target.cooperative.clone();
        for matrices in &mut proven {
            let alone = Target { cooperative: vec![*matrices], ..target.clone() };
            // Few drivers give less than the most.
            for lanes in [most, least] {
                if matrices.proven_lanes.is_none()
                    && self.multiplies(&alone, matrices.operands, lanes).await?
                {
                    matrices.proven_lanes = Some(lanes);
                }
            }
        }
        self.gpu.set_matrices(proven);
        Ok(())
    }

    /// Whether both trials are right in forms on the target's only matrices.
    async fn multiplies(&mut self, target: &Target, dtype: DType, lanes: u32) -> Result<bool, DeviceError> {
        for graph in [product(dtype), attention(dtype)] {
            let Some(graph) = graph.ok() else { return Ok(false) };
            match self.agrees(&graph, target, lanes).await {
                Ok(true) => {}
                Err(DeviceError::Lost(reason)) => return Err(DeviceError::Lost(reason)),
                Ok(false) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
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

fn product(dtype: DType) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let (x, weight) = (graph.input("x", &[72, 96], dtype), graph.input("weight", &[80, 96], dtype));
    let out = graph.matmul(x, weight, &MatmulOptions::new(DType::F32))?;
    graph.output("out", out);
    Ok(graph)
}

fn attention(dtype: DType) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let qkv = graph.input("qkv", &[72, 96], dtype);
    let out = graph.attention(&AttentionInputs {
        q: (qkv, 0),
        k: (qkv, 32),
        v: (qkv, 64),
        heads: 1,
        head_dim: 32,
        scale: 0.25,
        bias: None,
        mask: Mask::None,
        groups: 1,
        out: DType::F32,
    })?;
    graph.output("out", out);
    Ok(graph)
}
