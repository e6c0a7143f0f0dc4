//! A sentencepiece model file (`spiece.model`) as the tokenizer that transformers makes of it for the T5 family.

use std::collections::{BTreeMap, HashSet};

use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::charsmap;
use super::wire::{Fields, Value};

/// What of a model file counts.
#[derive(Debug, Default)]
pub(super) struct Model {
    pieces: Vec<Piece>,
    unk_id: usize,
    charsmap: Vec<u8>,
}

#[derive(Debug)]
struct Piece {
    text: String,
    score: f32,
    kind: u64,
}

const UNIGRAM: u64 = 1;
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

impl Model {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut model = Self::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Bytes(piece)) => model.pieces.push(Piece::parse(piece)?),
                (2, Value::Bytes(trainer)) => model.take_trainer(trainer)?,
                (3, Value::Bytes(normaliser)) => model.take_normaliser(normaliser)?,
                (1..=3, _) => return Err("it is not a sentencepiece model".to_owned()),
                _ => {}
            }
        }
        model.check()?;
        Ok(model)
    }

    /// `<extra_id_0>` to `<extra_id_{count - 1}>` behind the pieces, by id: the first has the last id.
    pub(super) fn extra_tokens(&self, count: usize) -> BTreeMap<usize, String> {
        let pieces = self.pieces.len();
        (0..count).map(|place| (pieces + place, format!("<extra_id_{}>", count - 1 - place))).collect()
    }

    /// The tokenizer with `added` tokens behind the pieces, by id; it ends every text with `eos`.
    pub(super) fn tokenizer(&self, added: &BTreeMap<usize, String>, eos: &str) -> Result<Tokenizer, String> {
        let reason = |error: tokenizers::Error| error.to_string();
        let mut vocabulary: Vec<(String, f64)> =
            self.pieces.iter().map(|piece| (piece.text.clone(), f64::from(piece.score))).collect();
        for (id, token) in added {
            if *id == vocabulary.len() {
                vocabulary.push((token.clone(), 0.0));
            } else if vocabulary.get(*id).is_none_or(|(piece, _)| piece != token) {
                let next = vocabulary.len();
                return Err(format!("the added token `{token}` has the id {id}, expected {next}"));
            }
        }
        // Pieces that stand for single bytes are not used, as transformers does not use them.
        let model = Unigram::from(vocabulary, Some(self.unk_id), false).map_err(reason)?;
        let mut tokenizer = Tokenizer::new(model);
        if !self.charsmap.is_empty() {
            let normaliser = Precompiled::from(&self.charsmap).map_err(|error| error.to_string())?;
            tokenizer.with_normalizer(Some(normaliser)).map_err(reason)?;
        }
        let words = Metaspace::new('\u{2581}', PrependScheme::Always, true);
        tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![WhitespaceSplit.into(), words.into()])));
        let eos_id = tokenizer.token_to_id(eos).ok_or_else(|| format!("it has no token `{eos}`"))?;
        let template = TemplateProcessing::builder()
            .try_single(vec!["$A", eos])?
            .special_tokens(vec![(eos, eos_id)])
            .build()
            .map_err(|error| error.to_string())?;
        tokenizer.with_post_processor(Some(template));
        let user = self.pieces.iter().filter(|piece| piece.kind == USER_DEFINED).map(|piece| &piece.text);
        tokenizer.add_tokens(user.map(|token| literal(token, false))).map_err(reason)?;
        let special = self.pieces.iter().filter(|piece| matches!(piece.kind, UNKNOWN | CONTROL));
        let special = special.map(|piece| &piece.text).chain(added.values());
        tokenizer.add_special_tokens(special.map(|token| literal(token, true))).map_err(reason)?;
        Ok(tokenizer)
    }

    fn check(&self) -> Result<(), String> {
        let mut known = HashSet::new();
        for piece in &self.pieces {
            let text = &piece.text;
            if text.is_empty() || !known.insert(text) {
                return Err(format!("it has the piece `{text}` twice or empty"));
            }
            if !piece.score.is_finite() {
                return Err(format!("its piece `{text}` has the score {}", piece.score));
            }
        }
        if self.unk_id >= self.pieces.len() {
            let count = self.pieces.len();
            return Err(format!("piece {} stands for unknown ones, but it has {count}", self.unk_id));
        }
        if self.charsmap.is_empty() { Ok(()) } else { charsmap::check(&self.charsmap) }
    }

    fn take_trainer(&mut self, trainer: &[u8]) -> Result<(), String> {
        for field in Fields::new(trainer) {
            match field? {
                (3, Value::Varint(kind)) if kind != UNIGRAM => {
                    return Err(format!("it is of model type {kind}, expected unigram (1)"));
                }
                (40, Value::Varint(id)) => self.unk_id = usize::try_from(id).unwrap_or(usize::MAX),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_normaliser(&mut self, normaliser: &[u8]) -> Result<(), String> {
        for field in Fields::new(normaliser) {
            if let (2, Value::Bytes(charsmap)) = field? {
                charsmap.clone_into(&mut self.charsmap);
            }
        }
        Ok(())
    }
}

/// The pieces of a model file in columns, for other containers.
pub(crate) struct Pieces {
    pub(crate) texts: Vec<String>,
    pub(crate) scores: Vec<f32>,
    /// As sentencepiece numbers them: 1 normal, 2 unknown, 3 control, 4 the user's, 5 unused, 6 a byte.
    pub(crate) kinds: Vec<i32>,
    /// The piece that stands for unknown ones.
    pub(crate) unknown: usize,
    pub(crate) charsmap: Vec<u8>,
}

impl Pieces {
    /// Reads and checks a model file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Model { pieces, unk_id, charsmap } = Model::parse(bytes)?;
        Ok(Self {
            scores: pieces.iter().map(|piece| piece.score).collect(),
            kinds: pieces.iter().map(|piece| i32::try_from(piece.kind).unwrap_or(1)).collect(),
            texts: pieces.into_iter().map(|piece| piece.text).collect(),
            unknown: unk_id,
            charsmap,
        })
    }
}

impl Piece {
    fn parse(message: &[u8]) -> Result<Self, String> {
        let mut piece = Self { text: String::new(), score: 0.0, kind: NORMAL };
        for field in Fields::new(message) {
            match field? {
                (1, Value::Bytes(text)) => {
                    let text = std::str::from_utf8(text)
                        .map_err(|_| "it has a piece that is not text".to_owned())?;
                    text.clone_into(&mut piece.text);
                }
                (2, Value::Fixed32(score)) => piece.score = f32::from_le_bytes(score),
                (3, Value::Varint(kind)) => piece.kind = kind,
                _ => {}
            }
        }
        Ok(piece)
    }
}

/// A token that is found in the text before anything else happens to it.
fn literal(token: &str, special: bool) -> AddedToken {
    AddedToken::from(token, special).normalized(false)
}
