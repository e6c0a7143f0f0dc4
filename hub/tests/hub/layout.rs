//! The cache that is left behind, compared with the one that Python's `huggingface_hub` 2.4 makes of the same files.

use std::fs;

use hub::{Links, RepoId, Wanted};

use crate::support::{Bench, FakeHub, files, repo, tree};

const INDEX: &str =
    "{\"text_encoder\": [\"transformers\", \"T5EncoderModel\"], \"image_encoder\": [null, null]}";

/// `printf w | sha256sum`, `printf '{ }' | git hash-object --stdin`, and the same of the index.
const WEIGHTS: &str = "50e721e49c013f00c62cf59f2163542a9d8df02464efeb615d31051b0fddc326";
const CONFIG: &str = "6f31cf5a2e622e523ae008338072897b8e56c993";
const INDEX_ID: &str = "94e631cd030d2f56477ac0980392db57e6a62848";

fn bench() -> Bench {
    let files = [
        ("model_index.json", INDEX),
        ("text_encoder/config.json", "{ }"),
        ("text_encoder/model.safetensors", "w"),
        ("README.md", "# x"),
    ];
    Bench::new(FakeHub::start(files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))))
}

#[cfg(unix)]
#[test]
fn the_cache_is_laid_out_as_python_does() {
    let bench = bench();
    let folder = bench.pull(&Wanted::model()).unwrap();
    let model = "models--org--tiny";
    let snapshot = format!("{model}/snapshots/0123456789abcdef0123456789abcdef01234567");
    let mut expected = [
        format!(".locks/{model}/{INDEX_ID}.lock"),
        format!(".locks/{model}/{WEIGHTS}.lock"),
        format!(".locks/{model}/{CONFIG}.lock"),
        "CACHEDIR.TAG".to_owned(),
        format!("{model}/blobs/{INDEX_ID}"),
        format!("{model}/blobs/{WEIGHTS}"),
        format!("{model}/blobs/{CONFIG}"),
        format!("{model}/refs/main"),
        format!("{snapshot}/model_index.json -> ../../blobs/{INDEX_ID}"),
        format!("{snapshot}/text_encoder/config.json -> ../../../blobs/{CONFIG}"),
        format!("{snapshot}/text_encoder/model.safetensors -> ../../../blobs/{WEIGHTS}"),
    ];
    expected.sort();
    assert_eq!(tree(&bench.settings.cache), expected);
    assert_eq!(folder, bench.settings.cache.join(&snapshot));
    // The commit alone, without a line's end.
    assert_eq!(
        fs::read_to_string(bench.settings.cache.join(model).join("refs/main")).unwrap(),
        bench.hub.commit()
    );
    assert_eq!(fs::read_to_string(folder.join("text_encoder/config.json")).unwrap(), "{ }");
    let tag = fs::read_to_string(bench.settings.cache.join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n") && tag.len() == 191, "{tag}");
}

#[test]
fn without_links_the_snapshot_holds_the_files() {
    for (links, blobs) in [(Links::Never, 0), (Links::Hard, 3)] {
        let mut bench = bench();
        bench.settings.links = links;
        bench.pull(&Wanted::model()).unwrap();
        assert_eq!(bench.read("text_encoder/model.safetensors"), b"w");
        let found = tree(&bench.settings.cache);
        assert!(found.iter().all(|path| !path.contains("->")), "{found:?}");
        assert_eq!(found.iter().filter(|path| path.contains("/blobs/")).count(), blobs, "{found:?}");
        // It is known again all the same.
        bench.hub.forget_log();
        let plan = bench.plan(&Wanted::model()).unwrap();
        assert_eq!(plan.missing_bytes(), 0);
        bench.pull(&Wanted::model()).unwrap();
        assert_eq!(bench.hub.sent(), 0);
        assert!(bench.open().cached(&repo(), &Wanted::model()).is_ok());
    }
}

#[test]
fn a_new_commit_fetches_what_changed() {
    let bench = bench();
    let first = bench.pull(&Wanted::model()).unwrap();
    bench.hub.forget_log();
    let commit = "fedcba9876543210fedcba9876543210fedcba98";
    bench.hub.commit_change(commit, "text_encoder/config.json", b"{  }");
    let second = bench.pull(&Wanted::model()).unwrap();
    assert_ne!(first, second);
    assert_eq!(bench.hub.sent(), 4);
    let config =
        |folder: &std::path::Path| fs::read_to_string(folder.join("text_encoder/config.json")).unwrap();
    assert_eq!((config(&first).as_str(), config(&second).as_str()), ("{ }", "{  }"));
    assert_eq!(fs::read(second.join("text_encoder/model.safetensors")).unwrap(), b"w");
    assert_eq!(fs::read_to_string(bench.repo_folder().join("refs/main")).unwrap(), commit);
}

#[test]
fn refs_are_of_revisions_and_never_of_commits() {
    let bench = bench();
    let pull = |name: &str| {
        let (hub, repo) = (bench.open(), RepoId::parse(name).unwrap());
        let mut ear = |_: hub::Event<'_>| {};
        let cancel = hub::Cancel::never();
        let plan = hub.plan(&repo, &files(&["*.md"]), &mut ear, &cancel).unwrap();
        hub.fetch(&plan, &mut ear, &cancel).unwrap()
    };
    let commit = bench.hub.commit();
    let by_commit = pull(&format!("org/tiny@{commit}"));
    assert!(!bench.repo_folder().join("refs").exists());
    let by_tag = pull("org/tiny@v1");
    assert_eq!(by_commit, by_tag);
    assert_eq!(tree(&bench.repo_folder().join("refs")), ["v1"]);
}
