//! Token ids are those of transformers, from both forms of a tokenizer, cut and padded as the pipelines do it.

use kinora_model_loader::{ModelFolder, Tokenizer};
use proptest::prelude::*;
use serde_json::Value;

use crate::{COGVIDEOX, Copy, WAN, refused};

fn ids(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
}

#[track_caller]
fn gives_golden_ids(folder: &ModelFolder) {
    let tokenizer = Tokenizer::open(folder, "tokenizer").unwrap();
    let golden: Value = serde_json::from_slice(&folder.read("golden.json").unwrap()).unwrap();
    let cases = golden["tokenizer_cases"].as_array().unwrap();
    assert!(cases.len() >= 10);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let max_length = case["max_length"].as_u64().map(|length| usize::try_from(length).unwrap());
        let encoding = tokenizer.encode(text, max_length.unwrap_or(512)).unwrap();
        let (padded, mask) = tokenizer.pad(&encoding.ids, max_length.unwrap_or(0));
        assert_eq!(padded, ids(&case["ids"]), "{text:?}");
        if max_length.is_some() {
            assert_eq!(mask, ids(&case["attention_mask"]), "{text:?}");
        }
        assert_eq!(encoding.truncated, encoding.tokens_total > encoding.ids.len(), "{text:?}");
    }
}

#[test]
fn golden_texts_give_golden_ids() {
    for model in [&[WAN][..], &COGVIDEOX].concat() {
        gives_golden_ids(&ModelFolder::open(model).unwrap());
    }
}

const JSON: &str = "tokenizer/tokenizer.json";
const SPIECE: &str = "tokenizer/spiece.model";
const ADDED: &str = "tokenizer/added_tokens.json";

#[test]
fn a_sentencepiece_model_alone_gives_the_same_ids() {
    for model in [WAN, COGVIDEOX[0]] {
        let copy = || Copy::of(model).without(JSON);
        gives_golden_ids(&copy().open());
        gives_golden_ids(&copy().without(ADDED).open());
        let (one, other) = (Copy::of(model).open(), copy().open());
        let (one, other) =
            (Tokenizer::open(&one, "tokenizer").unwrap(), Tokenizer::open(&other, "tokenizer").unwrap());
        assert_eq!((one.vocab_size(), one.pad_id()), (other.vocab_size(), other.pad_id()));
        for text in [
            "ends in </s>",
            "</s></s>",
            "<unk> and <pad>",
            "<extra_id_7><extra_id_8> x",
            "\u{FB01}\u{301} \u{1F468}\u{200D}\u{1F469}",
            "e\u{301}\u{327} \u{AC00}\u{11A8} \u{3000}\u{2581}x",
            "<0x41> \u{0}\u{7F}\u{FEFF}",
        ] {
            assert_eq!(one.encode(text, 512).unwrap(), other.encode(text, 512).unwrap(), "{text:?}");
        }
    }
}

#[test]
fn damaged_sentencepiece_models_are_refused_by_name() {
    let with = |bytes: &[u8]| Copy::of(COGVIDEOX[0]).without(JSON).with(SPIECE, bytes).open();
    let whole = Copy::of(COGVIDEOX[0]).0[SPIECE].clone();
    for cut in [0, 1, 2, 100, 5_000, whole.len() / 2, whole.len() - 1] {
        refused(Tokenizer::open(&with(&whole[..cut]), "tokenizer"), &[SPIECE]);
    }
    for bytes in [
        &b"version https://git-lfs.github.com/spec/v1"[..],
        b"{}",
        &[0xFF; 64],
        &[0; 64],
        b"\x0A\x02\x0A\x00",
    ] {
        refused(Tokenizer::open(&with(bytes), "tokenizer"), &[SPIECE]);
    }
    let eos = Copy::of(COGVIDEOX[0]).without(JSON).without(ADDED);
    let eos = eos.with("tokenizer/tokenizer_config.json", r#"{"eos_token": "<end>"}"#).open();
    refused(Tokenizer::open(&eos, "tokenizer"), &[SPIECE, "<end>"]);
}

#[test]
fn added_tokens_must_follow_the_pieces() {
    let with = |json: &str| Copy::of(COGVIDEOX[0]).without(JSON).with(ADDED, json).open();
    refused(
        Tokenizer::open(&with(r#"{"<extra_id_0>": 400}"#), "tokenizer"),
        &[ADDED, "<extra_id_0>", "400", "347"],
    );
    refused(Tokenizer::open(&with(r#"{"<extra_id_0>": 5}"#), "tokenizer"), &[ADDED, "<extra_id_0>"]);
    refused(Tokenizer::open(&with(r#"{"<extra_id_0>": -1}"#), "tokenizer"), &[ADDED]);
    refused(Tokenizer::open(&with("["), "tokenizer"), &[ADDED]);
    assert_eq!(
        Tokenizer::open(&with(r#"{"<one>": 347, "</s>": 1}"#), "tokenizer").unwrap().vocab_size(),
        348
    );
}

proptest! {
    /// A changed model file is refused or used; no text leads outside of its tables.
    #[test]
    fn no_sentencepiece_model_panics(
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..40),
        text in "\\PC{0,40}",
    ) {
        let mut copy = Copy::of(COGVIDEOX[0]).without(JSON);
        let bytes = copy.0.get_mut(SPIECE).unwrap();
        for (place, value) in places {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(tokenizer) = Tokenizer::open(&copy.open(), "tokenizer") {
            let _ = tokenizer.encode(&text, 512);
            let _ = tokenizer.encode("\u{FB01}\u{BD} caf\u{E9}", 512);
        }
    }
}

#[test]
fn the_end_is_always_there() {
    let tokenizer = Tokenizer::open(&ModelFolder::open(WAN).unwrap(), "tokenizer").unwrap();
    assert_eq!((tokenizer.pad_id(), tokenizer.eos_id()), (0, 1));
    assert_eq!(tokenizer.model_max_length(), Some(512));
    assert!(tokenizer.vocab_size() > 900);
    let empty = tokenizer.encode("", 512).unwrap();
    assert_eq!((empty.ids, empty.truncated, empty.tokens_total), (vec![1], false, 1));

    let whole = tokenizer.encode("A red fox", 512).unwrap();
    assert_eq!(whole.ids, [264, 436, 276, 315, 493, 1]);
    assert_eq!((whole.truncated, whole.tokens_total), (false, 6));
    let fits = tokenizer.encode("A red fox", 6).unwrap();
    assert_eq!(fits, whole);
    let cut = tokenizer.encode("A red fox", 5).unwrap();
    assert_eq!(cut.ids, [264, 436, 276, 315, 1]);
    assert_eq!((cut.truncated, cut.tokens_total), (true, 6));
    for shortest in [0, 1] {
        assert_eq!(tokenizer.encode("A red fox", shortest).unwrap().ids, [1]);
    }
}

#[test]
fn ten_thousand_words_are_cut() {
    let tokenizer = Tokenizer::open(&ModelFolder::open(WAN).unwrap(), "tokenizer").unwrap();
    let encoding = tokenizer.encode(&"word ".repeat(10_000), 512).unwrap();
    assert_eq!(encoding.ids.len(), 512);
    assert_eq!(encoding.ids.last(), Some(&1));
    assert!(encoding.truncated && encoding.tokens_total > 10_000);
    let _ = tokenizer.encode(&"猫".repeat(100_000), 512).unwrap();
    let _ = tokenizer.encode("nul \0 and \u{FFFF} and \u{10FFFF}", 512).unwrap();
}

#[test]
fn padding_never_cuts() {
    let tokenizer = Tokenizer::open(&ModelFolder::open(WAN).unwrap(), "tokenizer").unwrap();
    assert_eq!(tokenizer.pad(&[5, 1], 4), (vec![5, 1, 0, 0], vec![1, 1, 0, 0]));
    assert_eq!(tokenizer.pad(&[5, 1], 1), (vec![5, 1], vec![1, 1]));
    assert_eq!(tokenizer.pad(&[], 2), (vec![0, 0], vec![0, 0]));
}

#[test]
fn settings_saved_with_the_file_do_not_count() {
    let mut json: Value = serde_json::from_slice(&Copy::wan().0["tokenizer/tokenizer.json"]).unwrap();
    json["truncation"] = serde_json::json!(
        {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = serde_json::json!(
        {"strategy": {"Fixed": 20}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
         "pad_type_id": 0, "pad_token": "<pad>"});
    let folder = Copy::wan().with("tokenizer/tokenizer.json", json.to_string()).open();
    let encoding = Tokenizer::open(&folder, "tokenizer").unwrap().encode("A red fox", 512).unwrap();
    assert_eq!(encoding.ids, [264, 436, 276, 315, 493, 1]);
}

#[test]
fn without_its_config_a_tokenizer_has_no_limit() {
    let folder = Copy::wan().without("tokenizer/tokenizer_config.json").open();
    assert_eq!(Tokenizer::open(&folder, "tokenizer").unwrap().model_max_length(), None);
}

#[test]
fn damaged_tokenizers_are_refused_by_name() {
    const FILE: &str = JSON;
    let gone = Copy::wan().without(FILE).without(SPIECE).open();
    refused(Tokenizer::open(&gone, "tokenizer"), &[FILE, "spiece.model", "copy"]);

    let whole = Copy::wan().0[FILE].clone();
    for cut in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
        refused(Tokenizer::open(&Copy::wan().with(FILE, &whole[..cut]).open(), "tokenizer"), &[FILE]);
    }
    for text in ["null", "[]", "{}", "\u{0}", r#"{"model": 7}"#, "version https://git-lfs.github.com/spec/v1"]
    {
        refused(Tokenizer::open(&Copy::wan().with(FILE, text).open(), "tokenizer"), &[FILE]);
    }
    refused(Tokenizer::open(&Copy::wan().with(FILE, vec![0xFF; 64]).open(), "tokenizer"), &[FILE]);
    let renamed = String::from_utf8(whole).unwrap().replace("</s>", "<end>");
    refused(Tokenizer::open(&Copy::wan().with(FILE, renamed).open(), "tokenizer"), &[FILE, "`</s>`"]);
    let config = "tokenizer/tokenizer_config.json";
    refused(Tokenizer::open(&Copy::wan().with(config, "{").open(), "tokenizer"), &[config]);
}

#[test]
fn a_json_tokenizer_cut_anywhere_is_refused() {
    const SMALL: &[u8] = include_bytes!("../../../fuzz/seeds/tokenizer/unigram.json");
    let open = |text: &[u8]| {
        let files = [("t/tokenizer.json".to_owned(), text.to_vec())];
        Tokenizer::open(&ModelFolder::in_memory("small", files), "t")
    };
    assert!(open(SMALL).is_ok());
    for cut in 0..SMALL.len() {
        refused(open(&SMALL[..cut]), &["`t/tokenizer.json`"]);
    }
    let mut damaged: Value = serde_json::from_slice(SMALL).unwrap();
    for charsmap in ["", "AAAA", "!", "/////w=="] {
        let map = serde_json::json!({"type": "Precompiled", "precompiled_charsmap": charsmap});
        damaged["normalizer"] = serde_json::json!({"type": "Sequence", "normalizers": [map]});
        refused(open(damaged.to_string().as_bytes()), &["`t/tokenizer.json`", "precompiled_charsmap"]);
    }
}
