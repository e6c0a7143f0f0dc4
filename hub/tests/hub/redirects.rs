//! Where redirects lead, and that the token does not go there.

use hub::{HubError, Token, Wanted};

use crate::support::{Bench, Fault, Key, Place, files, weights};

const NAME: &str = "wan.gguf";

fn bench() -> Bench {
    let mut bench = Bench::of_file(NAME, weights(3000, 2));
    bench.settings.token = Token::parse("hf_secret", "test").unwrap();
    bench
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let bench = bench();
    bench.hub.fault(Key::Body(NAME.to_owned()), Fault::Drop(1000));
    bench.pull(&files(&[NAME])).unwrap();
    let log = bench.hub.log();
    let (hub, storage): (Vec<_>, Vec<_>) = log.iter().partition(|asked| asked.place == Place::Hub);
    // The list, the head, and two tries that led elsewhere.
    assert_eq!((hub.len(), storage.len()), (4, 2));
    for asked in hub {
        assert_eq!(asked.header("authorization"), Some("Bearer hf_secret"), "{asked:?}");
    }
    for asked in storage {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
        let held = asked.headers.iter().any(|(_, value)| value.contains("hf_secret"));
        assert!(!held && !asked.path.contains("hf_secret"), "{asked:?}");
    }
}

#[test]
fn no_token_is_sent_where_none_is_set() {
    let bench = Bench::of_model();
    bench.pull(&Wanted::model()).unwrap();
    assert!(bench.hub.log().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn a_redirect_within_the_hub_is_followed_with_the_token() {
    let bench = bench();
    // As the hub does for a repository that was renamed; the new path is not known, which shows where it went.
    bench.hub.fault(Key::Head(NAME.to_owned()), Fault::Redirect("/org/new/resolve/x".to_owned()));
    let error = bench.pull(&files(&[NAME])).unwrap_err();
    assert_eq!(error.to_string(), "the hub has no file `wan.gguf`");
    let last = bench.hub.log().last().unwrap().clone();
    assert_eq!(last.path, "/org/new/resolve/x");
    assert_eq!(last.header("authorization"), Some("Bearer hf_secret"));
}

#[test]
fn a_circle_of_redirects_ends() {
    let bench = bench();
    for _ in 0..100 {
        let same = format!("/org/tiny/resolve/{}/{NAME}", bench.hub.commit());
        bench.hub.fault(Key::Head(NAME.to_owned()), Fault::Redirect(same));
    }
    let error = bench.pull(&files(&[NAME])).unwrap_err();
    assert_eq!(error.to_string(), "cannot fetch `wan.gguf`: redirects lead in a circle");
}

#[test]
fn a_redirect_to_no_address_is_an_error() {
    for to in ["", "ftp://127.0.0.1/x", "file:///etc/passwd"] {
        let bench = bench();
        for _ in 0..=bench.settings.retries {
            bench.hub.fault(Key::Resolve(NAME.to_owned()), Fault::Redirect(to.to_owned()));
        }
        let error = bench.pull(&files(&[NAME])).unwrap_err();
        assert_eq!(error.to_string(), "cannot fetch `wan.gguf`: a redirect leads nowhere", "{to}");
    }
}

#[test]
fn what_storage_refuses_is_not_blamed_on_the_token() {
    let bench = bench();
    bench.hub.fault(Key::Body(NAME.to_owned()), Fault::status(403));
    // A signed address that has expired: the next try gets a new one from the hub.
    let (folder, heard) = bench.pull_heard(&files(&[NAME]));
    folder.unwrap();
    let told = "retrying wan.gguf: the place that the hub leads to answered 403, it refuses the request";
    assert!(heard.contains(&told.to_owned()), "{heard:?}");

    let lasting = self::bench();
    for _ in 0..=lasting.settings.retries {
        lasting.hub.fault(Key::Body(NAME.to_owned()), Fault::status(403));
    }
    let error = lasting.pull(&files(&[NAME])).unwrap_err();
    assert!(matches!(&error, HubError::Network { reason, .. } if reason.contains("answered 403")), "{error}");
}
