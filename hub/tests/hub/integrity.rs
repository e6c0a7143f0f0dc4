//! No byte is taken on trust: hashes, lengths, and two processes at one file.

use std::fs::{self, File};

use hub::{Cancel, Event, HubError, Wanted};

use crate::support::{Bench, Fault, Key, files, repo, weights};

const LARGE: &str = "wan.gguf";
const SMALL: &str = "notes.json";

#[test]
fn a_flipped_byte_costs_a_second_download() {
    for name in [LARGE, SMALL] {
        let bench = Bench::of_file(name, weights(3000, 5));
        bench.hub.fault(Key::Body(name.to_owned()), Fault::Flip(1234));
        let (folder, heard) = bench.pull_heard(&files(&[name]));
        folder.unwrap();
        assert_eq!(bench.read(name), weights(3000, 5));
        assert_eq!(bench.hub.sent(), 6000, "{heard:?}");
        let told = format!("retrying {name}: what arrived is not what the hub's hash is of");
        assert!(heard.contains(&told), "{heard:?}");
    }
}

#[test]
fn a_byte_that_stays_flipped_is_an_error() {
    for name in [LARGE, SMALL] {
        let bench = Bench::of_file(name, weights(3000, 5));
        for _ in 0..2 {
            bench.hub.fault(Key::Body(name.to_owned()), Fault::Flip(0));
        }
        let error = bench.pull(&files(&[name])).unwrap_err();
        let HubError::Damaged { file, got, expected } = &error else { panic!("{error}") };
        assert_eq!((file.as_str(), got.len()), (name, expected.len()));
        assert_ne!(got, expected);
        assert!(error.to_string().starts_with(&format!("`{name}` arrived damaged twice")), "{error}");
        // Nothing of it is left, and nothing has its name.
        let left: Vec<_> = fs::read_dir(bench.repo_folder().join("blobs")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!bench.repo_folder().join("snapshots").exists());
        bench.pull(&files(&[name])).unwrap();
        assert_eq!(bench.read(name), weights(3000, 5));
    }
}

#[test]
fn a_flipped_byte_before_a_break_is_found() {
    let bench = Bench::of_file(LARGE, weights(3000, 5));
    // The first try leaves a wrong byte, the second ends the file, the third brings all of it.
    bench.hub.fault(Key::Body(LARGE.to_owned()), Fault::FlipAndDrop(10, 1000));
    bench.pull(&files(&[LARGE])).unwrap();
    assert_eq!((bench.read(LARGE), bench.hub.sent()), (weights(3000, 5), 1000 + 2000 + 3000));
}

#[test]
fn more_than_the_file_has_is_not_taken() {
    let bench = Bench::of_file(LARGE, weights(3000, 5));
    bench.hub.fault(Key::Body(LARGE.to_owned()), Fault::TooLong);
    let (folder, heard) = bench.pull_heard(&files(&[LARGE]));
    folder.unwrap();
    assert_eq!(bench.read(LARGE), weights(3000, 5));
    assert!(heard.contains(&format!("retrying {LARGE}: more than its 3000 bytes arrived")), "{heard:?}");

    let length = Fault::Headers(vec![("Content-Length", "2999".to_owned())]);
    let short = Bench::of_file(LARGE, weights(3000, 5));
    short.hub.fault(Key::Body(LARGE.to_owned()), length);
    let (folder, heard) = short.pull_heard(&files(&[LARGE]));
    folder.unwrap();
    assert_eq!(short.read(LARGE), weights(3000, 5));
    assert!(heard.contains(&format!("retrying {LARGE}: 2999 bytes are offered, expected 3000")), "{heard:?}");
}

#[test]
fn an_empty_file_is_a_file() {
    let bench = Bench::of_file(SMALL, Vec::new());
    bench.pull(&files(&[SMALL])).unwrap();
    assert_eq!(bench.read(SMALL), b"");
    assert!(bench.plan(&files(&[SMALL])).unwrap().files()[0].is_cached());
}

#[test]
fn a_cut_blob_is_fetched_again() {
    let bench = Bench::of_model();
    bench.pull(&Wanted::model()).unwrap();
    let name = "vae/diffusion_pytorch_model.safetensors";
    let path = bench.repo_folder().join("snapshots").join(bench.hub.commit()).join(name);
    File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
    let plan = bench.plan(&Wanted::model()).unwrap();
    assert_eq!(plan.missing_bytes(), 1000);
    bench.pull(&Wanted::model()).unwrap();
    assert_eq!(bench.read(name).len(), 1000);
}

#[test]
fn two_processes_do_not_write_one_file() {
    let bench = Bench::of_file(LARGE, weights(3000, 5));
    let plan = bench.plan(&files(&[LARGE])).unwrap();
    let locks = bench.settings.cache.join(".locks/models--org--tiny");
    fs::create_dir_all(&locks).unwrap();
    let etag = sha(&weights(3000, 5));
    let other = File::create(locks.join(format!("{etag}.lock"))).unwrap();
    other.lock().unwrap();

    let mut held = Some(other);
    let mut waited = 0;
    let sent_while_held = std::cell::Cell::new(usize::MAX);
    let mut ear = |event: Event<'_>| {
        if matches!(event, Event::Waiting { file } if file == LARGE) {
            waited += 1;
            sent_while_held.set(bench.hub.sent());
            // The other process ends, and leaves the file.
            fs::create_dir_all(bench.repo_folder().join("blobs")).unwrap();
            fs::write(bench.repo_folder().join("blobs").join(&etag), weights(3000, 5)).unwrap();
            held = None;
        }
    };
    bench.open().fetch(&plan, &mut ear, &Cancel::never()).unwrap();
    assert_eq!((waited, sent_while_held.get()), (1, 0));
    assert!(held.is_none());
    assert_eq!((bench.read(LARGE), bench.hub.sent()), (weights(3000, 5), 0));
    assert!(bench.open().cached(&repo(), &files(&[LARGE])).is_ok());
}

fn sha(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
