//! What the hub refuses for good: no second try, and a hint that says what to do.

use hub::{HubError, RepoId, Token, Wanted};

use crate::support::{Bench, Fault, Key, Place, files, weights};

const NAME: &str = "wan.gguf";

fn refused(fault: Fault, token: bool) -> (HubError, usize) {
    let mut bench = Bench::of_file(NAME, weights(100, 1));
    bench.settings.token = if token { Token::parse("hf_x", "test").unwrap() } else { None };
    bench.hub.fault(Key::List, fault);
    let error = bench.pull(&files(&[NAME])).unwrap_err();
    (error, bench.hub.asked(Place::Hub).len())
}

fn code(status: u16, code: &str) -> Fault {
    Fault::Status(status, vec![("X-Error-Code", code.to_owned())])
}

#[test]
fn access_is_explained() {
    let cases = [
        (Fault::status(401), false, "the hub does not show `org/tiny` without a token", "set HF_TOKEN"),
        (
            code(401, "RepoNotFound"),
            false,
            "the hub does not show `org/tiny` without a token",
            "check the name",
        ),
        (code(401, "RepoNotFound"), true, "the hub has no repository `org/tiny`", "check the name"),
        (Fault::status(401), true, "the hub does not accept the token for `org/tiny`", "may have expired"),
        (code(401, "GatedRepo"), false, "access to `org/tiny` is restricted", "and set HF_TOKEN"),
        (code(403, "GatedRepo"), true, "access to `org/tiny` is restricted", "with the account of the token"),
        (Fault::status(403), true, "access to `org/tiny` is restricted", "accept its conditions"),
        (Fault::status(404), false, "the hub has no repository `org/tiny`", "check the name"),
        (code(404, "RevisionNotFound"), false, "the hub has no revision `org/tiny`", "check the name"),
        (
            Fault::status(400),
            false,
            "the hub answered 400 for `org/tiny`: it refuses the request",
            "HF_ENDPOINT",
        ),
    ];
    for (fault, token, message, hint) in cases {
        let (error, asked) = refused(fault.clone(), token);
        assert_eq!(error.to_string(), message, "{fault:?}");
        assert!(error.hint().unwrap().contains(hint), "{fault:?}: {:?}", error.hint());
        assert_eq!(asked, 1, "{fault:?} was tried again");
    }
}

#[test]
fn the_page_that_grants_access_is_named() {
    let bench = Bench::of_file(NAME, weights(100, 1));
    // The list is public, the files are not.
    bench.hub.fault(Key::Head(NAME.to_owned()), code(401, "GatedRepo"));
    let error = bench.pull(&files(&[NAME])).unwrap_err();
    let page = format!("{}/org/tiny", bench.hub.address());
    assert!(error.hint().unwrap().starts_with(&format!("open {page} and accept")), "{:?}", error.hint());
}

#[test]
fn a_file_that_is_gone_is_named() {
    let bench = Bench::of_file(NAME, weights(100, 1));
    bench.hub.fault(Key::Head(NAME.to_owned()), Fault::status(404));
    let error = bench.pull(&files(&[NAME])).unwrap_err();
    assert_eq!(error.to_string(), "the hub has no file `wan.gguf`");
    assert_eq!(bench.hub.asked(Place::Hub).len(), 2);
}

#[test]
fn an_unknown_revision_is_named() {
    let bench = Bench::of_file(NAME, weights(100, 1));
    let repo = RepoId::parse("org/tiny@v9").unwrap();
    let error = bench
        .open()
        .plan(&repo, &Wanted::model(), &mut |_: hub::Event<'_>| {}, &hub::Cancel::never())
        .unwrap_err();
    assert_eq!(error.to_string(), "the hub has no revision `org/tiny@v9`");
}

#[test]
fn answers_without_sense_are_refused() {
    let bench = Bench::of_file(NAME, weights(100, 1));
    let head = || Key::Head(NAME.to_owned());
    let told = |name: &'static str, value: &str| Fault::Headers(vec![(name, value.to_owned())]);
    let cases = [
        (told("X-Linked-Size", ""), "the hub's answer for `wan.gguf` is not valid: it tells no size"),
        (told("X-Linked-Etag", "\"../../x\""), "it tells no etag that could name a file"),
        (
            told("X-Linked-Size", "99"),
            "the hub changed `wan.gguf` since it was listed: its size is 99, expected 100",
        ),
        (told("X-Repo-Commit", "fff"), "the hub changed `wan.gguf` since it was listed: its commit is fff"),
        (
            told("X-Linked-Etag", &"a".repeat(64)),
            "the hub changed `wan.gguf` since it was listed: its hash is aaa",
        ),
    ];
    for (fault, message) in cases {
        bench.hub.fault(head(), fault);
        let error = bench.pull(&files(&[NAME])).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(bench.hub.sent(), 0);
    bench.pull(&files(&[NAME])).unwrap();
}

#[test]
fn lists_without_sense_are_refused() {
    let evil = r#"{"sha": "../../../../../evil", "siblings": [{"rfilename": "wan.gguf"}]}"#;
    for (text, reason) in [
        (evil, "`../../../../../evil` is not a commit"),
        (r#"{"sha": "ABCDEF6789abcdef0123456789abcdef01234567"}"#, "is not a commit"),
        ("<html>Log in to the network</html>", "expected value at line 1 column 1"),
        (r#"{"siblings": []}"#, "missing field `sha`"),
    ] {
        let (error, asked) = refused(Fault::Text(text), false);
        let error = error.to_string();
        assert!(error.starts_with("the hub's answer for `org/tiny` is not valid: "), "{error}");
        assert!(error.contains(reason), "{error}");
        assert_eq!(asked, 1);
    }
}

#[test]
fn a_full_disk_is_told_before_anything_comes() {
    let mut bench = Bench::of_file(NAME, weights(5000, 1));
    bench.settings.free_space = |_| Ok(4999);
    let error = bench.pull(&files(&[NAME])).unwrap_err();
    let folder = bench.settings.cache.display();
    let message = format!("`{folder}` has 4999 bytes free, but 5000 are still to be downloaded");
    assert_eq!(error.to_string(), message);
    assert!(error.hint().unwrap().contains("HF_HUB_CACHE"));
    assert_eq!(bench.hub.sent(), 0);

    // What is there already needs no room.
    bench.settings.free_space = |_| Ok(5000);
    bench.pull(&files(&[NAME])).unwrap();
    bench.settings.free_space = |_| Ok(0);
    bench.pull(&files(&[NAME])).unwrap();
}
