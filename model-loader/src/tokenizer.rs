//! Text to token ids, through the model's own `tokenizer.json` or, where there is none, its `spiece.model`.

mod charsmap;
mod sentencepiece;
mod sound;
mod wire;

use std::collections::BTreeMap;
use std::fmt;

use sentencepiece::Model;
pub(crate) use sentencepiece::Pieces;

use crate::config::TokenizerConfig;
use crate::{LoadError, ModelFolder, Result, json};

const JSON: &str = "tokenizer.json";
const SENTENCEPIECE: &str = "spiece.model";
const ADDED: &str = "added_tokens.json";

/// The tokenizer of a T5-family text encoder.
pub struct Tokenizer {
    file: String,
    inner: tokenizers::Tokenizer,
    model_max_length: Option<usize>,
    pad_id: u32,
    eos_id: u32,
}

/// The tokens of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids; the last one ends the text.
    pub ids: Vec<u32>,
    /// Whether tokens were cut off.
    pub truncated: bool,
    /// How many tokens the whole text has, the end included.
    pub tokens_total: usize,
}

impl Tokenizer {
    /// The tokenizer in the folder of `component`, such as `tokenizer`.
    ///
    /// # Errors
    /// When its file is absent or damaged, or lacks the tokens that its config names.
    pub fn open(folder: &ModelFolder, component: &str) -> Result<Self> {
        let config = TokenizerConfig::load(folder, component)?;
        let [whole, pieces] = [JSON, SENTENCEPIECE].map(|name| format!("{component}/{name}"));
        let (file, mut inner) = if let Some(bytes) = folder.read_optional(&whole)? {
            let text = json::text(&whole, &bytes)?;
            sound::check(text).map_err(|reason| bad(&whole, reason))?;
            let inner = tokenizers::Tokenizer::from_bytes(text);
            (&whole, inner.map_err(|error| bad(&whole, error.to_string()))?)
        } else if let Some(model) = folder.read_optional(&pieces)? {
            (&pieces, from_sentencepiece(folder, component, &model, &config)?)
        } else {
            return Err(LoadError::MissingTokenizer { file: whole, location: folder.location() });
        };
        // The file may carry settings of whoever saved it; cutting and padding are done here.
        inner.with_truncation(None).map_err(|error| bad(file, error.to_string()))?;
        inner.with_padding(None);
        let id = |token: &str| {
            inner.token_to_id(token).ok_or_else(|| bad(file, format!("it has no token `{token}`")))
        };
        let (pad_id, eos_id) = (id(&config.pad_token)?, id(&config.eos_token)?);
        Ok(Self { file: file.clone(), inner, model_max_length: config.model_max_length, pad_id, eos_id })
    }

    /// The tokens of `text`, at most `max_length` of them (and at least one): the last is always the end of
    /// the text, also when tokens before it are cut off.
    ///
    /// # Errors
    /// When the tokenizer has no token for a character and none for unknown ones.
    pub fn encode(&self, text: &str, max_length: usize) -> Result<Encoding> {
        let encoding = self
            .inner
            .encode_fast(text, true)
            .map_err(|error| LoadError::Encode { file: self.file.clone(), reason: error.to_string() })?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.last() == Some(&self.eos_id) {
            ids.pop();
        }
        let tokens_total = ids.len() + 1;
        let room = max_length.max(1) - 1;
        let truncated = ids.len() > room;
        ids.truncate(room);
        ids.push(self.eos_id);
        Ok(Encoding { ids, truncated, tokens_total })
    }

    /// `ids` filled up to `len` with the padding token, and a mask that is one for each of `ids`. Longer `ids`
    /// stay as they are.
    #[must_use]
    pub fn pad(&self, ids: &[u32], len: usize) -> (Vec<i64>, Vec<i64>) {
        let mut padded: Vec<i64> = ids.iter().copied().map(i64::from).collect();
        let mut mask = vec![1; ids.len()];
        let len = len.max(ids.len());
        padded.resize(len, i64::from(self.pad_id));
        mask.resize(len, 0);
        (padded, mask)
    }

    /// The id that fills a sequence up.
    #[must_use]
    pub const fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// The id that ends a text.
    #[must_use]
    pub const fn eos_id(&self) -> u32 {
        self.eos_id
    }

    /// The most tokens that the model takes, when the model's files say.
    #[must_use]
    pub const fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// How many tokens there are, added ones included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

fn bad(file: &str, reason: String) -> LoadError {
    LoadError::BadTokenizer { file: file.to_owned(), reason }
}

/// `added_tokens.json` lists what stands behind the pieces; without it, these are the extra tokens of the config.
fn from_sentencepiece(
    folder: &ModelFolder,
    component: &str,
    bytes: &[u8],
    config: &TokenizerConfig,
) -> Result<tokenizers::Tokenizer> {
    let [pieces, listed] = [SENTENCEPIECE, ADDED].map(|name| format!("{component}/{name}"));
    let model = Model::parse(bytes).map_err(|reason| bad(&pieces, reason))?;
    let (file, added) = match folder.read_optional(&listed)? {
        Some(bytes) => {
            let ids: BTreeMap<String, usize> = json::parse(&listed, &bytes)?;
            (&listed, ids.into_iter().map(|(token, id)| (id, token)).collect())
        }
        None => (&pieces, model.extra_tokens(config.extra_ids)),
    };
    model.tokenizer(&added, &config.eos_token).map_err(|reason| bad(file, reason))
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("file", &self.file)
            .field("vocab_size", &self.vocab_size())
            .field("model_max_length", &self.model_max_length)
            .finish_non_exhaustive()
    }
}
