//! Prompts to what the text encoders make of them, and that to what the transformer attends to.
use super::{
    EngineError, Event, TensorData,
    faults::{FaultyStage, Part},
    session::{Session, output},
    taps,
    text_cache::TextKey,
};
use crate::{
    models::{Context, ContextInputs, DenoisingTransformer, Padding, TextEncoder, embeds_name},
    run::RunInput,
    stopwatch::Stopwatch,
};
use model_loader::{Encoding, prompt};

/// What the text encoders make of one prompt, on the host.
#[derive(Debug, Clone)]
pub(super) struct Prompt {
    /// For each encoder its rows `[length, width]`, padded.
    rows: Vec<Vec<f32>>,
    /// Tokens that are not padding, of the first encoder.
    tokens: usize,
}

/// How many prompts each evaluation takes, of `passes` over latents `[C, F, H, W]`; at most one where `alone`.
pub(super) fn evaluations(
    transformer: &dyn DenoisingTransformer,
    alone: bool,
    latents: [usize; 4],
    passes: usize,
) -> Vec<usize> {
    let most = if alone { 1 } else { passes.max(1) };
    let together = transformer.passes_together(latents, passes).clamp(1, most);
    (0..passes).step_by(together).map(|first| together.min(passes - first)).collect()
}

/// The texts of a job and the names of their tensors: the prompt, and the negative one if guidance is on.
fn texts(session: &Session<'_>) -> Vec<(&'static str, String)> {
    let mut texts = vec![("cond", session.settings.prompt.clone())];
    if session.guidance.enabled() {
        texts.push(("uncond", session.settings.negative_prompt.clone()));
    }
    texts
}

/// Encodes the prompts, unless the session has them.
pub(super) async fn encode_prompts(session: &mut Session<'_>) -> Result<(), EngineError> {
    if session.prompts.is_some() {
        return Ok(());
    }
    let clock = Stopwatch::start();
    let mut prompts = Vec::new();
    for (name, text) in texts(session) {
        let mut prompt = Prompt { rows: Vec::new(), tokens: 0 };
        for index in 0..session.pipeline.model.encoders.len() {
            let (rows, tokens) = encode_prompt(session, index, name, &text).await?;
            prompt.rows.push(rows);
            if index == 0 {
                prompt.tokens = tokens;
            }
        }
        prompts.push(prompt);
    }
    session.prompts = Some(prompts);
    session.finish_stage("encode", clock);
    session.report(Event::Encoded)
}

/// What encoder `index` makes of a text, and how many of its rows are not padding.
async fn encode_prompt(
    session: &mut Session<'_>,
    index: usize,
    name: &str,
    text: &str,
) -> Result<(Vec<f32>, usize), EngineError> {
    let opened = &session.pipeline.model.encoders[index];
    let (length, style, width) = (opened.length(), opened.spec.style, opened.model.width());
    let (encoding, ids) = tokens(session, index, text)?;
    if encoding.truncated {
        let which = if name == "cond" { "prompt" } else { "negative prompt" };
        session.report(Event::Notice(&format!(
            "the {which} has {} tokens; only the first {length} are used",
            encoding.tokens_total
        )))?;
    }
    let hidden = match kept(session, index, &ids) {
        Some(hidden) => hidden,
        None => {
            let encoder = session.pipeline.networks.encoder(&session.pipeline.model, index)?;
            let hidden = hidden_states(session, encoder.as_ref(), index, name, &encoding, &ids).await?;
            keep(session, index, &ids, &hidden)?;
            hidden
        }
    };
    let tokens = encoding.ids.len();
    let mut padded = hidden;
    padded.resize(length * width, 0.0);
    if session.options.dump && name == "cond" && style.padding == Padding::Zeros {
        // As many rows of padding as the reference keeps.
        let shown = (tokens + 4).min(length);
        let data = TensorData::F32(padded[..shown * width].to_vec());
        taps::report_data(session, &format!("{}.cond.embeds", key(index)), vec![1, shown, width], data)?;
    }
    Ok((padded, tokens))
}

/// What encoder `index` made of these tokens in an earlier run. A dump shows how they are made, so it looks for none.
fn kept(session: &Session<'_>, index: usize, ids: &[u32]) -> Option<Vec<f32>> {
    let cache = session.pipeline.options.texts.as_ref().filter(|_| !session.options.dump)?;
    let width = session.pipeline.model.encoders[index].model.width();
    let (weights, device) = session.pipeline.text_key(index);
    cache.read(&TextKey { weights, device: &device, ids }, ids.len() * width)
}

/// Keeps it for later ones.
fn keep(session: &mut Session<'_>, index: usize, ids: &[u32], hidden: &[f32]) -> Result<(), EngineError> {
    let Some(cache) = session.pipeline.options.texts.clone().filter(|_| !session.options.dump) else {
        return Ok(());
    };
    let (weights, device) = session.pipeline.text_key(index);
    match cache.write(&TextKey { weights, device: &device, ids }, hidden) {
        Ok(()) => Ok(()),
        Err(notice) => session.report(Event::Notice(&notice)),
    }
}

/// Whether all texts of the job were encoded in earlier runs, so that no encoder is needed.
pub(super) fn all_kept(session: &Session<'_>) -> bool {
    session.pipeline.options.texts.is_some()
        && texts(session).iter().all(|(_, text)| {
            (0..session.pipeline.model.encoders.len()).all(|index| {
                let encoding = tokens(session, index, text);
                encoding.is_ok_and(|(_, ids)| kept(session, index, &ids).is_some())
            })
        })
}

/// The tokens of a text for encoder `index`, and what it reads of them.
fn tokens(session: &Session<'_>, index: usize, text: &str) -> Result<(Encoding, Vec<u32>), EngineError> {
    let opened = &session.pipeline.model.encoders[index];
    let (length, style) = (opened.length(), opened.spec.style);
    let cleaned = if style.cleaned { prompt::clean(text) } else { text.to_owned() };
    let encoding = opened.tokenizer()?.encode(&cleaned, length)?;
    let mut ids = encoding.ids.clone();
    if style.padding == Padding::Tokens {
        ids.resize(length, opened.tokenizer()?.pad_id());
    }
    Ok((encoding, ids))
}

/// Runs encoder `index`: `[ids, width]`.
async fn hidden_states(
    session: &mut Session<'_>,
    encoder: &dyn TextEncoder,
    index: usize,
    name: &str,
    encoding: &Encoding,
    ids: &[u32],
) -> Result<Vec<f32>, EngineError> {
    let graph = encoder.graph(ids.len(), session.options.dump)?;
    let mut program = session.prepare("encode", graph).await?;
    let rows = encoder.embed(ids)?;
    session.execute(&mut program, &[RunInput::f32("embeds", &rows)]).await?;
    let hidden = output(&session.pipeline.executor, &program, "hidden").await?.into_owned();
    session.check(FaultyStage::Text, Part::Encoder(index), &hidden)?;
    if session.options.dump {
        let opened = &session.pipeline.model.encoders[index];
        let length = opened.length();
        let (ids, mask) = opened.tokenizer()?.pad(&encoding.ids, length);
        let prefix = format!("{}.{name}.", key(index));
        for (what, values) in [("input_ids", ids), ("attention_mask", mask)] {
            taps::report_data(session, &format!("{prefix}{what}"), vec![1, length], TensorData::I64(values))?;
        }
        taps::report_taps(session, &program, &prefix).await?;
    }
    Ok(hidden)
}

/// What the reference's keys of an encoder's tensors begin with.
fn key(encoder: usize) -> String {
    if encoder == 0 { "text".to_owned() } else { format!("text{}", encoder + 1) }
}

/// Brings the prompts into the form that a transformer attends to.
pub(super) async fn contexts(
    session: &mut Session<'_>,
    transformer: &dyn DenoisingTransformer,
) -> Result<Vec<Context>, EngineError> {
    let prompts = session.prompts.clone().unwrap_or_default();
    let alone = session.options.alone();
    let evaluations = evaluations(transformer, alone, session.latents.shape, prompts.len());
    let mut contexts = Vec::with_capacity(evaluations.len());
    let mut rest = &prompts[..];
    for passes in evaluations {
        let (prompts, behind) = rest.split_at(passes);
        contexts.push(context(session, transformer, prompts, contexts.is_empty()).await?);
        rest = behind;
    }
    Ok(contexts)
}

async fn context(
    session: &mut Session<'_>,
    transformer: &dyn DenoisingTransformer,
    prompts: &[Prompt],
    is_first: bool,
) -> Result<Context, EngineError> {
    let rows = session.pipeline.model.prompt_rows();
    let taps = session.options.dump && is_first;
    let precision = session.pipeline.precision();
    let inputs = ContextInputs { passes: prompts.len(), taps, ..ContextInputs::new(&rows, precision) };
    let (graph, context) = transformer.context_graph(&inputs)?;
    let mut program = session.prepare("encode", graph).await?;
    let embeds: Vec<(String, Vec<f32>)> = (0..rows.len())
        .map(|encoder| {
            let stacked = prompts.iter().flat_map(|prompt| &prompt.rows[encoder]).copied();
            (embeds_name(encoder), stacked.collect())
        })
        .collect();
    let inputs: Vec<RunInput<'_>> = embeds.iter().map(|(name, rows)| RunInput::f32(name, rows)).collect();
    session.execute(&mut program, &inputs).await?;
    if taps && let Some(id) = program.output("text_embed") {
        let values = session.pipeline.executor.read(&program, id).await?.into_owned();
        let dim = program.graph().desc(id).cols();
        let shown = (prompts[0].tokens + 2).min(rows[0]);
        let data = TensorData::F32(values[..shown * dim].to_vec());
        taps::report_data(session, "dit.step0.text_embed", vec![1, shown, dim], data)?;
    }
    Ok(context)
}
