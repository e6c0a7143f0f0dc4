//! What is tried again, how often, and what is not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hub::{Cancel, Event, Hub, HubError};

use crate::support::{Bench, Fault, Key, files, repo, weights};

const NAME: &str = "wan.gguf";

fn bench() -> Bench {
    Bench::of_file(NAME, weights(2000, 3))
}

fn key(make: fn(String) -> Key) -> Key {
    make(NAME.to_owned())
}

#[test]
fn trouble_passes() {
    for place in [Key::List, key(Key::Head), key(Key::Resolve), key(Key::Body)] {
        for status in [408, 429, 500, 503] {
            let bench = bench();
            bench.hub.fault(place.clone(), Fault::status(status));
            let (folder, heard) = bench.pull_heard(&files(&[NAME]));
            folder.unwrap_or_else(|error| panic!("{place:?} {status}: {error}"));
            assert_eq!(bench.read(NAME), weights(2000, 3));
            let retried: Vec<_> = heard.iter().filter(|event| event.starts_with("retrying ")).collect();
            assert_eq!(retried.len(), 1, "{heard:?}");
            assert!(retried[0].contains(&status.to_string()), "{retried:?}");
        }
    }
}

#[test]
fn trouble_that_lasts_is_told() {
    let own = "the hub answered 503 for `wan.gguf`: it has trouble of its own";
    let other =
        "cannot fetch `wan.gguf`: the place that the hub leads to answered 503, it has trouble of its own";
    for (place, expected) in [(key(Key::Resolve), own), (key(Key::Body), other), (key(Key::Head), own)] {
        let bench = bench();
        for _ in 0..=bench.settings.retries {
            bench.hub.fault(place.clone(), Fault::status(503));
        }
        let (folder, heard) = bench.pull_heard(&files(&[NAME]));
        let error = folder.unwrap_err();
        assert_eq!(error.to_string(), expected);
        let hint = if expected == own {
            "the hub has trouble of its own; try again later"
        } else {
            "check the connection"
        };
        assert!(error.hint().unwrap().starts_with(hint), "{:?}", error.hint());
        assert_eq!(heard.iter().filter(|event| event.starts_with("retrying ")).count(), 3, "{heard:?}");
    }
    let bench = bench();
    for _ in 0..=bench.settings.retries {
        bench.hub.fault(Key::List, Fault::Status(429, vec![("Retry-After", "0".to_owned())]));
    }
    let error = bench.pull(&files(&[NAME])).unwrap_err();
    assert_eq!(error.to_string(), "the hub answered 429 for `org/tiny`: too many requests");
}

/// The pauses that were announced.
fn pauses(bench: &Bench) -> Vec<Duration> {
    let mut pauses = Vec::new();
    let mut ear = |event: Event<'_>| {
        if let Event::Retrying { pause, .. } = event {
            pauses.push(pause);
        }
    };
    bench.open().plan(&repo(), &files(&[NAME]), &mut ear, &Cancel::never()).unwrap();
    pauses
}

#[test]
fn pauses_double_unless_the_hub_says_how_long() {
    let bench = bench();
    for _ in 0..3 {
        bench.hub.fault(Key::List, Fault::status(500));
    }
    assert_eq!(pauses(&bench), [1, 2, 4].map(Duration::from_millis));

    let mut asked = bench;
    asked.settings.longest_pause = Duration::from_millis(30);
    let after = |value: &str| Fault::Status(429, vec![("Retry-After", value.to_owned())]);
    for value in ["0", "9", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        asked.hub.fault(Key::List, after(value));
    }
    // Nine seconds are cut to the longest pause; a date is not read, and the pause is the third in the row.
    assert_eq!(pauses(&asked), [0, 30, 4].map(Duration::from_millis));
}

#[test]
fn a_hub_that_is_not_there_is_told() {
    let mut bench = bench();
    // A port that was free a moment ago.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.settings.endpoint = format!("http://{gone}");
    let (folder, heard) = bench.pull_heard(&files(&[NAME]));
    let error = folder.unwrap_err();
    assert!(
        error.to_string().starts_with("cannot fetch `org/tiny`: no answer from `127.0.0.1`: "),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("HF_ENDPOINT"));
    assert_eq!(heard.len(), 3, "{heard:?}");
}

#[test]
fn a_connection_that_is_not_encrypted_as_asked_is_not_tried_again() {
    let mut bench = bench();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    bench.settings.endpoint = format!("https://{}", listener.local_addr().unwrap());
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // Until the other side has seen it.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (folder, heard) = bench.pull_heard(&files(&[NAME]));
    other.join().unwrap();
    let error = folder.unwrap_err();
    assert!(error.to_string().starts_with("the connection to `127.0.0.1` cannot be trusted: "), "{error}");
    assert_eq!(heard, Vec::<String>::new());
}

#[test]
fn waiting_can_be_stopped() {
    let mut bench = bench();
    bench.settings.longest_pause = Duration::from_secs(600);
    bench.hub.fault(Key::List, Fault::Status(429, vec![("Retry-After", "500".to_owned())]));
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let cancel = Cancel::when(move || seen.load(Ordering::Relaxed));
    let mut ear = |event: Event<'_>| {
        if matches!(event, Event::Retrying { .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let error =
        Hub::new(bench.settings.clone()).plan(&repo(), &files(&[NAME]), &mut ear, &cancel).unwrap_err();
    assert!(matches!(error, HubError::Cancelled), "{error}");
}

#[test]
fn a_list_that_breaks_off_is_asked_for_again() {
    for fault in [Fault::Drop(20), Fault::Stall(20)] {
        let bench = Bench::of_model().impatient();
        bench.hub.fault(Key::List, fault);
        let plan = bench.plan(&hub::Wanted::model()).unwrap();
        assert!(plan.files().len() > 5);
    }
}
