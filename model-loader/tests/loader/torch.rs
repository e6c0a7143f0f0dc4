//! Files of `torch.save`: what real ones hold, and what is refused in those that lie.

use kinora_model_loader::{Bytes, Checkpoint, Format, LoadError};

use crate::refused;
use crate::torch_file::*;

pub(crate) const TRAINED: &[u8] = include_bytes!("../fixtures/torch/trained.pt");
pub(crate) const PLAIN: &[u8] = include_bytes!("../fixtures/torch/plain.bin");
const STRIDED: &[u8] = include_bytes!("../fixtures/torch/strided.pt");
const OLD: &[u8] = include_bytes!("../fixtures/torch/old.pt");

pub(crate) const F32: &str = "torch.FloatStorage";

pub(crate) fn open(bytes: impl Into<Bytes>) -> Result<Checkpoint, LoadError> {
    Checkpoint::from_bytes("f.pt", bytes.into())
}

/// The file of a dict with one tensor of four numbers, which is made so.
pub(crate) fn one(tensor: &[u8]) -> Vec<u8> {
    torch_file(pickle(&dict(&[("w", tensor.to_vec())])), vec![0; 16])
}

#[test]
fn a_trainer_s_file_gives_the_averaged_weights() {
    let checkpoint = open(TRAINED.to_vec()).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["model.proj.bias", "model.proj.weight"]);
    let weight = checkpoint.tensor_shaped("model.proj.weight", &[2, 3]).unwrap();
    assert_eq!(weight.format, Format::F16);
    assert_eq!(weight.to_f32(), [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]);
    assert_eq!(checkpoint.tensor("model.proj.bias").unwrap().to_f32(), [-1.0, -0.75]);
}

#[test]
fn all_types_and_views_of_a_bare_dict_are_read() {
    let checkpoint = open(PLAIN.to_vec()).unwrap();
    let values = |name: &str| checkpoint.tensor(name).unwrap().to_f32();
    assert_eq!(values("whole"), [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]);
    assert_eq!(values("rows"), [0.5, 0.75, 1.0, 1.25]);
    assert_eq!(values("single"), [1.5]);
    for name in ["parameter", "half", "bfloat16"] {
        assert_eq!(values(name), [0.0, 0.25, 0.5], "{name}");
    }
    for (name, shape) in
        [("single", &[][..]), ("none", &[0, 4]), ("parameter", &[1, 3, 1]), ("rows", &[2, 2])]
    {
        assert_eq!(checkpoint.shape(name), Some(shape), "{name}");
    }
    for (name, stored) in [("double", "F64"), ("long", "I64"), ("flag", "BOOL"), ("nested.deep.byte", "U8")] {
        refused(checkpoint.tensor(name), &["`f.pt`", name, stored]);
    }
    assert_eq!(checkpoint.names().count(), 11);
}

#[test]
fn views_that_are_not_contiguous_and_old_files_are_refused() {
    let error = refused(open(STRIDED.to_vec()), &["`f.pt`", "`turned`", "[3, 2]", "[1, 3]", "contiguous"]);
    assert!(error.hint().unwrap().contains("`contiguous()`"));
    let error = refused(open(OLD.to_vec()), &["`f.pt`", "before version 1.6"]);
    assert!(error.hint().unwrap().contains("torch.save"));
    refused(open(b"\x80\x04\x95\x10\0\0\0\0\0\0\0}.".to_vec()), &["`f.pt`", "a pickle without an archive"]);
}

#[test]
fn float8_is_kept_as_bytes() {
    let tensors = dict(&[
        ("e4m3", tensor_of_bytes(4, &[2, 2], &[2, 1], "float8_e4m3fn")),
        ("e5m2", tensor_of_bytes(4, &[4], &[1], "float8_e5m2")),
        ("other", tensor_of_bytes(4, &[2], &[1], "uint16")),
    ]);
    let checkpoint = open(torch_file(pickle(&tensors), vec![0x38, 0x40, 0xB8, 0x00])).unwrap();
    assert_eq!(checkpoint.tensor("e4m3").unwrap().to_f32(), [1.0, 2.0, -1.0, 0.0]);
    assert_eq!(checkpoint.tensor("e5m2").unwrap().format, Format::F8E5M2);
    refused(checkpoint.tensor("other"), &["`other`", "U16"]);
}

#[test]
fn the_best_of_several_dicts_is_taken() {
    let weights = |name: &str| dict(&[(name, tensor(storage(F32, 4), 0, &[4], &[1]))]);
    let names = |pairs: &[(&str, Vec<u8>)]| {
        let checkpoint = open(torch_file(pickle(&dict(pairs)), vec![0; 16])).unwrap();
        checkpoint.names().map(str::to_owned).collect::<Vec<_>>()
    };
    let all =
        ["other", "model", "state_dict", "generator", "generator_ema"].map(|name| (name, weights(name)));
    for count in 2..=all.len() {
        assert_eq!(names(&all[..count]), [all[count - 1].0]);
    }
    assert_eq!(names(&all[..1]), ["other.other"]);
    assert_eq!(names(&[("generator", dict(&[])), ("model", weights("a"))]), ["a"]);
    assert_eq!(names(&[("model", int(3)), ("w", tensor(storage(F32, 4), 0, &[], &[]))]), ["w"]);
    assert_eq!(names(&[("model", weights("a")), ("model", weights("b"))]), ["b"], "as in Python");
    assert!(names(&[]).is_empty());
}

#[test]
fn archives_for_large_files_are_read() {
    let members = [
        ("data.pkl", pickle(&dict(&[("w", tensor(storage(F32, 4), 1, &[3], &[1]))]))),
        ("data/0", vec![1; 16]),
    ];
    for wide in [false, true] {
        let checkpoint = open(Zip { wide, ..Zip::default() }.write(&members)).unwrap();
        assert_eq!(*checkpoint.tensor("w").unwrap().bytes, [1; 12]);
    }
    refused(
        open(Zip { method: 8, ..Zip::default() }.write(&members)),
        &["`data.pkl`", "compressed (method 8)"],
    );
    for wide in [false, true] {
        for more in [1, 100, 1 << 40, u64::MAX - 2] {
            refused(open(Zip { wide, more, ..Zip::default() }.write(&members)), &["`f.pt`", "directory"]);
        }
    }
}

#[test]
fn archives_may_lie() {
    let whole = pickle(&dict(&[]));
    for (members, things) in [
        (vec![("a/x", vec![])], &["holds no `data.pkl`"][..]),
        (vec![("a/b/data.pkl", whole.clone())], &["holds no `data.pkl`"]),
        (
            vec![("a/data.pkl", whole.clone()), ("b/data.pkl", whole.clone())],
            &["`a/data.pkl`", "`b/data.pkl`"],
        ),
        (vec![("a/data.pkl", whole.clone()), ("a/data.pkl", whole.clone())], &["`a/data.pkl`", "twice"]),
        (vec![("a/data.pkl", whole.clone()), ("a/byteorder", b"big".to_vec())], &["`big`", "`little`"]),
        (vec![("a/data.pkl", whole.clone()), ("a/constants.pkl", vec![])], &["TorchScript"]),
    ] {
        refused(open(archive(&members)), &[&["`f.pt`"], things].concat());
    }
    refused(open(b"PK\x03\x04".to_vec()), &["`f.pt`", "cut short"]);
}

#[test]
fn tensors_may_lie() {
    let untyped = |count| storage("torch.storage.UntypedStorage", count);
    let max = i64::MAX;
    for (tensor, things) in [
        (tensor(storage(F32, 5), 0, &[4], &[1]), &["claims 5 elements", "`data/0` has 16 bytes"][..]),
        (tensor(storage(F32, max), 0, &[4], &[1]), &["claims 9223372036854775807"]),
        (tensor(storage(F32, -1), 0, &[4], &[1]), &["claims -1"]),
        (tensor(storage(F32, 3), 0, &[4], &[1]), &["takes 16 bytes", "has 12"]),
        (tensor(storage(F32, 4), 1, &[4], &[1]), &["at element 1", "takes 16 bytes"]),
        (tensor(storage(F32, 4), max, &[4], &[1]), &["at element 9223372036854775807"]),
        (tensor(storage(F32, 4), -1, &[4], &[1]), &["at element -1"]),
        (tensor(storage(F32, 4), 0, &[2, 3], &[3, 1]), &["F32 [2, 3]", "takes 24 bytes"]),
        (tensor(storage(F32, 4), 0, &[max, max], &[1, 1]), &["larger than any memory"]),
        (tensor(storage(F32, 4), 0, &[max, 1], &[1, 1]), &["larger than any memory"]),
        (tensor(storage(F32, 4), 0, &[-1], &[1]), &["hold -1"]),
        (tensor(storage(F32, 4), 0, &[4], &[1, 1]), &["differ in length"]),
        (tensor(storage(F32, 4), 0, &[4], &[0]), &["strides [0]"]),
        (tensor(storage(F32, 4), 0, &[2, 2], &[1, 2]), &["strides [1, 2]"]),
        (tensor(storage(F32, 4), 0, &[1; 65], &[1; 65]), &["65 dimensions"]),
        (tensor(untyped(16), 0, &[4], &[1]), &["of what type"]),
        (tensor(int(3), 0, &[4], &[1]), &["lacks a storage"]),
        (tensor_of_bytes(4, &[4], &[1], "float32"), &["takes 16 bytes", "has 4"]),
        (tensor_of_bytes(4, &[4], &[1], "Size"), &["of what type"]),
        (call("torch._utils._rebuild_tensor_v2", &[int(1)]), &["made of 1 values"]),
    ] {
        refused(open(one(&tensor)), &[&["`f.pt`", "`w`"], things].concat());
    }
    let absent = archive(&[("a/data.pkl", pickle(&dict(&[("w", tensor(storage(F32, 4), 0, &[4], &[1]))])))]);
    refused(open(absent), &["`w`", "`data/0`", "absent"]);
    assert!(
        open(one(&tensor(storage(F32, 4), 0, &[1, 4, 1], &[99, 1, 77]))).is_ok(),
        "strides of 1 say nothing"
    );
    assert!(open(one(&tensor(storage(F32, 4), 99, &[0, 9], &[0, 0]))).is_ok(), "nothing is anywhere");
    let (deep, flat) =
        (dict(&[("b", tensor(storage(F32, 4), 0, &[], &[]))]), tensor(storage(F32, 4), 1, &[], &[]));
    let twice = dict(&[("a", deep), ("a.b", flat)]);
    refused(open(torch_file(pickle(&twice), vec![0; 16])), &["`a.b`", "twice"]);
}
