//! The cache without the network: what is complete, what is missing, and what happens when the hub is out of reach.

use std::fs;

use hub::{HubError, RepoId, Wanted};

use crate::support::{Bench, Fault, Key, Place, files, repo, weights};

fn cached(bench: &Bench) -> Result<std::path::PathBuf, HubError> {
    bench.open().cached(&repo(), &Wanted::model())
}

#[test]
fn a_complete_model_is_found_without_the_network() {
    let mut bench = Bench::of_model();
    let folder = bench.pull(&Wanted::model()).unwrap();
    bench.hub.forget_log();
    bench.settings.offline = true;
    assert_eq!(cached(&bench).unwrap(), folder);
    let (pulled, heard) = bench.pull_heard(&Wanted::model());
    assert_eq!(pulled.unwrap(), folder);
    assert!(heard.len() == 1 && heard[0].starts_with("planned 15 ") && heard[0].ends_with(" 0"), "{heard:?}");
    let by_commit = RepoId::parse(&format!("org/tiny@{}", bench.hub.commit())).unwrap();
    assert_eq!(bench.open().cached(&by_commit, &Wanted::model()).unwrap(), folder);
    assert!(bench.hub.log().is_empty());
}

#[test]
fn what_is_missing_is_named_and_the_network_stays_unasked() {
    let mut bench = Bench::of_model();
    bench.pull(&Wanted::model()).unwrap();
    bench.hub.forget_log();
    bench.settings.offline = true;
    let snapshot = bench.repo_folder().join("snapshots").join(bench.hub.commit());
    let cases = [
        ("vae/config.json", "`vae/config.json`"),
        ("text_encoder/model-00002-of-00002.safetensors", "`text_encoder/model-00002-of-00002.safetensors`"),
        ("transformer/diffusion_pytorch_model.safetensors", "the weights of `transformer`"),
        ("model_index.json", "`model_index.json`"),
    ];
    for (file, missing) in cases {
        let path = snapshot.join(file);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        for error in [cached(&bench).unwrap_err(), bench.pull(&Wanted::model()).unwrap_err()] {
            assert_eq!(
                error.to_string(),
                format!("`org/tiny` is not complete in the cache: {missing} is missing")
            );
            assert!(error.hint().unwrap().contains("HF_HUB_OFFLINE"));
        }
        fs::write(&path, bytes).unwrap();
        cached(&bench).unwrap();
    }
    fs::remove_file(bench.repo_folder().join("refs/main")).unwrap();
    let error = cached(&bench).unwrap_err().to_string();
    assert_eq!(error, "`org/tiny` is not complete in the cache: its revision `main` is missing");
    assert!(bench.hub.log().is_empty());
}

#[cfg(unix)]
#[test]
fn a_link_to_a_blob_that_is_gone_counts_as_missing() {
    let bench = Bench::of_model();
    let folder = bench.pull(&Wanted::model()).unwrap();
    let blob = fs::canonicalize(folder.join("vae/config.json")).unwrap();
    fs::remove_file(blob).unwrap();
    let error = cached(&bench).unwrap_err();
    assert!(error.to_string().contains("`vae/config.json` is missing"), "{error}");
    bench.pull(&Wanted::model()).unwrap();
    cached(&bench).unwrap();
}

#[test]
fn picked_files_are_found_by_their_patterns() {
    let bench = Bench::of_file("wan-Q8_0.gguf", weights(100, 1));
    let at = |pattern: &str| bench.open().cached(&repo(), &files(&[pattern]));
    assert!(at("*.gguf").is_err());
    let folder = bench.pull(&files(&["*.gguf"])).unwrap();
    assert_eq!(at("*Q8*").unwrap(), folder);
    let error = at("*Q4*").unwrap_err();
    assert_eq!(error.to_string(), "`org/tiny` is not complete in the cache: `*Q4*` is missing");
    // Not told to stay offline, so the way out is another.
    assert_eq!(error.hint().unwrap(), "download it first");
}

#[test]
fn a_complete_model_costs_one_question() {
    let bench = Bench::of_model();
    bench.pull(&Wanted::model()).unwrap();
    bench.hub.forget_log();
    bench.pull(&Wanted::model()).unwrap();
    assert_eq!(bench.hub.asked(Place::Hub), ["GET /api/models/org/tiny/revision/main?blobs=true"]);
    assert!(bench.hub.asked(Place::Storage).is_empty());
}

#[test]
fn the_cache_stands_in_for_a_hub_out_of_reach() {
    let bench = Bench::of_model().impatient();
    let folder = bench.pull(&Wanted::model()).unwrap();
    bench.hub.forget_log();
    for fault in [Fault::status(503), Fault::Drop(5), Fault::Stall(5)] {
        bench.hub.fault(Key::List, fault);
        let plan = bench.plan(&Wanted::model()).unwrap();
        assert!(
            plan.notice().unwrap().ends_with("; the revision in the cache is used"),
            "{:?}",
            plan.notice()
        );
        assert_eq!((plan.snapshot(), plan.missing_bytes()), (folder.as_path(), 0));
    }
    // One try each: nobody waits for what is there.
    assert_eq!(bench.hub.asked(Place::Hub).len(), 3);
    // A refusal is no outage.
    bench.hub.fault(Key::List, Fault::status(401));
    let error = bench.plan(&Wanted::model()).unwrap_err();
    assert!(matches!(error, HubError::NeedsToken { .. }), "{error}");
    bench.hub.fault(Key::List, Fault::status(400));
    let error = bench.plan(&Wanted::model()).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 400, .. }), "{error}");
}

#[test]
fn offline_forbids_what_a_plan_left_open() {
    let mut bench = Bench::of_file("wan.gguf", weights(100, 1));
    let plan = bench.plan(&files(&["*"])).unwrap();
    bench.hub.forget_log();
    bench.settings.offline = true;
    let fetched = bench.open().fetch(&plan, &mut |_: hub::Event<'_>| {}, &hub::Cancel::never());
    let error = fetched.unwrap_err();
    assert_eq!(error.to_string(), "`org/tiny` is not complete in the cache: `wan.gguf` is missing");
    assert!(bench.hub.log().is_empty());
}
