//! Prompts to the keys and values that the transformer attends to.
use super::{EngineError, Event, GenerationSettings, TensorData, VideoPipeline, load::Run, taps};
use crate::{
    models::{DenoisingTransformer, Padding, TextContext, t5::T5Encoder},
    run::RunInput,
    stopwatch::Stopwatch,
};
use model_loader::prompt;

/// The transformer with its prompts: the positive one, and the negative one if guidance is on; in one context if both are
/// evaluated side by side.
pub(super) struct Prompts {
    pub(super) transformer: Box<dyn DenoisingTransformer>,
    pub(super) contexts: Vec<TextContext>,
}

/// How many prompts each evaluation takes, of `passes` over latents `[C, F, H, W]`: one where memory is short, and where
/// what an evaluation computes is written out, which is that of one pass.
pub(super) fn evaluations(
    transformer: &dyn DenoisingTransformer,
    settings: &GenerationSettings,
    latents: [usize; 4],
    passes: usize,
) -> Vec<usize> {
    let most = if settings.dump || settings.memory.is_some() { 1 } else { passes.max(1) };
    let together = transformer.passes_together(latents, passes).clamp(1, most);
    (0..passes).step_by(together).map(|first| together.min(passes - first)).collect()
}

impl VideoPipeline {
    /// Padded length: the smaller of what the family publishes and what the tokenizer's config says.
    pub fn prompt_length(&self) -> usize {
        let longest = self.model.prompt_style().length;
        self.tokenizer.model_max_length().unwrap_or(longest).clamp(1, longest)
    }

    /// Encodes the prompts, releases the encoder, and brings them into the transformer's form.
    pub(super) async fn encode_prompts(&mut self, run: &mut Run<'_>) -> Result<Prompts, EngineError> {
        let clock = Stopwatch::start();
        let text_bytes = self.text_checkpoint.bytes_total() as u64;
        let all = text_bytes + (self.model.transformer_bytes() + self.model.vae_bytes()) as u64;
        run.report(Event::Loading { done: 0, total: all })?;
        let encoder = T5Encoder::load(&self.text_checkpoint, &self.text_config)?;
        run.report(Event::Loading { done: text_bytes, total: all })?;
        let transformer = self.model.load_transformer()?;
        // Built here once, so that a VAE that does not fit its config is refused before minutes of denoising.
        self.model.load_decoder()?;
        run.report(Event::Loading { done: all, total: all })?;
        run.finish_stage("load", clock);

        let clock = Stopwatch::start();
        let mut texts = vec![("cond", run.settings.prompt.clone())];
        if run.guidance.enabled() {
            texts.push(("uncond", run.settings.negative_prompt.clone()));
        }
        let mut embeds = Vec::with_capacity(texts.len());
        for (name, text) in &texts {
            embeds.push(self.encode_prompt(run, &encoder, name, text).await?);
        }
        drop(encoder);
        let evaluations = evaluations(transformer.as_ref(), run.settings, run.latents.shape, embeds.len());
        let mut contexts = Vec::with_capacity(evaluations.len());
        let mut rest = &embeds[..];
        for passes in evaluations {
            let (prompts, behind) = rest.split_at(passes);
            contexts.push(self.attend_to(run, transformer.as_ref(), prompts, contexts.is_empty()).await?);
            rest = behind;
        }
        run.finish_stage("encode", clock);
        run.report(Event::Encoded)?;
        Ok(Prompts { transformer, contexts })
    }

    async fn encode_prompt(
        &mut self,
        run: &mut Run<'_>,
        encoder: &T5Encoder,
        name: &str,
        text: &str,
    ) -> Result<(Vec<f32>, usize), EngineError> {
        let length = self.prompt_length();
        let style = self.model.prompt_style();
        let cleaned = if style.cleaned { prompt::clean(text) } else { text.to_owned() };
        let encoding = self.tokenizer.encode(&cleaned, length)?;
        if encoding.truncated {
            let which = if name == "cond" { "prompt" } else { "negative prompt" };
            run.report(Event::Notice(&format!(
                "the {which} has {} tokens; only the first {length} are used",
                encoding.tokens_total
            )))?;
        }
        let real = encoding.ids.len();
        let mut ids = encoding.ids.clone();
        if style.padding == Padding::Tokens {
            ids.resize(length, self.tokenizer.pad_id());
        }
        let mut program = self.prepare(run, "encode", encoder.graph(ids.len(), run.settings.dump)?).await?;
        let rows = encoder.embed(&ids)?;
        self.execute(run, &mut program, &[RunInput::f32("embeds", &rows)]).await?;
        let hidden = match program.output("hidden") {
            Some(id) => self.executor.read(&program, id).await?,
            None => return Err(EngineError::Internal("the text encoder has no output".to_owned())),
        };
        if run.settings.dump {
            let (ids, mask) = self.tokenizer.pad(&encoding.ids, length);
            taps::report_data(run, &format!("text.{name}.input_ids"), vec![1, length], TensorData::I64(ids))?;
            taps::report_data(
                run,
                &format!("text.{name}.attention_mask"),
                vec![1, length],
                TensorData::I64(mask),
            )?;
            self.report_taps(run, &program, &format!("text.{name}.")).await?;
        }
        let mut padded = hidden;
        padded.resize(length * encoder.width(), 0.0);
        if run.settings.dump && name == "cond" && style.padding == Padding::Zeros {
            // As many rows of padding as the reference keeps.
            let shown = (real + 4).min(length);
            let data = TensorData::F32(padded[..shown * encoder.width()].to_vec());
            taps::report_data(run, "text.cond.embeds", vec![1, shown, encoder.width()], data)?;
        }
        Ok((padded, real))
    }

    async fn attend_to(
        &mut self,
        run: &mut Run<'_>,
        transformer: &dyn DenoisingTransformer,
        prompts: &[(Vec<f32>, usize)],
        is_first: bool,
    ) -> Result<TextContext, EngineError> {
        let length = self.prompt_length();
        let taps = run.settings.dump && is_first;
        let (graph, context) = transformer.context_graph(length, prompts.len(), self.precision, taps)?;
        let mut program = self.prepare(run, "encode", graph).await?;
        let embeds: Vec<f32> = prompts.iter().flat_map(|(rows, _)| rows).copied().collect();
        self.execute(run, &mut program, &[RunInput::f32("embeds", &embeds)]).await?;
        if taps && let Some(id) = program.output("text_embed") {
            let values = self.executor.read(&program, id).await?;
            let dim = program.graph().desc(id).cols();
            let shown = (prompts[0].1 + 2).min(length);
            let data = TensorData::F32(values[..shown * dim].to_vec());
            taps::report_data(run, "dit.step0.text_embed", vec![1, shown, dim], data)?;
        }
        Ok(context)
    }
}
