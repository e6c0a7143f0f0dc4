//! Names that are taken whole or not at all, and by one run only.

use super::*;
use std::io::Write;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_dropped_file_leaves_nothing_and_keeps_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.bin");
    fs::write(&target, "old").unwrap();
    let staged = StagedFile::create(&target, Existing::Replace).unwrap();
    staged.file().write_all(b"new").unwrap();
    assert_eq!(names(folder.path()).len(), 2);
    drop(staged);
    assert_eq!(names(folder.path()), ["a.bin"]);
    assert_eq!(fs::read(&target).unwrap(), b"old");
}

#[test]
fn a_committed_file_replaces_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.bin");
    fs::write(&target, "old").unwrap();
    let staged = StagedFile::create(&target, Existing::Replace).unwrap();
    staged.file().write_all(b"new").unwrap();
    staged.commit().unwrap();
    assert_eq!(names(folder.path()), ["a.bin"]);
    assert_eq!(fs::read(&target).unwrap(), b"new");
}

#[cfg(unix)]
#[test]
fn a_new_file_is_readable_like_any_other_and_a_link_stays_a_link() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.bin");
    StagedFile::create(&target, Existing::Replace).unwrap().commit().unwrap();
    let plain = folder.path().join("plain");
    File::create(&plain).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&target), mode(&plain));

    let link = folder.path().join("link.bin");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let staged = StagedFile::create(&link, Existing::Replace).unwrap();
    staged.file().write_all(b"through").unwrap();
    staged.commit().unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read(&target).unwrap(), b"through");
}

/// Two files `f-1.png` and `f-2.png` that hold `text`.
fn two_files(target: &Path, text: &str) -> StagedFolder {
    let names = (1..=2).map(|number| format!("f-{number}.png"));
    let mut staged = StagedFolder::create(target, names).unwrap();
    for _ in 0..2 {
        staged.create_file().unwrap().0.write_all(text.as_bytes()).unwrap();
    }
    staged
}

/// What they are called at a later attempt.
fn others(attempt: usize) -> Vec<String> {
    (1..=2).map(|number| format!("f-{attempt}-{number}.png")).collect()
}

#[test]
fn a_folder_of_files_appears_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("f.png");
    drop(two_files(&target, "dropped"));
    assert!(names(folder.path()).is_empty());
    for text in ["first", "second"] {
        assert_eq!(two_files(&target, text).commit(others).unwrap(), 1);
        assert_eq!(names(folder.path()), ["f-1.png", "f-2.png"]);
        assert_eq!(fs::read_to_string(folder.path().join("f-2.png")).unwrap(), text);
    }
}

#[test]
fn of_two_runs_at_once_neither_loses_a_file() {
    for existing in [Existing::Replace, Existing::Keep] {
        for is_there in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("a.bin");
            if is_there {
                fs::write(&target, "old").unwrap();
            }
            let [one, two] = ["one", "two"].map(|text| {
                let staged = StagedFile::create(&target, existing).unwrap();
                staged.file().write_all(text.as_bytes()).unwrap();
                staged
            });
            let (one, two) = (one.commit().unwrap(), two.commit().unwrap());
            assert_eq!(fs::read_to_string(&one.path).unwrap(), "one");
            assert_eq!(fs::read_to_string(&two.path).unwrap(), "two");
            let keeps = existing == Existing::Keep;
            if keeps && is_there {
                assert_eq!(names(folder.path()), ["a-2.bin", "a-3.bin", "a.bin"]);
                assert_eq!(fs::read_to_string(&target).unwrap(), "old");
            } else {
                assert_eq!(names(folder.path()), ["a-2.bin", "a.bin"]);
            }
            // A name that was asked for is not left without a word.
            assert_eq!((one.notice.is_some(), two.notice.is_some()), (false, !keeps));
        }
    }
}

#[test]
fn of_two_sets_at_once_neither_loses_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("f.png");
    let (one, two) = (two_files(&target, "one"), two_files(&target, "two"));
    assert_eq!((one.commit(others).unwrap(), two.commit(others).unwrap()), (1, 2));
    assert_eq!(names(folder.path()), ["f-1.png", "f-2-1.png", "f-2-2.png", "f-2.png"]);
    let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!((read("f-1.png"), read("f-2-1.png")), ("one".to_owned(), "two".to_owned()));
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_replaced() {
    let failure = StagedFile::create(Path::new("/dev/null"), Existing::Replace).unwrap_err();
    assert_eq!(failure.to_string(), "cannot write `/dev/null`: it is not a regular file");
    assert_eq!(failure.exit_code(), 1);
}

#[test]
fn a_missing_folder_is_named_with_a_way_out() {
    let failure = StagedFile::create(Path::new("/no/such/folder/a.mp4"), Existing::Replace).unwrap_err();
    assert!(failure.to_string().contains("`/no/such/folder/a.mp4`"), "{failure}");
    assert!(failure.hint_text().unwrap().contains("/no/such/folder"));
}
