//! `WanTransformer3DModel`: latents, timestep and text to velocity.
use super::{
    block::{Block, BlockContext, BlockInputs, MODULATIONS},
    rope::rope_tables,
};
use crate::{
    graph::Graph,
    models::{Context, ContextInputs, DenoisingTransformer, RopeTables, StepInputs, TapLayout, embeds_name},
    nn::Linear,
    op::OpError,
    ops::{Activation, LayerNormOptions, MatmulOptions, Modulation, PatchOptions, Unpatchify},
    tensor::{DType, TensorId},
    weight::Weight,
};
use model_loader::{Checkpoint, LoadError, config::WanTransformerConfig};

/// The denoising network.
#[derive(Debug)]
pub struct WanTransformer {
    config: WanTransformerConfig,
    patch_weight: Weight,
    patch_bias: Weight,
    time_in: Linear,
    time_out: Linear,
    time_proj: Linear,
    text_in: Linear,
    text_out: Linear,
    /// The tables of all blocks' modulations, one below the other.
    block_tables: Weight,
    blocks: Vec<Block>,
    head_table: Weight,
    proj_out: Linear,
}

/// What the head of every pass takes.
#[derive(Debug, Clone, Copy)]
struct HeadInputs {
    /// Shift and scale at this timestep.
    table: TensorId,
    /// Tokens along t, h, w.
    grid: [usize; 3],
    /// Of operands.
    dtype: DType,
}

/// Tokens up to which guidance passes go side by side: beyond, a pass alone fills any device, and two would take twice
/// the memory.
const FEW_TOKENS: usize = 4096;

impl DenoisingTransformer for WanTransformer {
    fn passes_together(&self, latents: [usize; 4], passes: usize) -> usize {
        if self.grid(&latents).iter().product::<usize>() <= FEW_TOKENS { passes } else { 1 }
    }

    fn context_graph(&self, inputs: &ContextInputs<'_>) -> Result<(Graph, Context), OpError> {
        let (rows, passes) = (inputs.only_rows("wan")?, inputs.passes);
        let dtype = inputs.precision.activation();
        let mut graph = Graph::with_taps(inputs.taps);
        let embeds = graph.input(&embeds_name(0), &[passes * rows, self.config.text_dim], DType::F32);
        let gelu = MatmulOptions { activation: Activation::GeluTanh, ..MatmulOptions::new(DType::F32) };
        let hidden = self.text_in.forward_with(&mut graph, embeds, gelu)?;
        let text = self.text_out.forward(&mut graph, hidden, DType::F32)?;
        graph.tap("text_embed", text);
        let mut states = Vec::with_capacity(2 * self.blocks.len());
        for block in &self.blocks {
            states.extend(block.context(&mut graph, &self.config, text, dtype)?);
        }
        Ok((graph, Context { states, passes }))
    }

    fn forward(&self, graph: &mut Graph, inputs: &StepInputs<'_>) -> Result<Vec<TensorId>, OpError> {
        let StepInputs { latents, times, contexts, precision, strip, .. } = *inputs;
        let timestep = times.whole("wan")?;
        let dtype = precision.activation();
        let shape = graph.desc(latents).shape.clone();
        let grid = self.grid(&shape[shape.len() - 4..]);
        let (time, temb) = self.embed_time(graph, timestep)?;
        let tables = graph.weight(&self.block_tables);
        let modulation = graph.modulation(tables, time)?;
        let inputs_of = |graph: &mut Graph, passes: usize| {
            let [cos, sin] = self.rope(graph, grid, passes);
            // Passes that are evaluated side by side are of few tokens.
            let strip = strip.filter(|_| passes == 1);
            BlockInputs { config: &self.config, dtype, modulation, passes, strip, cos, sin }
        };

        let (weight, bias) = (graph.weight(&self.patch_weight), graph.weight(&self.patch_bias));
        let (patch, out) = (self.config.patch_size, DType::F32);
        let options = PatchOptions { patch, bias: Some(bias), residual: None, out };
        let x = graph.patch_embedding(latents, weight, &options)?;
        graph.tap("patch_embed", x);

        // The first self-attention has not seen the text: all passes share it.
        let mut inputs = inputs_of(graph, 1);
        let first = match self.blocks.first() {
            Some(block) => block.attend_self(graph, &inputs, x, Some("block0.attn1"))?,
            None => x,
        };
        let table = graph.weight(&self.head_table);
        let head = HeadInputs { table: graph.modulation(table, temb)?, grid, dtype };
        let mut velocities = Vec::new();
        for (evaluation, context) in contexts.iter().enumerate() {
            let (passes, tapped) = (context.passes, evaluation == 0);
            if passes != inputs.passes {
                inputs = inputs_of(graph, passes);
            }
            let mut x = if passes == 1 { first } else { graph.concat_rows(&vec![first; passes])? };
            for (index, block) in self.blocks.iter().enumerate() {
                if index > 0 {
                    x = block.attend_self(graph, &inputs, x, None)?;
                }
                let tap = (tapped && index == 0).then_some("block0.attn2");
                let context = BlockContext::of(context, index);
                x = block.attend_text_and_feed(graph, &inputs, context, x, tap)?;
                if tapped && (index == 0 || index + 1 == self.blocks.len()) {
                    graph.tap(&format!("block{index}"), x);
                }
            }
            for pass in 0..passes {
                velocities.push(self.head(graph, x, pass, &head, tapped && pass == 0)?);
            }
        }
        Ok(velocities)
    }

    fn rope_tables(&self, latents: [usize; 4]) -> Option<RopeTables> {
        Some(rope_tables(self.config.attention_head_dim, self.grid(&latents)))
    }

    fn tap_layout(&self, name: &str) -> TapLayout {
        match name {
            "patch_embed" => TapLayout::ChannelsFirst,
            "temb" | "time_proj" => TapLayout::Plain,
            _ => TapLayout::Batched,
        }
    }
}

impl WanTransformer {
    /// Takes the weights from a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing or does not fit the config.
    pub fn load(checkpoint: &Checkpoint, config: &WanTransformerConfig) -> Result<Self, LoadError> {
        let dim = config.num_attention_heads * config.attention_head_dim;
        let [pt, ph, pw] = config.patch_size;
        let linear = |name: &str, shape: [usize; 2]| {
            Linear::load(checkpoint, &format!("condition_embedder.{name}"), &shape)
        };
        let patch = [dim, config.in_channels, pt, ph, pw];
        let table = checkpoint.tensor_shaped("scale_shift_table", &[1, 2, dim])?;
        let mut block_tables = Vec::with_capacity(config.num_layers * MODULATIONS * dim);
        for index in 0..config.num_layers {
            let name = format!("blocks.{index}.scale_shift_table");
            block_tables.extend(checkpoint.tensor_shaped(&name, &[1, MODULATIONS, dim])?.to_f32());
        }
        let rows = config.num_layers * MODULATIONS;
        Ok(Self {
            block_tables: Weight::from_f32("blocks' scale_shift_table", &[rows, dim], block_tables),
            patch_weight: Weight::matrix(checkpoint.tensor_shaped("patch_embedding.weight", &patch)?),
            patch_bias: Weight::vector(&checkpoint.tensor_shaped("patch_embedding.bias", &[dim])?),
            time_in: linear("time_embedder.linear_1", [dim, config.freq_dim])?,
            time_out: linear("time_embedder.linear_2", [dim, dim])?,
            time_proj: linear("time_proj", [6 * dim, dim])?,
            text_in: linear("text_embedder.linear_1", [dim, config.text_dim])?,
            text_out: linear("text_embedder.linear_2", [dim, dim])?,
            blocks: (0..config.num_layers)
                .map(|i| Block::load(checkpoint, config, i))
                .collect::<Result<_, _>>()?,
            head_table: Weight::from_f32(&table.name, &[2, dim], table.to_f32()),
            proj_out: Linear::load_whole(checkpoint, "proj_out", &[config.out_channels * pt * ph * pw, dim])?,
            config: config.clone(),
        })
    }

    /// Tokens along t, h, w for latents of `[C, F, H, W]`.
    fn grid(&self, latents: &[usize]) -> [usize; 3] {
        let [pt, ph, pw] = self.config.patch_size;
        [latents[1] / pt, latents[2] / ph, latents[3] / pw]
    }

    fn embed_time(&self, graph: &mut Graph, timestep: TensorId) -> Result<(TensorId, TensorId), OpError> {
        let silu = || MatmulOptions { activation: Activation::Silu, ..MatmulOptions::new(DType::F32) };
        let sinusoid = graph.timestep_embedding(timestep, self.config.freq_dim)?;
        let hidden = self.time_in.forward_with(graph, sinusoid, silu())?;
        let temb = self.time_out.forward(graph, hidden, DType::F32)?;
        // The projection wants SiLU(temb), the head wants temb: the product is one row, so it is made twice.
        let activated = self.time_out.forward_with(graph, hidden, silu())?;
        let time = self.time_proj.forward(graph, activated, DType::F32)?;
        graph.tap("temb", temb);
        graph.tap("time_proj", time);
        Ok((time, temb))
    }

    /// Cosines and sines of the tokens of each pass.
    fn rope(&self, graph: &mut Graph, grid: [usize; 3], passes: usize) -> [TensorId; 2] {
        let head_dim = self.config.attention_head_dim;
        let RopeTables { cos, sin, .. } = rope_tables(head_dim, grid);
        let shape = [passes * grid.iter().product::<usize>(), head_dim / 2];
        [("rope cosines", cos), ("rope sines", sin)]
            .map(|(name, table)| graph.weight(&Weight::from_f32(name, &shape, table.repeat(passes))))
    }

    /// The velocity of one pass from the tokens of all.
    fn head(
        &self,
        graph: &mut Graph,
        x: TensorId,
        pass: usize,
        head: &HeadInputs,
        tapped: bool,
    ) -> Result<TensorId, OpError> {
        let HeadInputs { table, grid, dtype } = *head;
        let tokens: usize = grid.iter().product();
        let plain = LayerNormOptions::new(self.config.eps, DType::F32);
        let norm = LayerNormOptions { first_row: pass * tokens, rows: Some(tokens), ..plain };
        if tapped && graph.keeps_taps() {
            let plain = graph.layer_norm(x, &norm)?;
            graph.tap("norm_out", plain);
        }
        let modulation = Some(Modulation { table, shift: 0, scale: 1, split: None });
        let normed = graph.layer_norm(x, &LayerNormOptions { modulation, out: dtype, ..norm })?;
        let (weight, bias) = (self.proj_out.weight(graph), self.proj_out.bias(graph));
        let unpatchify =
            Unpatchify { grid, patch: self.config.patch_size, channels: self.config.out_channels };
        graph.matmul_unpatchify(normed, weight, bias, unpatchify)
    }
}
