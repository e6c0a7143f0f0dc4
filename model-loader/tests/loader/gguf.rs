//! GGUF files: every type bit for bit, and damaged headers, which are refused by name.

use kinora_model_loader::{Assembly, Bytes, Checkpoint, Format, LoadError, NamedFile};
use proptest::prelude::*;

use crate::refused;

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/formats/zoo");

fn zoo(name: &str) -> Checkpoint {
    Checkpoint::open_file(format!("{ZOO}/{name}")).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_type_is_widened_bit_for_bit() {
    let (stored, golden) = (zoo("zoo.gguf"), zoo("zoo.golden.safetensors"));
    let names: Vec<&str> = stored.names().collect();
    assert_eq!(names.len(), 13);
    for name in names {
        let (tensor, wanted) = (stored.tensor(name).unwrap(), golden.tensor(name).unwrap());
        assert_eq!(tensor.shape, wanted.shape, "{name}");
        assert!(name.ends_with(&tensor.format.name().to_lowercase()), "{name} is {}", tensor.format);
        assert_eq!(bits(&tensor.to_f32()), bits(&wanted.to_f32()), "{name}");
    }
}

#[test]
fn every_float8_code_is_widened_bit_for_bit() {
    let (stored, golden) = (zoo("fp8.safetensors"), zoo("fp8.golden.safetensors"));
    let mut compared = 0;
    for name in stored.names() {
        let (got, wanted) = (stored.tensor(name).unwrap().to_f32(), golden.tensor(name).unwrap().to_f32());
        for (got, wanted) in got.iter().zip(&wanted) {
            assert!(
                got.to_bits() == wanted.to_bits() || got.is_nan() && wanted.is_nan(),
                "{name}: {got} {wanted}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 512);
}

/// A file under construction.
struct Builder {
    version: u32,
    alignment: usize,
    keys: Vec<Vec<u8>>,
    infos: Vec<Vec<u8>>,
    data: usize,
    counts: Option<[u64; 2]>,
}

impl Builder {
    fn new() -> Self {
        Self { version: 3, alignment: 32, keys: Vec::new(), infos: Vec::new(), data: 64, counts: None }
    }

    fn key(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.keys.push([&text(key.as_bytes()), &kind.to_le_bytes()[..], value].concat());
        self
    }

    fn tensor(self, name: &[u8], dims: &[u64], kind: u32, offset: u64) -> Self {
        let count = u32::try_from(dims.len()).unwrap();
        self.tensor_of(name, count, dims, kind, offset)
    }

    fn tensor_of(mut self, name: &[u8], count: u32, dims: &[u64], kind: u32, offset: u64) -> Self {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        let info = [&text(name)[..], &count.to_le_bytes(), &dims, &kind.to_le_bytes(), &offset.to_le_bytes()];
        self.infos.push(info.concat());
        self
    }

    fn build(self) -> Vec<u8> {
        let [tensors, keys] = self.counts.unwrap_or([self.infos.len() as u64, self.keys.len() as u64]);
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend(tensors.to_le_bytes());
        file.extend(keys.to_le_bytes());
        file.extend(self.keys.concat());
        file.extend(self.infos.concat());
        file.resize(file.len().next_multiple_of(self.alignment) + self.data, 0);
        file
    }

    fn open(self) -> Result<Checkpoint, LoadError> {
        open(self.build())
    }
}

fn open(bytes: Vec<u8>) -> Result<Checkpoint, LoadError> {
    Checkpoint::from_bytes("a.gguf", Bytes::from(bytes))
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

#[test]
fn order_and_alignment_are_free() {
    let file = Builder { alignment: 8, ..Builder::new() }
        .key("general.alignment", 4, &8_u32.to_le_bytes())
        .tensor(b"second", &[4, 2], 0, 32)
        .tensor(b"first", &[2], 0, 0)
        .open()
        .unwrap();
    assert_eq!(file.shape("second"), Some(&[2, 4][..]));
    assert_eq!(file.shape("first"), Some(&[2][..]));
    assert_eq!(file.tensor("second").unwrap().format, Format::F32);
}

#[test]
fn damaged_headers_are_refused_by_name() {
    let one = || Builder::new().tensor(b"t", &[8], 0, 0);
    one().open().unwrap();
    for (file, named) in [
        (Builder { version: 1, ..one() }.build(), &["version 1"][..]),
        (Builder { version: 4, ..one() }.build(), &["version 4"]),
        (Builder { version: 3_u32.swap_bytes(), ..one() }.build(), &["byte order"]),
        (Builder { counts: Some([u64::MAX, 0]), ..one() }.build(), &["tensors", "18446744073709551615"]),
        (Builder { counts: Some([1, 1 << 60]), ..one() }.build(), &["metadata keys"]),
        (Builder::new().tensor_of(b"t", u32::MAX, &[1], 0, 0).build(), &["`t`", "4294967295 extents"]),
        (Builder::new().tensor(b"t", &[u64::MAX, 3], 0, 0).build(), &["`t`", "larger than any memory"]),
        (Builder::new().tensor(b"t", &[0, 3], 0, 0).build(), &["`t`", "[3, 0]", "0"]),
        (Builder::new().tensor(b"t", &[33], 8, 0).build(), &["`t`", "33", "32", "Q8_0"]),
        (Builder::new().tensor(b"t", &[8], 16, 0).build(), &["`t`", "16", "IQ2_XXS"]),
        (Builder::new().tensor(b"t", &[8], 4, 0).build(), &["`t`", "Q4_2", "removed"]),
        (Builder::new().tensor(b"t", &[8], 99, 0).build(), &["`t`", "99", "unknown"]),
        (Builder::new().tensor(b"t", &[8], 0, 4).build(), &["`t`", "offset is 4", "32"]),
        (Builder::new().tensor(b"t", &[8], 0, 64).build(), &["`t`", "32 bytes begin 64"]),
        (Builder::new().tensor(b"t", &[8], 0, u64::MAX - 31).build(), &["`t`"]),
        (one().tensor(b"u", &[8], 0, 0).build(), &["`t`", "`u`", "overlap"]),
        (one().tensor(b"t", &[8], 0, 32).build(), &["`t`", "twice"]),
        (Builder::new().tensor(b"\xFFt", &[8], 0, 0).build(), &["UTF-8"]),
        (one().key("general.alignment", 4, &0_u32.to_le_bytes()).build(), &["general.alignment", "0"]),
        (one().key("general.alignment", 8, &text(b"x")).build(), &["general.alignment", "`x`"]),
        (one().key("k", 4, &[0; 4]).key("k", 4, &[0; 4]).build(), &["`k`", "twice"]),
        (one().key("k", 77, &[]).build(), &["`k`", "77"]),
        (one().key("k", 8, &u64::MAX.to_le_bytes()).build(), &["`k`", "18446744073709551615"]),
        (one().key("k", 9, &[&0_u32.to_le_bytes()[..], &[255; 8]].concat()).build(), &["`k`", "items"]),
        (one().key("k", 9, &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(50)).build(), &["`k`", "deep"]),
        (
            one()
                .key(
                    "comfy.gguf.orig_shape.t",
                    9,
                    &[&5_u32.to_le_bytes()[..], &1_u64.to_le_bytes(), &[9, 0, 0, 0]].concat(),
                )
                .build(),
            &["`t`", "orig_shape", "[9]"],
        ),
    ] {
        refused(open(file), &[&["a.gguf"], named].concat());
    }
    refused(open(b"GGU".to_vec()), &["a.gguf"]);
    let cut = one().build();
    let last = cut.len() - 33;
    refused(open(cut[..last].to_vec()), &["`t`"]);
}

#[test]
fn a_foreign_architecture_is_named() {
    let file =
        Builder::new().tensor(b"t", &[8], 0, 0).key("general.architecture", 8, &text(b"llama")).build();
    let file = NamedFile { name: "llama.gguf".to_owned(), bytes: Bytes::from(file) };
    refused(Assembly::new(None).add(&file), &["llama.gguf", "general.architecture", "`llama`"]);
}

#[test]
fn no_truncation_is_taken_for_a_whole_file() {
    let whole = std::fs::read(format!("{ZOO}/zoo.gguf")).unwrap();
    for len in (0..whole.len()).step_by(7) {
        assert!(open(whole[..len].to_vec()).is_err(), "{len} of {}", whole.len());
    }
}

proptest! {
    #[test]
    fn flipped_bytes_are_refused_or_read(at in 0_usize..1500, to in any::<u8>()) {
        let mut file = std::fs::read(format!("{ZOO}/zoo.gguf")).unwrap();
        let at = at.min(file.len() - 1);
        file[at] = to;
        if let Ok(checkpoint) = open(file) {
            for name in checkpoint.names() {
                if let Ok(tensor) = checkpoint.tensor(name) {
                    prop_assert_eq!(tensor.to_f32().len(), tensor.elements());
                }
            }
        }
    }
}
