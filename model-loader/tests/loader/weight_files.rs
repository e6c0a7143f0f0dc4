//! Weights under every name that diffusers and transformers have saved them under; which is read where there are several.

use kinora_model_loader::{Checkpoint, LoadError, ModelFolder};

use crate::{Copy, refused};

const STEM: &str = "diffusion_pytorch_model";
const SINGLE: &str = "vae/diffusion_pytorch_model.safetensors";

fn open(folder: &ModelFolder) -> Result<Checkpoint, LoadError> {
    Checkpoint::open(folder, "transformer")
}

fn shard(number: usize) -> String {
    format!("transformer/{STEM}-{number:05}-of-00002.safetensors")
}

/// The small model with other names: of its shards (from the stem on, `NNNNN` for the number) and their index.
fn renamed(shards: &str, index: Option<&str>) -> Copy {
    let old = format!("transformer/{STEM}.safetensors.index.json");
    let mut text = String::from_utf8(Copy::wan().0[&old].clone()).unwrap();
    let mut copy = Copy::wan().without(&old);
    for number in 1..=2 {
        let new = shards.replace("NNNNN", &format!("{number:05}"));
        let bytes = copy.0.remove(&shard(number)).unwrap();
        text = text.replace(shard(number).strip_prefix("transformer/").unwrap(), &new);
        copy = copy.with(&format!("transformer/{new}"), bytes);
    }
    match index {
        Some(index) => copy.with(&format!("transformer/{index}"), text),
        None => copy,
    }
}

#[track_caller]
fn whole(checkpoint: &Checkpoint) {
    let names: Vec<&str> = checkpoint.names().collect();
    let expected = open(&Copy::wan().open()).unwrap();
    assert_eq!(names, expected.names().collect::<Vec<_>>());
    for name in names {
        assert_eq!(*checkpoint.tensor(name).unwrap().bytes, *expected.tensor(name).unwrap().bytes, "{name}");
    }
}

#[test]
fn sharded_variants_are_read_in_every_spelling() {
    for stem in [STEM, "model"] {
        for (shards, index) in [
            ("S-NNNNN-of-00002.safetensors", "S.safetensors.index.json"),
            ("S.bf16-NNNNN-of-00002.safetensors", "S.safetensors.index.bf16.json"),
            ("S-NNNNN-of-00002.bf16.safetensors", "S.safetensors.index.bf16.json"),
            ("S-NNNNN-of-00002.bf16.safetensors", "S.safetensors.bf16.index.json"),
            ("S.bf16-NNNNN-of-00002.safetensors", "S.bf16.safetensors.index.json"),
        ] {
            let (shards, index) = (shards.replace('S', stem), index.replace('S', stem));
            let folder = renamed(&shards, Some(&index)).open();
            let checkpoint = open(&folder).unwrap();
            assert_eq!(checkpoint.file(), format!("transformer/{index}"));
            whole(&checkpoint);
            assert!(folder.notices().is_empty(), "{:?}", folder.notices());

            let folder = renamed(&shards, None).open();
            let checkpoint = open(&folder).unwrap();
            assert_eq!(checkpoint.file(), format!("transformer/{}", shards.replace("NNNNN", "*")));
            whole(&checkpoint);
        }
    }
    whole(&open(&renamed("other-NNNNN-of-00002.safetensors", None).open()).unwrap());
}

#[test]
fn an_absent_shard_is_named() {
    for (shards, index) in [
        (
            "diffusion_pytorch_model.bf16-NNNNN-of-00002.safetensors",
            Some("diffusion_pytorch_model.safetensors.index.bf16.json"),
        ),
        ("diffusion_pytorch_model.bf16-NNNNN-of-00002.safetensors", None),
        ("model-NNNNN-of-00002.fp16.safetensors", None),
    ] {
        for number in 1..=2 {
            let absent = format!("transformer/{}", shards.replace("NNNNN", &format!("{number:05}")));
            let folder = renamed(shards, index).without(&absent).open();
            let error = refused(open(&folder), &[&format!("`{absent}`"), "is missing from `copy"]);
            assert!(error.hint().unwrap().contains("incomplete"), "{:?}", error.hint());
        }
    }
    // Numbers that count nothing are part of a name.
    for name in ["model-00003-of-00002", "model-0-of-0", "model-x-of-2", "model-1-of-2x", "model-of-2"] {
        let bytes = Copy::wan().0[SINGLE].clone();
        let folder = Copy::wan().without(SINGLE).with(&format!("vae/{name}.safetensors"), bytes).open();
        assert_eq!(Checkpoint::open(&folder, "vae").unwrap().file(), format!("vae/{name}.safetensors"));
    }
    let most = format!("vae/model-00001-of-{}.safetensors", usize::MAX);
    let folder = Copy::wan().without(SINGLE).with(&most, "").open();
    refused(Checkpoint::open(&folder, "vae"), &["vae/model-00002-of-", "holds 1 of"]);
}

#[test]
fn of_several_copies_one_is_read_and_named() {
    let weights = Copy::wan().0[SINGLE].clone();
    // From the most to the least preferred.
    let order = [
        "diffusion_pytorch_model.safetensors",
        "model.safetensors",
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.bf16.safetensors",
        "diffusion_pytorch_model.fp32.safetensors",
        "diffusion_pytorch_model.ema.safetensors",
        "diffusion_pytorch_model.non_ema.safetensors",
    ];
    for (at, preferred) in order.iter().enumerate() {
        let mut copy = Copy::wan().without(SINGLE).with("vae/lora.safetensors", "no weights");
        for name in &order[at..] {
            copy = copy.with(&format!("vae/{name}"), weights.clone());
        }
        let folder = copy.open();
        assert_eq!(Checkpoint::open(&folder, "vae").unwrap().file(), format!("vae/{preferred}"));
        Checkpoint::open(&folder, "vae").unwrap();
        let notices = folder.notices();
        let Some(next) = order.get(at + 1) else {
            assert!(notices.is_empty(), "{notices:?}");
            continue;
        };
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(
            notices[0].starts_with(&format!(
                "the weights of `vae` are there more than once: `vae/{preferred}` is read, `vae/{next}`"
            )),
            "{notices:?}"
        );
    }
}

#[test]
fn a_single_file_beside_shards_is_taken_as_the_libraries_do() {
    let weights = Copy::wan().0[SINGLE].clone();
    for (stem, indexed) in [(STEM, true), ("model", false)] {
        let shards = format!("{stem}-NNNNN-of-00002.safetensors");
        let index = format!("{stem}.safetensors.index.json");
        let single = format!("transformer/{stem}.safetensors");
        let folder = renamed(&shards, Some(&index)).with(&single, weights.clone()).open();
        let read = if indexed { format!("transformer/{index}") } else { single.clone() };
        assert_eq!(open(&folder).unwrap().file(), read);
        assert_eq!(folder.notices().len(), 1, "{:?}", folder.notices());
        // Without an index nothing says that the shards are the same weights.
        let folder = renamed(&shards, None).with(&single, weights.clone()).open();
        assert_eq!(open(&folder).unwrap().file(), single);
    }
}

#[test]
fn an_index_without_its_shards_does_not_hide_other_weights() {
    let index = Copy::wan().0["transformer/diffusion_pytorch_model.safetensors.index.json"].clone();
    let bare = "transformer/diffusion_pytorch_model.safetensors.index.json";
    let shards = "diffusion_pytorch_model.fp16-NNNNN-of-00002.safetensors";
    let folder = renamed(shards, Some("diffusion_pytorch_model.safetensors.index.fp16.json"));
    let folder = folder.with(bare, index.clone()).open();
    whole(&open(&folder).unwrap());
    assert!(folder.notices().is_empty(), "{:?}", folder.notices());
    let lone = Copy::wan().without(&shard(1)).without(&shard(2)).open();
    refused(open(&lone), &[bare, "names the shard"]);
}

#[test]
fn a_complete_set_goes_before_one_that_is_not() {
    let copy = renamed("model-NNNNN-of-00002.safetensors", None);
    let folder = copy.with("transformer/model-00001-of-00001.bf16.safetensors", "").open();
    whole(&open(&folder).unwrap());
    let copy = renamed("model-NNNNN-of-00002.safetensors", None);
    for other in ["model-00001-of-00003.safetensors", "model-00001-of-00009.safetensors"] {
        let copy = Copy(copy.0.clone()).with(&format!("transformer/{other}"), "");
        whole(&open(&copy.open()).unwrap());
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    for name in ["diffusion_pytorch_model.bin", "pytorch_model.pt", "model.ckpt"] {
        let folder = Copy::wan().without(SINGLE).with(&format!("vae/{name}"), "x").open();
        let error =
            refused(Checkpoint::open(&folder, "vae"), &["`vae`", &format!("`vae/{name}`"), "pickled"]);
        assert!(error.hint().unwrap().contains("save_pretrained"), "{:?}", error.hint());
    }
    let two = Copy::wan().without(SINGLE).with("vae/a.safetensors", "").with("vae/b.safetensors", "").open();
    let things = ["`vae`", "`vae/a.safetensors`, `vae/b.safetensors`", "cannot tell"];
    refused(Checkpoint::open(&two, "vae"), &things);
    let other = Copy::wan().without(SINGLE).with("vae/model.gguf", "").open();
    refused(Checkpoint::open(&other, "vae"), &["no safetensors", "`vae`", "config.json, model.gguf"]);
    refused(Checkpoint::open(&Copy::wan().open(), "absent"), &["`absent`", "nothing"]);
    let index = Copy::wan().without(SINGLE).with("vae/pytorch_model.bin.index.json", "{}").open();
    refused(Checkpoint::open(&index, "vae"), &["no safetensors"]);
}
