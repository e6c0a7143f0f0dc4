//! Prompts are cleaned as Python cleans them: `tests/fixtures/prompts.py` made the table.

use kinora_model_loader::prompt::clean;
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn texts_become_what_python_makes_of_them() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../fixtures/prompts.json")).unwrap();
    assert!(cases.len() >= 150);
    let different: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let (text, want) = (case["text"].as_str().unwrap(), case["clean"].as_str().unwrap());
            let got = clean(text);
            (got != want).then(|| format!("{text:?}\n  got  {got:?}\n  want {want:?}"))
        })
        .collect();
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), cases.len(), different.join("\n"));
}

/// ftfy takes these for damage; text that is meant has them.
#[test]
fn marks_after_capitals_are_left_alone() {
    for text in ["É™ Ü² È° 5°C", "Â and Ã are letters", "à¹ x", "Ü°"] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn long_and_hostile_prompts_take_no_time() {
    for text in ["&amp;", "&", "&#", "Ã©", "Ã", "\x1B[", "ﬁ", "&amp", "a\u{301}", "\u{FF01}\n", "&lt;\n"]
    {
        let long = text.repeat(50_000 / text.len());
        let start = std::time::Instant::now();
        let _ = clean(&long);
        assert!(start.elapsed().as_secs() < 10, "{text:?} took {:?}", start.elapsed());
    }
    let nested = format!("&{}lt;", "amp;".repeat(10_000));
    assert!(clean(&nested).len() < nested.len());
}

proptest! {
    #[test]
    fn no_text_panics_and_blanks_are_single(text in any::<String>()) {
        let cleaned = clean(&text);
        prop_assert!(!cleaned.contains("  "));
        prop_assert_eq!(cleaned.trim(), cleaned.as_str());
    }

    #[test]
    fn damaged_accents_panic_nowhere(text in "[&#;xÀ-ÿ€‚ƒ„…‘’“”•–—™\u{80}-\u{9f} a-zA-Z0-9<\u{1b}\\[m]{0,40}") {
        let _ = clean(&text);
    }

    #[test]
    fn plain_words_stay(text in "[a-zA-Z0-9,.!?'-]{1,12}( [a-zA-Z0-9,.!?'-]{1,12}){0,8}") {
        prop_assert_eq!(clean(&text), text);
    }
}
