//! Settings from a table of variables, as the hub's own tools read them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use hub::{HubError, RepoId, Settings};

fn settings(variables: &[(&str, &str)]) -> Result<Settings, HubError> {
    let table: HashMap<&str, &str> = [("HOME", "/home/me")].iter().chain(variables).copied().collect();
    Settings::from_lookup(|name| table.get(name).map(|&value| value.into()))
}

#[test]
fn the_cache_lies_where_the_first_variable_says() {
    let cases: [(&[(&str, &str)], &str); 8] = [
        (&[], "/home/me/.cache/huggingface/hub"),
        (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
        (&[("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/h/hub"),
        (&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/h")], "/old"),
        (&[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/new"),
        (&[("HF_HOME", "~/h")], "/home/me/h/hub"),
        (&[("HF_HOME", "")], "/home/me/.cache/huggingface/hub"),
        (&[("HOME", ""), ("USERPROFILE", "/u")], "/u/.cache/huggingface/hub"),
    ];
    for (variables, expected) in cases {
        assert_eq!(settings(variables).unwrap().cache, Path::new(expected), "{variables:?}");
    }
    let error = settings(&[("HOME", "")]).unwrap_err();
    assert_eq!(error.to_string(), "`HF_HOME` cannot be used: it is not set, and neither is the home folder");
}

#[test]
fn offline_has_four_spellings() {
    for value in ["1", "on", "YES", "True"] {
        assert!(settings(&[("HF_HUB_OFFLINE", value)]).unwrap().offline, "{value}");
    }
    for value in ["", "0", "off", "no"] {
        assert!(!settings(&[("HF_HUB_OFFLINE", value)]).unwrap().offline, "{value}");
    }
}

#[test]
fn the_endpoint_is_an_address() {
    assert_eq!(settings(&[]).unwrap().endpoint, "https://huggingface.co");
    assert_eq!(settings(&[("HF_ENDPOINT", "http://a.b:80/c/")]).unwrap().endpoint, "http://a.b:80/c");
    for bad in ["a.b", "ftp://a.b", "https://", "https://a b", "https://me@a.b", "https://a.b?c"] {
        let error = settings(&[("HF_ENDPOINT", bad)]).unwrap_err().to_string();
        assert!(error.starts_with("`HF_ENDPOINT` cannot be used"), "{bad}: {error}");
    }
}

#[test]
fn tokens_come_from_a_variable_or_a_file_and_are_not_shown() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().to_str().unwrap();
    assert_eq!(settings(&[("HF_HOME", at)]).unwrap().token, None);
    fs::write(home.path().join("token"), "hf_file\n").unwrap();
    let token =
        |variables: &[(&str, &str)]| settings(&[&[("HF_HOME", at)], variables].concat()).unwrap().token;
    let parsed = |text: &str| hub::Token::parse(text, "test").unwrap();
    assert_eq!(token(&[]), parsed("hf_file"));
    assert_ne!(token(&[]), parsed("hf_other"));
    assert_eq!(token(&[("HF_TOKEN", " hf_variable ")]), parsed("hf_variable"));
    assert_eq!(token(&[("HF_TOKEN", "  ")]), parsed("hf_file"));
    fs::write(home.path().join("elsewhere"), "hf_elsewhere").unwrap();
    let path = home.path().join("elsewhere");
    assert_eq!(token(&[("HF_TOKEN_PATH", path.to_str().unwrap())]), parsed("hf_elsewhere"));

    let all = settings(&[("HF_TOKEN", "hf_secret")]).unwrap();
    assert!(all.token.is_some() && !format!("{all:?}").contains("hf_secret"));
    let error = settings(&[("HF_TOKEN", "hf_sec\nret")]).unwrap_err().to_string();
    assert!(error.contains("HF_TOKEN") && !error.contains("sec"), "{error}");
}

#[test]
fn repositories_have_names() {
    let repo = RepoId::parse("Wan-AI/Wan2.1-T2V_1.3B").unwrap();
    assert_eq!((repo.id().as_str(), repo.revision()), ("Wan-AI/Wan2.1-T2V_1.3B", "main"));
    assert_eq!(repo.to_string(), "Wan-AI/Wan2.1-T2V_1.3B");
    let repo: RepoId = "a/b@refs/pr/1".parse().unwrap();
    assert_eq!((repo.revision(), repo.to_string().as_str()), ("refs/pr/1", "a/b@refs/pr/1"));

    let long = format!("a/{}", "b".repeat(97));
    let bad = [
        "",
        "a",
        "/b",
        "a/",
        "a/b/c",
        "../b",
        "a/..",
        "a/b..c",
        "a/b--c",
        "-a/b",
        "a/b.",
        "a/b.git",
        "a b/c",
        "a/ü",
        "a/b@",
        "a/b@../c",
        "a/b@x//y",
        "a/b@/x",
        "a/b@x\\y",
        "a/b@x@y",
        "C:/b",
        "a/b\0",
        "https://hf.co/a/b",
        &long,
    ];
    for text in bad {
        let error = RepoId::parse(text).expect_err(text);
        assert!(error.to_string().starts_with(&format!("`{text}` is not the name")), "{error}");
        assert!(error.hint().is_some());
    }
}
