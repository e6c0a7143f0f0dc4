//! Whole checkpoints: single files and shards, all types, the questions that can be asked of them.

use std::collections::BTreeMap;

use kinora_model_loader::{Bytes, Checkpoint, Format, ModelFolder};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

use crate::{Copy, WAN, refused};

const INDEX: &str = "transformer/diffusion_pytorch_model.safetensors.index.json";
const SHARD: &str = "transformer/diffusion_pytorch_model-00002-of-00002.safetensors";

/// A file of the given tensors, as the reference implementation writes it.
fn file(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn every_tensor_of_the_small_model_is_what_the_reference_reads() {
    let folder = ModelFolder::open(WAN).unwrap();
    for component in ["transformer", "vae", "text_encoder"] {
        let checkpoint = Checkpoint::open(&folder, component).unwrap();
        let (mut seen, mut parameters, mut bytes) = (0, 0, 0);
        for (path, data) in &Copy::wan().0 {
            if !path.starts_with(component) || !path.ends_with(".safetensors") {
                continue;
            }
            for (name, view) in SafeTensors::deserialize(data).unwrap().iter() {
                let tensor = checkpoint.tensor_shaped(name, view.shape()).unwrap();
                assert_eq!(&*tensor.bytes, view.data(), "{name}");
                assert_eq!(tensor.format.to_string(), view.dtype().to_string());
                assert_eq!(tensor.to_f32().len(), tensor.elements());
                assert_eq!(checkpoint.shape(name), Some(view.shape()));
                (seen, parameters, bytes) =
                    (seen + 1, parameters + tensor.elements(), bytes + view.data().len());
            }
        }
        assert_eq!(checkpoint.names().count(), seen);
        assert_eq!((checkpoint.total_parameters(), checkpoint.bytes_total()), (parameters, bytes));
        assert_eq!(checkpoint.formats().values().sum::<usize>(), parameters);
        assert!(parameters > 1000);
    }
}

#[test]
fn shards_act_as_one() {
    let checkpoint = Checkpoint::open(&ModelFolder::open(WAN).unwrap(), "transformer").unwrap();
    assert_eq!(checkpoint.file(), INDEX);
    for name in ["blocks.0.attn1.norm_k.weight", "proj_out.bias"] {
        assert!(checkpoint.contains(name), "{name}");
    }
    assert!(!checkpoint.contains("proj_out"));
    let error = refused(checkpoint.tensor("proj_out.bais"), &[INDEX, "`proj_out.bais`"]);
    assert!(error.hint().unwrap().contains("`proj_out.bias`"), "{:?}", error.hint());
    let error = refused(checkpoint.tensor("unlike"), &["`unlike`"]);
    assert!(!error.hint().unwrap().contains("closest"), "{:?}", error.hint());
    refused(checkpoint.tensor_shaped("proj_out.bias", &[25]), &["`proj_out.bias`", "[24]", "[25]", SHARD]);
    refused(checkpoint.tensor_shaped("proj_out.bias", &[24, 1]), &["`proj_out.bias`", "[24]", "[24, 1]"]);
}

#[test]
fn mixed_types_are_counted_and_widened() {
    let bytes = file(&[
        ("f32", Dtype::F32, vec![2], [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("f16", Dtype::F16, vec![1, 3], vec![0x00, 0x3C, 0x00, 0xC0, 0x01, 0x00]),
        ("bf16", Dtype::BF16, vec![], vec![0x80, 0x3F]),
        ("none", Dtype::F32, vec![0, 4], vec![]),
        ("int", Dtype::I64, vec![1], vec![7; 8]),
        ("double", Dtype::F64, vec![1], vec![0; 8]),
        ("flag", Dtype::BOOL, vec![3], vec![1; 3]),
        ("f8", Dtype::F8_E4M3, vec![5], vec![1; 5]),
    ]);
    let checkpoint = Checkpoint::from_bytes("mixed", bytes.into()).unwrap();
    assert_eq!(checkpoint.tensor("f32").unwrap().to_f32(), [1.5, -2.0]);
    assert_eq!(checkpoint.tensor("f16").unwrap().to_f32(), [1.0, -2.0, 2f32.powi(-24)]);
    assert_eq!(checkpoint.tensor_shaped("bf16", &[]).unwrap().to_f32(), [1.0]);
    assert!(checkpoint.tensor_shaped("none", &[0, 4]).unwrap().to_f32().is_empty());
    assert_eq!(checkpoint.tensor("f8").unwrap().to_f32(), [2f32.powi(-9); 5]);
    let counts = [(Format::F32, 2), (Format::F16, 3), (Format::BF16, 1), (Format::F8E4M3, 5)];
    assert_eq!(checkpoint.formats(), BTreeMap::from(counts));
    assert_eq!(checkpoint.total_parameters(), 16);
    for (name, stored) in [("int", "I64"), ("double", "F64"), ("flag", "BOOL")] {
        let error = refused(checkpoint.tensor(name), &["`mixed`", &format!("`{name}`"), stored]);
        assert!(error.hint().unwrap().contains("Q4_0 to Q8_0"));
    }
}

#[test]
fn a_type_that_nobody_knows_matters_only_when_asked_for() {
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "b":{"dtype":"Q4_K","shape":[18446744073709551615],"data_offsets":[4,6]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[0; 6]);
    let checkpoint = Checkpoint::from_bytes("new", bytes.into()).unwrap();
    assert_eq!(checkpoint.tensor("a").unwrap().to_f32(), [0.0]);
    assert_eq!((checkpoint.total_parameters(), checkpoint.bytes_total()), (usize::MAX, 6));
    refused(checkpoint.tensor("b"), &["`b`", "Q4_K"]);
}

#[test]
fn a_single_file_is_opened_by_its_path() {
    let checkpoint = Checkpoint::open_file(format!("{WAN}/golden.safetensors")).unwrap();
    assert!(checkpoint.contains("latents.init"));
    refused(Checkpoint::open_file(format!("{WAN}/absent.safetensors")), &["absent.safetensors"]);
    refused(Checkpoint::open_file(WAN), &["wan"]);
    refused(Checkpoint::open_file(""), &[]);
    refused(Checkpoint::open_file(format!("{WAN}/golden.json")), &["golden.json"]);
}

#[test]
fn static_bytes_are_enough() {
    static FILE: &[u8] =
        include_bytes!("../../../tests/fixtures/wan/vae/diffusion_pytorch_model.safetensors");
    let checkpoint = Checkpoint::from_bytes("embedded", Bytes::from_static(FILE)).unwrap();
    let bytes = checkpoint.tensor("decoder.conv_out.bias").unwrap().bytes;
    assert!(FILE.as_ptr_range().contains(&bytes.as_ptr()), "the tensor was copied");
}

/// The small model with its shard index changed.
fn reindexed(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> ModelFolder {
    let mut index: Value = serde_json::from_slice(&Copy::wan().0[INDEX]).unwrap();
    change(index["weight_map"].as_object_mut().unwrap());
    Copy::wan().with(INDEX, index.to_string()).open()
}

#[test]
fn shards_and_index_must_agree() {
    let open = |folder: &ModelFolder| Checkpoint::open(folder, "transformer");
    refused(open(&Copy::wan().without(SHARD).open()), &[INDEX, SHARD, "copy (in memory)"]);

    let phantom = reindexed(|map| {
        map.insert("phantom.weight".into(), map["proj_out.bias"].clone());
    });
    refused(open(&phantom), &[INDEX, "`phantom.weight`", SHARD]);

    let swapped = reindexed(|map| {
        map.insert("proj_out.bias".into(), map["blocks.0.attn1.norm_k.weight"].clone());
    });
    refused(open(&swapped), &[INDEX, "`proj_out.bias`"]);

    for path in ["../vae/x.safetensors", "/etc/passwd", "..", "", "a\\b", "c:x"] {
        let outside = reindexed(|map| {
            map.insert("proj_out.bias".into(), json!(path));
        });
        refused(open(&outside), &[INDEX, path]);
    }

    let other = Copy::wan().0[SHARD].clone();
    let twice = Copy::wan().with(SHARD, other.clone());
    let first = SHARD.replace("00002-of", "00001-of");
    refused(open(&twice.with(&first, other).open()), &["holds it as well"]);

    for text in ["", "{", "[]", "{}", r#"{"weight_map": []}"#, r#"{"weight_map": {"a": 1}}"#] {
        refused(open(&Copy::wan().with(INDEX, text).open()), &[INDEX]);
    }
    let empty = open(&Copy::wan().with(INDEX, r#"{"weight_map": {}}"#).open()).unwrap();
    refused(empty.tensor("proj_out.bias"), &[INDEX, "`proj_out.bias`"]);
}
