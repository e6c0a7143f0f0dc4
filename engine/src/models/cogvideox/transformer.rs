//! `CogVideoXTransformer3DModel`: latents, timestep and text to the model's output.
use super::{
    block::{AdaptiveNorm, Block, BlockInputs, load_affine},
    positions,
    time::TimeEmbedding,
    tokens::{Projection, Tokens},
};
use crate::{
    graph::{Graph, State},
    models::{Context, ContextInputs, DenoisingTransformer, RopeTables, StepInputs, TapLayout, embeds_name},
    op::OpError,
    ops::{LayerNormOptions, Modulation, Rope, RotatedRows},
    tensor::{DType, TensorDesc, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, LoadError, config::CogVideoXTransformerConfig};

/// The denoising network.
#[derive(Debug)]
pub struct CogVideoXTransformer {
    config: CogVideoXTransformerConfig,
    tokens: Tokens,
    time: TimeEmbedding,
    blocks: Vec<Block>,
    norm_final: Option<(Weight, Weight)>,
    norm_out: AdaptiveNorm,
    projection: Projection,
}

impl CogVideoXTransformer {
    /// Takes the weights from a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    pub fn load(checkpoint: &Checkpoint, config: &CogVideoXTransformerConfig) -> Result<Self, LoadError> {
        Ok(Self {
            tokens: Tokens::load(checkpoint, config)?,
            time: TimeEmbedding::load(checkpoint, config)?,
            blocks: (0..config.num_layers)
                .map(|i| Block::load(checkpoint, config, i))
                .collect::<Result<_, _>>()?,
            norm_final: load_affine(checkpoint, config, "norm_final")?,
            norm_out: AdaptiveNorm::load(checkpoint, config, "norm_out", 2)?,
            projection: Projection::load(checkpoint, config)?,
            config: config.clone(),
        })
    }

    /// The config.
    pub fn config(&self) -> &CogVideoXTransformerConfig {
        &self.config
    }

    /// Tokens along t, h, w for latents of `[C, F, H, W]`.
    pub fn grid(&self, latents: &[usize]) -> [usize; 3] {
        let [pt, ph, pw] = self.config.patch();
        [latents[1] / pt, latents[2] / ph, latents[3] / pw]
    }

    /// Both norms of the video's tokens.
    fn head(
        &self,
        graph: &mut Graph,
        inputs: &BlockInputs<'_>,
        table: TensorId,
        x: TensorId,
        tapped: bool,
    ) -> Result<TensorId, OpError> {
        let mut weights = |affine: &Option<(Weight, Weight)>| {
            affine.as_ref().map(|(weight, bias)| (graph.weight(weight), graph.weight(bias)))
        };
        let (last, out) = (weights(&self.norm_final), weights(&self.norm_out.affine));
        let plain = LayerNormOptions::new(self.config.norm_eps, DType::F32);
        let of_video = LayerNormOptions { first_row: inputs.text_rows, affine: last, ..plain };
        let x = graph.layer_norm(x, &of_video)?;
        let modulation = Some(Modulation { table, shift: 0, scale: 1, split: None });
        let modulated = LayerNormOptions { affine: out, modulation, ..plain };
        if tapped && graph.keeps_taps() {
            graph.tap("norm_final", x);
            let tokens = graph.layer_norm(x, &modulated)?;
            graph.tap("norm_out", tokens);
        }
        graph.layer_norm(x, &LayerNormOptions { out: inputs.dtype, ..modulated })
    }

    fn rope(&self, graph: &mut Graph, grid: [usize; 3]) -> Option<Rope> {
        let RopeTables { cos, sin, head_dim } = self.tables(grid)?;
        let shape = [grid.iter().product(), head_dim / 2];
        let cos = graph.weight(&Weight::from_f32("rope cosines", &shape, cos));
        let sin = graph.weight(&Weight::from_f32("rope sines", &shape, sin));
        Some(Rope { cos, sin, head_dim })
    }

    fn tables(&self, grid: [usize; 3]) -> Option<RopeTables> {
        self.config.use_rotary_positional_embeddings.then(|| positions::rotary(&self.config, grid))
    }
}

impl DenoisingTransformer for CogVideoXTransformer {
    fn context_graph(&self, inputs: &ContextInputs<'_>) -> Result<(Graph, Context), OpError> {
        let (rows, passes) = (inputs.only_rows("cogvideox")?, inputs.passes);
        if passes != 1 {
            return Err(OpError::value("cogvideox", "passes", passes, "1: each is evaluated by itself"));
        }
        let mut graph = Graph::with_taps(inputs.taps);
        let embeds = graph.input(&embeds_name(0), &[rows, self.config.text_embed_dim], DType::F32);
        let text = self.tokens.text(&mut graph, embeds)?;
        let state = State::new("text tokens", TensorDesc::new(&[rows, self.config.inner_dim()], DType::F32));
        graph.store(text, &state)?;
        Ok((graph, Context { states: vec![state], passes }))
    }

    fn forward(&self, graph: &mut Graph, inputs: &StepInputs<'_>) -> Result<Vec<TensorId>, OpError> {
        let StepInputs { latents, times, contexts, condition, precision, strip } = *inputs;
        let timestep = times.whole("cogvideox")?;
        let shape = graph.desc(latents).shape.clone();
        let grid = self.grid(&shape[shape.len().saturating_sub(4)..]);
        let video = self.tokens.video(graph, &self.config, latents, condition, grid)?;
        let time = self.time.forward(graph, timestep)?;
        let modulations = self
            .blocks
            .iter()
            .map(|block| block.modulation(graph, &self.config, time))
            .collect::<Result<Vec<_>, _>>()?;
        let out_modulation = self.norm_out.modulation(graph, time, self.config.inner_dim())?;
        let rope = self.rope(graph, grid);

        let mut outputs = Vec::with_capacity(contexts.len());
        for (pass, context) in contexts.iter().enumerate() {
            let tapped = pass == 0;
            let text = graph.state(&context.states[0]);
            let text_rows = graph.desc(text).rows();
            let rope = rope.map(|rope| RotatedRows { rope, first_row: text_rows });
            let dtype = precision.activation();
            let inputs = BlockInputs { config: &self.config, dtype, text_rows, rope, strip };
            let mut x = graph.concat_rows(&[text, video])?;
            if tapped {
                graph.tap("patch_embed", x);
            }
            for (index, (block, modulation)) in self.blocks.iter().zip(&modulations).enumerate() {
                x = block.forward(graph, &inputs, *modulation, x)?;
                if tapped && (index == 0 || index + 1 == self.blocks.len()) {
                    graph.tap(&format!("block{index}"), x);
                }
            }
            let tokens = self.head(graph, &inputs, out_modulation, x, tapped)?;
            outputs.push(self.projection.forward(graph, tokens, grid, self.config.patch())?);
        }
        Ok(outputs)
    }

    fn rope_tables(&self, latents: [usize; 4]) -> Option<RopeTables> {
        self.tables(self.grid(&latents))
    }

    fn tap_layout(&self, name: &str) -> TapLayout {
        if name == "temb" { TapLayout::Plain } else { TapLayout::Batched }
    }
}
