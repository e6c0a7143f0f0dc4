//! Torch files that are damaged, that are noise, or that were made to run something or to take all memory.

use std::time::{Duration, Instant};

use kinora_model_loader::{Checkpoint, LoadError};
use proptest::prelude::*;

use crate::refused;
use crate::torch::{F32, PLAIN, TRAINED, one, open};
use crate::torch_file::*;

#[test]
fn names_that_could_run_something_are_refused_by_name() {
    for name in [
        "os.system",
        "posix.system",
        "builtins.eval",
        "__builtin__.exec",
        "torch.load",
        "torch.storage._load_from_bytes",
        "torch._utils._rebuild_device_tensor_from_numpy",
        "numpy.core.multiarray._reconstruct",
        "argparse.Namespace",
        "collections.defaultdict",
        "collections.OrderedDict.pop",
        "torch.",
        "torch.serialization.torch.Size",
    ] {
        let error = refused(open(one(&call(name, &[text("id")]))), &["`f.pt`", &format!("`{name}`")]);
        assert!(error.hint().unwrap().contains("not run"));
        let (module, name) = name.rsplit_once('.').unwrap();
        let stacked = [text(module), text(name), b"\x93".to_vec()].concat();
        refused(open(one(&stacked)), &[&format!("`{module}.{name}`")]);
    }
    let long = format!("a\u{1b}[31m{}.b", "x".repeat(1000));
    let error = refused(open(one(&global(&long))), &["a\\u{1b}[31mxxx", "..."]);
    assert!(error.to_string().len() < 300);
    // Of the instance operations, which run constructors, none is known; nor is the registry of extensions.
    for operation in [&b"(cos\nsystem\no"[..], b"(ios\nsystem\n", b"\x82\x01", b"Pid\n", b"\x92"] {
        refused(open(one(operation)), &["`f.pt`"]);
    }
}

#[test]
fn calls_are_of_known_forms() {
    for value in [
        call("collections.OrderedDict", &[int(1)]),
        call("torch.Size", &[]),
        call("torch.FloatStorage", &[int(1 << 60)]),
        call("torch.float32", &[]),
        call("torch._utils._rebuild_parameter", &[int(1)]),
        [int(1), tuple(&[]), b"R".to_vec()].concat(),
        [global("torch.Size"), int(1), b"R".to_vec()].concat(),
        [int(1), dict(&[]), b"b".to_vec()].concat(),
        [int(1), int(2), b"a".to_vec()].concat(),
        [int(1), int(2), int(3), b"s".to_vec()].concat(),
        [dict(&[]), b"(".to_vec(), int(3), b"u".to_vec()].concat(),
        [int(1), b"Q".to_vec()].concat(),
    ] {
        refused(open(one(&value)), &["`f.pt`", "pickle is damaged"]);
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for whole in [TRAINED, PLAIN] {
        for cut in 0..whole.len() {
            refused(open(whole[..cut].to_vec()), &["f.pt"]);
        }
    }
    let value = dict(&[("w", tensor(storage(F32, 4), 0, &[4], &[1]))]);
    let whole = pickle(&value);
    assert!(open(torch_file(whole.clone(), vec![0; 16])).is_ok());
    for cut in 0..whole.len() {
        refused(open(torch_file(whole[..cut].to_vec(), vec![0; 16])), &["pickle is damaged"]);
    }
    for extra in [&b"."[..], b"}.", b"\0"] {
        refused(open(torch_file([&whole[..], extra].concat(), vec![0; 16])), &["left after its end"]);
    }
    for root in [int(3), text("a"), tensor(storage(F32, 4), 0, &[4], &[1]), b"]".to_vec()] {
        refused(open(torch_file(pickle(&root), vec![0; 16])), &["expected a dict of tensors"]);
    }
    for root in
        [&b"("[..], b"1", b"(0", b"(1", b"h\x01", b"q\x01", b"2", b"\x85", b"(}\x86", b"t", b"d", b"e"]
    {
        refused(open(torch_file(pickle(root), vec![])), &["f.pt"]);
    }
}

/// Whether opening it stays quick, and what came of it.
fn in_time(pickle: Vec<u8>) -> Result<Checkpoint, LoadError> {
    let file = torch_file(pickle, vec![0; 16]);
    let start = Instant::now();
    let result = open(file);
    let seconds = start.elapsed();
    assert!(seconds < Duration::from_secs(20), "{seconds:?}");
    result
}

#[test]
fn bombs_stay_small() {
    // A dict that holds itself, and dicts that hold the next one twice.
    refused(in_time(pickle(b"}q\x00X\x01\x00\x00\x00ah\x00s")), &["`a`", "holds itself"]);
    let mut doubled = tensor(storage(F32, 4), 0, &[], &[]);
    for _ in 0..30 {
        doubled =
            [b"}(".to_vec(), text("a"), doubled, b"q\x01".to_vec(), text("b"), b"h\x01u".to_vec()].concat();
    }
    refused(in_time(pickle(&doubled)), &["`a", "is there twice"]);
    // Depth: of dicts, of tuples, of marks.
    let deep = [b"}X\x01\0\0\0a".repeat(100_000), b"N".to_vec(), b"s".repeat(100_000)].concat();
    refused(in_time(pickle(&deep)), &["too deep"]);
    let deep = [b")".to_vec(), b"\x85".repeat(1_000_000)].concat();
    refused(in_time(pickle(&deep)), &["holds a tuple"]);
    refused(in_time(pickle(&b"(".repeat(1_000_000))), &["empty stack"]);
    // More operations than any file has.
    refused(in_time(pickle(&b"}0".repeat(3_000_000))), &["operations"]);
    // One long name, many times.
    let long = text(&"n".repeat(1 << 20));
    let mut names =
        [b"}(".to_vec(), text("t"), tensor(storage(F32, 4), 0, &[], &[]), b"q\x01".to_vec()].concat();
    names.extend([&long[..], b"q\x02h\x01"].concat());
    for index in 0..200 {
        names.extend([text(&index.to_string()), b"}h\x02h\x01s".to_vec()].concat());
    }
    names.push(b'u');
    refused(in_time(pickle(&names)), &["names of its tensors take more than"]);
    // Lengths that nothing backs.
    for lie in [
        &b"X\xFF\xFF\xFF\xFF"[..],
        b"\x8d\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        b"\x8b\xFF\xFF\xFF\xFF",
        b"\x8a\xFF",
    ] {
        refused(in_time(pickle(lie)), &["cut short"]);
    }
}

/// What is accepted has tensors that can all be read.
fn check(bytes: Vec<u8>) {
    let Ok(checkpoint) = open(bytes) else { return };
    for name in checkpoint.names() {
        match checkpoint.tensor(name) {
            Ok(tensor) => assert_eq!(tensor.to_f32().len(), tensor.elements()),
            Err(error) => assert!(matches!(error, LoadError::UnsupportedFormat { .. }), "{error}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn flipped_bytes_never_panic(
        plain in any::<bool>(),
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = if plain { PLAIN } else { TRAINED }.to_vec();
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        check(bytes);
    }

    #[test]
    fn flipped_operations_never_panic(flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut whole = pickle(&dict(&[
            ("a", tensor(storage(F32, 4), 0, &[2, 2], &[2, 1])),
            ("b", dict(&[("c", tensor_of_bytes(16, &[4], &[1], "float8_e5m2"))])),
        ]));
        for (at, value) in flips {
            let at = at % whole.len();
            whole[at] = value;
        }
        check(torch_file(whole, vec![0; 16]));
    }

    #[test]
    fn noise_never_panics(operations in proptest::collection::vec(any::<u8>(), 0..100)) {
        check(torch_file(operations.clone(), vec![0; 16]));
        check([b"PK\x03\x04", &operations[..]].concat());
    }
}
