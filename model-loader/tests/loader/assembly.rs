//! Models put together from files: what is recognised, what is missing, what does not fit.

use kinora_model_loader::{
    Assembly, Bytes, Checkpoint, Conversion, FileContents, Format, ModelFolder, NamedFile, Tokenizer,
};
use safetensors::tensor::{Dtype, TensorView};

use crate::{WAN, refused};

const FORMATS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/formats");

fn file(path: &str) -> NamedFile {
    NamedFile::open(format!("{FORMATS}/{path}").as_ref()).unwrap()
}

fn over_wan() -> Assembly {
    Assembly::new(Some(ModelFolder::open(WAN).unwrap()))
}

/// Tensors of f32, each as its shape and the number that all its values are.
fn lora(tensors: &[(&str, &[usize], f32)]) -> NamedFile {
    let tensors: Vec<(&str, &[usize], Dtype, Vec<u8>)> = tensors
        .iter()
        .map(|(name, shape, value)| {
            let bytes = value.to_le_bytes().repeat(shape.iter().product());
            (*name, *shape, Dtype::F32, bytes)
        })
        .collect();
    written("lora.safetensors", &tensors, None)
}

fn written(
    name: &str,
    tensors: &[(&str, &[usize], Dtype, Vec<u8>)],
    metadata: Option<(&str, &str)>,
) -> NamedFile {
    let views = tensors
        .iter()
        .map(|(name, shape, dtype, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    let metadata = metadata.map(|(key, value)| [(key.to_owned(), value.to_owned())].into());
    let bytes = safetensors::serialize(views, metadata).unwrap();
    NamedFile { name: name.to_owned(), bytes: Bytes::from(bytes) }
}

#[test]
fn files_are_known_by_their_content() {
    for (path, container, components) in [
        ("wan/transformer-prefixed-bf16.safetensors", "safetensors", &["transformer"][..]),
        ("wan/umt5-original.safetensors", "safetensors", &["text_encoder"]),
        ("wan/vae.safetensors", "safetensors", &["vae"]),
        ("wan/all-in-one.safetensors", "safetensors", &["transformer", "vae", "text_encoder"]),
        ("gguf/legacy.gguf", "GGUF", &["transformer"]),
        ("gguf/umt5.gguf", "GGUF", &["text_encoder"]),
        ("lora/kohya.safetensors", "safetensors", &[]),
    ] {
        let contents = FileContents::of(&file(path)).unwrap();
        assert_eq!(contents.container, container, "{path}");
        let found: Vec<&str> = contents.parts.iter().map(|part| part.component).collect();
        assert_eq!(found, components, "{path}");
    }
    let config = |path: &str| FileContents::of(&file(path)).unwrap().parts[0].config.clone();
    let pairs = config("gguf/k-mix.gguf").unwrap();
    for (key, value) in
        [("num_attention_heads", "2"), ("in_channels", "16"), ("num_layers", "2"), ("ffn_dim", "256")]
    {
        assert!(pairs.contains(&(key.to_owned(), value.to_owned())), "{key}: {pairs:?}");
    }
    // Heads of 16 channels are told by nothing.
    assert_eq!(config("wan/transformer.safetensors"), None);
}

#[test]
fn what_is_missing_is_named_with_what_such_files_are_called() {
    let parts: &[(&str, &str)] = &[
        ("transformer", "gguf/q4_k_m.gguf"),
        ("text_encoder", "gguf/umt5.gguf"),
        ("vae", "gguf/vae.safetensors"),
    ];
    for (absent, named) in [("transformer", "wan2.1"), ("text_encoder", "umt5"), ("vae", "Wan2.1_VAE.pth")] {
        let mut assembly = Assembly::new(None);
        for (component, path) in parts.iter().filter(|(component, _)| *component != absent) {
            assembly.add_part(component, &file(path)).unwrap();
        }
        refused(assembly.finish(), &[&format!("`{absent}`"), named]);
    }
    let mut assembly = Assembly::new(None);
    for path in ["gguf/q4_k_m.gguf", "wan/umt5-original.safetensors", "gguf/vae.safetensors"] {
        assembly.add(&file(path)).unwrap();
    }
    // The head size of this encoder is told by nothing, and it has no tokenizer.
    refused(assembly.finish(), &["umt5-original.safetensors", "text_encoder/config.json"]);
    refused(Assembly::new(None).finish(), &["`transformer`"]);
}

#[test]
fn a_file_of_another_part_is_named() {
    refused(
        over_wan().add_part("transformer", &file("wan/vae.safetensors")),
        &["vae.safetensors", "`transformer`", "autoencoder"],
    );
    refused(
        over_wan().add_part("text_encoder", &file("wan/transformer.safetensors")),
        &["transformer.safetensors", "`text_encoder`", "Wan transformer"],
    );
    refused(over_wan().add(&file("lora/kohya.safetensors")), &["kohya.safetensors", "a LoRA"]);
    let vace = written(
        "vace.safetensors",
        &[
            ("head.modulation", &[1, 2, 48], Dtype::F32, vec![0; 384]),
            ("patch_embedding.weight", &[48, 6, 1, 2, 2], Dtype::F32, vec![0; 4608]),
            ("vace_patch_embedding.weight", &[1], Dtype::F32, vec![0; 4]),
        ],
        None,
    );
    refused(over_wan().add(&vace), &["vace.safetensors", "Wan VACE", "vace_patch_embedding.weight"]);
}

#[test]
fn scaled_float8_is_checked() {
    const WEIGHT: &str = "blocks.0.self_attn.q.weight";
    let with = |extra: &[(&str, &[usize], Dtype, Vec<u8>)], metadata| {
        let mut tensors: Vec<(&str, &[usize], Dtype, Vec<u8>)> = vec![
            (WEIGHT, &[4, 8], Dtype::F8_E4M3, vec![0x38; 32]),
            ("head.modulation", &[1, 2, 48], Dtype::F32, vec![0; 384]),
            ("patch_embedding.weight", &[48, 6, 1, 2, 2], Dtype::F32, vec![0; 4608]),
        ];
        tensors.extend(extra.iter().cloned());
        over_wan().add(&written("f8.safetensors", &tensors, metadata))
    };
    let scale = |name: &'static str, shape: &'static [usize], value: f32| {
        (name, shape, Dtype::F32, value.to_le_bytes().repeat(shape.iter().product()))
    };
    const SCALE: &str = "blocks.0.self_attn.q.weight_scale";
    with(&[], None).unwrap();
    with(&[scale(SCALE, &[4, 1], 0.5)], None).unwrap();
    refused(with(&[scale(SCALE, &[3], 0.5)], None), &["f8.safetensors", SCALE, "3 values", "4"]);
    refused(with(&[scale(SCALE, &[1], f32::NAN)], None), &[SCALE, "NaN"]);
    let marker = ("scaled_fp8", &[0_usize][..], Dtype::F8_E4M3, Vec::new());
    refused(with(&[marker], None), &["f8.safetensors", WEIGHT, "weight_scale"]);
    let mark = |json: &'static str| -> (&'static str, &'static [usize], Dtype, Vec<u8>) {
        let shape: &'static [usize] = Box::leak(Box::new([json.len()]));
        ("blocks.0.self_attn.q.comfy_quant", shape, Dtype::U8, json.as_bytes().to_vec())
    };
    with(&[scale(SCALE, &[1], 0.5), mark(r#"{"format": "float8_e4m3fn"}"#)], None).unwrap();
    refused(with(&[mark(r#"{"format": "float8_e4m3fn"}"#)], None), &[WEIGHT, "weight_scale"]);
    refused(with(&[scale(SCALE, &[1], 0.5), mark(r#"{"format": "nvfp4"}"#)], None), &[WEIGHT, "nvfp4"]);
    refused(with(&[scale(SCALE, &[1], 0.5), mark("{")], None), &["comfy_quant", "JSON"]);
    let table = |json| Some(("_quantization_metadata", json));
    refused(
        with(&[scale(SCALE, &[1], 0.5)], table(r#"{"layers": {"head.head": {"format": "float8_e4m3fn"}}}"#)),
        &["head.head.weight", "not stored so"],
    );
    refused(with(&[], table("[]")), &["f8.safetensors", "_quantization_metadata"]);
}

#[test]
fn loras_that_do_not_fit_are_refused_by_module() {
    const Q: &str = "diffusion_model.blocks.0.self_attn.q";
    let name = |ending: &str| format!("{Q}.{ending}");
    let (down, up) = (name("lora_A.weight"), name("lora_B.weight"));
    let apply = |file: &NamedFile| {
        let mut assembly = over_wan();
        assembly.add_lora(file, 1.0)?;
        assembly.finish()
    };
    apply(&lora(&[(&down, &[4, 48], 1.0), (&up, &[48, 4], 1.0)])).unwrap();
    let module = "`blocks.0.attn1.to_q`";
    for (file, named) in [
        (lora(&[(&down, &[4, 48], 1.0), (&up, &[48, 3], 1.0)]), &[module, "ranks 3 and 4"][..]),
        (lora(&[(&down, &[4, 64], 1.0), (&up, &[64, 4], 1.0)]), &[module, "[64, 64]", "[48, 48]"]),
        (lora(&[(&down, &[4, 48], 1.0)]), &[module, "none that leads up"]),
        (lora(&[(&up, &[48, 4], 1.0)]), &[module, "none that leads down"]),
        (lora(&[(&down, &[4, 48], f32::NAN), (&up, &[48, 4], 1.0)]), &[&down, "NaN"]),
        (
            lora(&[(&down, &[4, 48], 1.0), (&up, &[48, 4], 1.0), (&name("alpha"), &[], f32::INFINITY)]),
            &["alpha", "inf"],
        ),
        (lora(&[(&name("diff_b"), &[47], 1.0)]), &[module, "[47]", "[48]"]),
        (lora(&[(&name("lokr_w1"), &[4, 4], 1.0)]), &["lokr_w1"]),
        (
            lora(&[(&down, &[4, 48], 1.0), (&up, &[48, 4], 1.0), (&name("dora_scale"), &[48], 1.0)]),
            &["dora_scale"],
        ),
        (lora(&[("other.module.lora_A.weight", &[4, 48], 1.0)]), &["changes nothing", "other.module"]),
    ] {
        refused(apply(&file), &[&["lora.safetensors"], named].concat());
    }
    refused(
        apply(&file("wan/transformer.safetensors")),
        &["transformer.safetensors", "no LoRA", "Wan transformer"],
    );
}

#[test]
fn keys_that_are_not_used_are_told() {
    const Q: &str = "diffusion_model.blocks.0.self_attn.q";
    let (down, up) = (format!("{Q}.lora_A.weight"), format!("{Q}.lora_B.weight"));
    let of_pictures = "diffusion_model.blocks.0.cross_attn.k_img";
    let (picture_down, picture_up) =
        (format!("{of_pictures}.lora_A.weight"), format!("{of_pictures}.lora_B.weight"));
    let file = lora(&[
        (&down, &[4, 48], 1.0),
        (&up, &[48, 4], 1.0),
        (&picture_down, &[4, 48], 1.0),
        (&picture_up, &[48, 4], 1.0),
        ("diffusion_model.blocks.99.ffn.0.lora_A.weight", &[4, 48], 1.0),
        ("strange", &[1], 1.0),
    ]);
    let mut assembly = over_wan();
    assembly.add_lora(&file, 1.0).unwrap();
    let notices = assembly.finish().unwrap().notices().join("\n");
    for text in [
        "2 keys are of modules that read pictures",
        "2 keys fit nothing",
        "blocks.99",
        "1 tensors are changed",
    ] {
        assert!(notices.contains(text), "{notices}");
    }
}

/// The file at `path` as a GGUF file, put where it was before.
fn converted(path: &str, format: Format) -> NamedFile {
    let conversion = Conversion::of_file(&file(path), None, format).unwrap();
    let mut out = Vec::new();
    let mut seen = 0;
    let values = conversion.values();
    conversion.write("out.gguf".as_ref(), &mut out, |values| seen += values as u64).unwrap();
    assert_eq!(seen, values, "progress");
    NamedFile { name: "out.gguf".to_owned(), bytes: Bytes::from(out) }
}

fn weights(file: &NamedFile, component: &str) -> Checkpoint {
    let mut assembly = Assembly::new(Some(ModelFolder::open(format!("{FORMATS}/gguf/skeleton")).unwrap()));
    assembly.add_part(component, file).unwrap();
    Checkpoint::open(&assembly.finish().unwrap(), component).unwrap()
}

#[test]
fn what_is_converted_loads_again() {
    for (component, path) in [("transformer", "gguf/q4_k_m.gguf"), ("text_encoder", "gguf/umt5.gguf")] {
        let before = weights(&file(path), component);
        for (format, allowed) in [
            (Format::F32, 0.0),
            (Format::F16, 1e-3),
            (Format::Q8_0, 1e-2),
            (Format::Q4K, 1.2e-1),
            (Format::Iq4Nl, 1.2e-1),
        ] {
            let out = converted(path, format);
            let after = weights(&out, component);
            let names: Vec<&str> = before.names().collect();
            assert_eq!(after.names().collect::<Vec<_>>(), names, "{path} as {format}");
            for name in names {
                let shape = before.shape(name).unwrap();
                let (wanted, got) = (
                    before.tensor(name).unwrap().to_f32(),
                    after.tensor_shaped(name, shape).unwrap().to_f32(),
                );
                let square =
                    |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
                let error = square(&mut wanted.iter().zip(&got).map(|(a, b)| a - b));
                let distance = (error / square(&mut wanted.iter().copied())).sqrt();
                assert!(distance <= allowed, "{path} as {format}: `{name}` is {distance:.1e} off");
            }
            if format.is_grouped() {
                assert!(after.formats().contains_key(&format), "{path} as {format}: {:?}", after.formats());
            }
        }
    }
}

#[test]
fn a_converted_text_encoder_brings_its_tokenizer() {
    let encode = |text_encoder: &NamedFile| {
        let mut assembly = Assembly::new(None);
        for (component, path) in [("transformer", "gguf/q4_k_m.gguf"), ("vae", "gguf/vae.safetensors")] {
            assembly.add_part(component, &file(path)).unwrap();
        }
        assembly.add_part("text_encoder", text_encoder).unwrap();
        let tokenizer = Tokenizer::open(&assembly.finish().unwrap(), "tokenizer").unwrap();
        ["A grey cat jumps onto a stack of hay.", "  Overexposed, washed-out … colours ", "日本 é"]
            .map(|text| tokenizer.encode(text, 512).unwrap().ids)
    };
    // From a folder, whose sentencepiece model becomes metadata.
    let folder = ModelFolder::open(WAN).unwrap();
    let conversion = Conversion::of_folder(&folder, "text_encoder", Format::Q8_0).unwrap();
    assert!(conversion.notices().is_empty(), "{:?}", conversion.notices());
    let reference =
        Tokenizer::open(&ModelFolder::open(format!("{FORMATS}/gguf/skeleton")).unwrap(), "tokenizer")
            .unwrap();
    let wanted = ["A grey cat jumps onto a stack of hay.", "  Overexposed, washed-out … colours ", "日本 é"]
        .map(|text| reference.encode(text, 512).unwrap().ids);
    assert_eq!(encode(&file("gguf/umt5.gguf")), wanted);
    assert_eq!(encode(&converted("gguf/umt5.gguf", Format::Q8_0)), wanted);
}

#[test]
fn one_of_several_parts_is_asked_for() {
    let whole = file("wan/all-in-one.safetensors");
    refused(Conversion::of_file(&whole, None, Format::F16), &["all-in-one", "several parts"]);
    let conversion = Conversion::of_file(&whole, Some("transformer"), Format::F16).unwrap();
    assert!(conversion.tensors().any(|tensor| tensor.name == "head.modulation"));
    refused(Conversion::of_file(&file("lora/kohya.safetensors"), None, Format::F16), &["kohya", "a LoRA"]);
}
