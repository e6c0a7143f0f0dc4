//! Downloads that break off and go on: within a run, and in the next one. The bytes that went out are counted.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hub::{Cancel, Event, HubError};

use crate::support::{Bench, Fault, Key, Place, files, repo, weights};

const NAME: &str = "wan.gguf";
const SIZE: usize = 300_000;

fn bench() -> Bench {
    Bench::of_file(NAME, weights(SIZE, 7))
}

fn body() -> Key {
    Key::Body(NAME.to_owned())
}

/// The ranges that were asked for, of the bytes themselves.
fn ranges(bench: &Bench) -> Vec<Option<String>> {
    let log = bench.hub.log();
    let asked = log.iter().filter(|asked| asked.place == Place::Storage);
    asked.map(|asked| asked.header("range").map(str::to_owned)).collect()
}

#[test]
fn a_dropped_connection_is_taken_up_where_it_broke() {
    let bench = bench();
    bench.hub.fault(body(), Fault::Drop(100_000));
    bench.hub.fault(body(), Fault::Drop(50_000));
    let (folder, heard) = bench.pull_heard(&files(&[NAME]));
    assert!(folder.unwrap().is_dir());
    assert_eq!(bench.read(NAME), weights(SIZE, 7));
    assert_eq!(bench.hub.sent(), SIZE);
    let expected = [None, Some("bytes=100000-".to_owned()), Some("bytes=150000-".to_owned())];
    assert_eq!(ranges(&bench), expected);
    assert_eq!(heard.iter().filter(|event| event.starts_with("retrying wan.gguf: ")).count(), 2, "{heard:?}");
    // The second try asks only if the server's copy is still the one that it had begun.
    let log = bench.hub.log();
    let second = log.iter().filter(|asked| asked.place == Place::Storage).nth(1).unwrap();
    assert_eq!(second.header("if-range"), Some("\"stored-8-0\""));
}

#[test]
fn a_stalled_connection_is_given_up_and_taken_up() {
    let bench = bench().impatient();
    bench.hub.fault(body(), Fault::Stall(120_000));
    let (folder, heard) = bench.pull_heard(&files(&[NAME]));
    folder.unwrap();
    assert_eq!(bench.read(NAME), weights(SIZE, 7));
    assert_eq!(bench.hub.sent(), SIZE);
    assert!(heard.contains(&"retrying wan.gguf: nothing arrived for 300ms".to_owned()), "{heard:?}");
}

#[test]
fn the_next_run_goes_on() {
    let bench = bench();
    for _ in 0..=bench.settings.retries {
        bench.hub.fault(body(), Fault::Drop(10_000));
    }
    let error = bench.pull(&files(&[NAME])).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot fetch `{NAME}`: the connection broke off"));
    assert!(error.hint().unwrap().contains("what has arrived is kept"));
    assert_eq!(bench.hub.sent(), 40_000);
    // Nothing has the name of a whole file.
    assert!(!bench.repo_folder().join("refs").exists() && !bench.repo_folder().join("snapshots").exists());

    let plan = bench.plan(&files(&[NAME])).unwrap();
    assert_eq!((plan.total_bytes(), plan.missing_bytes()), (SIZE as u64, SIZE as u64 - 40_000));
    let (folder, heard) = bench.pull_heard(&files(&[NAME]));
    folder.unwrap();
    assert_eq!(bench.read(NAME), weights(SIZE, 7));
    assert_eq!(bench.hub.sent(), SIZE);
    assert!(heard.contains(&format!("started {NAME} 40000/{SIZE}")), "{heard:?}");
    assert!(heard.contains(&format!("planned 1 {SIZE} {}", SIZE - 40_000)), "{heard:?}");
}

#[test]
fn what_an_older_library_left_is_used() {
    let bench = bench();
    let plan = bench.plan(&files(&[NAME])).unwrap();
    assert_eq!(plan.missing_bytes(), SIZE as u64);
    let blobs = bench.repo_folder().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let etag = sha256_of_file();
    fs::write(blobs.join(format!("{etag}.incomplete")), &weights(SIZE, 7)[..200_000]).unwrap();
    bench.pull(&files(&[NAME])).unwrap();
    assert_eq!(bench.read(NAME), weights(SIZE, 7));
    assert_eq!(bench.hub.sent(), SIZE - 200_000);

    // All of it is there, only the name is not.
    let whole = Bench::of_file(NAME, weights(SIZE, 7));
    let blobs = whole.repo_folder().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{etag}.incomplete")), weights(SIZE, 7)).unwrap();
    whole.pull(&files(&[NAME])).unwrap();
    assert_eq!((whole.read(NAME), whole.hub.sent()), (weights(SIZE, 7), 0));
}

fn sha256_of_file() -> String {
    use sha2::Digest;
    sha2::Sha256::digest(weights(SIZE, 7)).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_damaged_or_too_long_remainder_costs_a_second_download() {
    let etag = sha256_of_file();
    let mut longer = weights(SIZE, 7);
    longer.push(1);
    for (remainder, sent) in [(weights(1000, 9), SIZE - 1000 + SIZE), (longer, SIZE)] {
        let bench = bench();
        let blobs = bench.repo_folder().join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{etag}.incomplete")), remainder).unwrap();
        bench.pull(&files(&[NAME])).unwrap();
        assert_eq!(bench.read(NAME), weights(SIZE, 7));
        assert_eq!(bench.hub.sent(), sent);
    }
}

#[test]
fn a_server_without_ranges_starts_from_zero() {
    let bench = bench();
    bench.hub.fault(body(), Fault::Drop(100_000));
    bench.hub.fault(body(), Fault::IgnoreRange);
    bench.pull(&files(&[NAME])).unwrap();
    assert_eq!(bench.read(NAME), weights(SIZE, 7));
    assert_eq!(bench.hub.sent(), 100_000 + SIZE);
}

#[test]
fn a_part_from_elsewhere_is_not_taken() {
    let bench = bench();
    bench.hub.fault(body(), Fault::Drop(100_000));
    bench.hub.fault(body(), Fault::OtherRange(90_000));
    let (folder, heard) = bench.pull_heard(&files(&[NAME]));
    folder.unwrap();
    assert_eq!(bench.read(NAME), weights(SIZE, 7));
    let range = format!("bytes 90000-{}/{SIZE}", SIZE - 1);
    let told = format!("retrying {NAME}: asked from byte 100000 of {SIZE}, it sent `{range}`");
    assert!(heard.contains(&told), "{heard:?}");
    assert_eq!(ranges(&bench).last(), Some(&None));
}

#[test]
fn a_server_that_knows_no_more_is_asked_for_all() {
    let bench = bench();
    bench.hub.fault(body(), Fault::Drop(100_000));
    bench.hub.fault(body(), Fault::status(416));
    let (folder, heard) = bench.pull_heard(&files(&[NAME]));
    folder.unwrap();
    assert_eq!(bench.read(NAME), weights(SIZE, 7));
    let told = format!("retrying {NAME}: asked from byte 100000 of {SIZE}, it has none");
    assert!(heard.contains(&told), "{heard:?}");
    assert_eq!(bench.hub.sent(), 100_000 + SIZE);
}

#[test]
fn a_line_that_breaks_often_comes_to_an_end() {
    const MUCH: usize = 1 << 20;
    let mut bench = Bench::of_file(NAME, weights(4 * MUCH, 7));
    bench.settings.retries = 1;
    for _ in 0..3 {
        bench.hub.fault(body(), Fault::Drop(MUCH));
    }
    bench.pull(&files(&[NAME])).unwrap();
    assert!(bench.read(NAME) == weights(4 * MUCH, 7));
    assert_eq!(bench.hub.sent(), 4 * MUCH);
}

#[test]
fn a_copy_that_changed_between_tries_is_begun_anew() {
    let bench = bench();
    bench.hub.fault(body(), Fault::Drop(100_000));
    bench.hub.fault(body(), Fault::NewEtag);
    bench.pull(&files(&[NAME])).unwrap();
    assert_eq!(bench.read(NAME), weights(SIZE, 7));
    // The old etag no longer holds, so all of it came.
    assert_eq!(bench.hub.sent(), 100_000 + SIZE);
}

#[test]
fn stopping_keeps_what_arrived() {
    let bench = bench();
    let stop = Arc::new(AtomicBool::new(false));
    let cancel = Cancel::when({
        let stop = Arc::clone(&stop);
        move || stop.load(Ordering::Relaxed)
    });
    let hub = bench.open();
    let mut at = 0;
    let mut ear = |event: Event<'_>| {
        if let Event::Bytes { position, .. } = event {
            at = position;
            stop.store(true, Ordering::Relaxed);
        }
    };
    let plan = hub.plan(&repo(), &files(&[NAME]), &mut ear, &cancel).unwrap();
    let error = hub.fetch(&plan, &mut ear, &cancel).unwrap_err();
    assert!(matches!(error, HubError::Cancelled), "{error}");
    assert!(at > 0 && at < SIZE as u64, "{at}");
    let plan = bench.plan(&files(&[NAME])).unwrap();
    assert_eq!(plan.missing_bytes(), SIZE as u64 - at);
    bench.hub.forget_log();
    bench.pull(&files(&[NAME])).unwrap();
    assert_eq!(bench.hub.sent() as u64, SIZE as u64 - at);
    assert_eq!(bench.read(NAME), weights(SIZE, 7));
}
