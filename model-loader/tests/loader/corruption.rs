//! Weights that are cut short, that lie, or that are noise: an error that names the thing, never a panic.

use kinora_model_loader::{Bytes, Checkpoint, LoadError};
use proptest::prelude::*;
use safetensors::SafeTensors;

use crate::{Copy, refused};

fn open(bytes: impl Into<Bytes>) -> Result<Checkpoint, LoadError> {
    Checkpoint::from_bytes("f.safetensors", bytes.into())
}

/// A file of the given header and as many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn entry(name: &str, dtype: &str, shape: &str, start: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole =
        file(&format!("{{{},{}}}", entry("a", "F32", "[2,2]", 0, 16), entry("b", "BF16", "[3]", 16, 22)), 22);
    assert!(open(whole.clone()).is_ok());
    for cut in 0..whole.len() {
        refused(open(whole[..cut].to_vec()), &["f.safetensors"]);
    }
    let path = "vae/diffusion_pytorch_model.safetensors";
    let whole = Copy::wan().0[path].clone();
    for cut in (0..whole.len()).step_by(3989).chain([7, 8, 9, whole.len() - 1]) {
        let folder = Copy::wan().with(path, &whole[..cut]).open();
        refused(Checkpoint::open(&folder, "vae"), &[path]);
    }
    let mut longer = whole;
    longer.push(0);
    refused(open(longer), &["f.safetensors", "accounts for"]);
}

#[test]
fn the_header_length_may_lie() {
    let header = format!("{{{}}}", entry("a", "F32", "[1]", 0, 4));
    let whole = file(&header, 4);
    let length = header.len() as u64;
    for lie in
        [0, 1, length - 1, length + 1, length + 4, length + 5, 99_999_999, 100_000_001, 1 << 40, u64::MAX]
    {
        let mut bytes = whole.clone();
        bytes[..8].copy_from_slice(&lie.to_le_bytes());
        refused(open(bytes), &["f.safetensors"]);
    }
    refused(open(file("", 0)), &["f.safetensors"]);
    assert!(open(file("{}", 0)).unwrap().names().next().is_none());
    assert!(open(file("{}   ", 0)).is_ok(), "writers pad headers with blanks");
}

#[test]
fn entries_may_lie() {
    let (max, huge) = (u64::MAX, "[18446744073709551615,2]");
    for (entries, data, things) in [
        (entry("a", "F32", "[1]", 0, 8), 4, &["`a`", "0..8", "the file has 4"][..]),
        (entry("a", "F32", "[1]", 4, 8), 4, &["`a`", "4..8"]),
        (entry("a", "F32", "[1]", max - 4, max), 4, &["`a`"]),
        (entry("a", "F32", "[1]", 4, 0), 4, &["`a`", "before they start"]),
        (entry("a", "F32", "[2]", 0, 4), 4, &["`a`", "takes 8 bytes", "gives it 4"]),
        (entry("a", "F32", "[]", 0, 8), 8, &["`a`", "takes 4 bytes"]),
        (entry("a", "BF16", "[2]", 0, 8), 8, &["`a`", "takes 4 bytes"]),
        (entry("a", "F32", "[0]", 0, 4), 4, &["`a`", "takes 0 bytes"]),
        (entry("a", "F32", huge, 0, 4), 4, &["`a`", "larger than any memory"]),
        (entry("a", "F32", "[4611686018427387904]", 0, 4), 4, &["`a`", "larger than any memory"]),
        (entry("a", "U8", "[18446744073709551615]", 0, 4), 4, &["`a`"]),
        (entry("a", "F32", "[1]", 0, 4), 8, &["8 bytes of data", "accounts for 4"]),
        (entry("a", "F32", "[-1]", 0, 4), 4, &["`a`"]),
        (entry("a", "F32", "[1.5]", 0, 4), 4, &["`a`"]),
        (entry("a", "F32", "4", 0, 4), 4, &["`a`"]),
        (r#""a":7"#.to_owned(), 4, &["`a`"]),
        (r#""a":{"shape":[1],"data_offsets":[0,4]}"#.to_owned(), 4, &["`a`", "dtype"]),
        (r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0]}"#.to_owned(), 4, &["`a`"]),
        (r#""a":{"dtype":"F32","shape":[1],"data_offsets":[-1,4]}"#.to_owned(), 4, &["`a`"]),
        (
            format!("{},{}", entry("a", "F32", "[1]", 0, 4), entry("b", "F32", "[1]", 2, 6)),
            6,
            &["`b`", "overlap"],
        ),
        (
            format!("{},{}", entry("a", "F32", "[1]", 0, 4), entry("b", "F32", "[1]", 8, 12)),
            12,
            &["`b`", "hole"],
        ),
        (
            format!("{},{}", entry("a", "F32", "[1]", 0, 4), entry("a", "F32", "[1]", 4, 8)),
            8,
            &["`a`", "twice"],
        ),
        (
            format!("{},{}", entry("a", "F32", "[0]", 0, 0), entry("a", "F32", "[0]", 0, 0)),
            0,
            &["`a`", "twice"],
        ),
    ] {
        let things = [&["f.safetensors"], things].concat();
        refused(open(file(&format!("{{{entries}}}"), data)), &things);
    }
}

#[test]
fn headers_that_are_no_headers_are_refused() {
    for header in ["[]", "null", "7", "\"a\"", "{", "{}}", "{\"a\"}", "\u{FEFF}{}"] {
        refused(open(file(header, 0)), &["f.safetensors", "header"]);
    }
    refused(open(file(&"[".repeat(200_000), 0)), &["f.safetensors"]);
    refused(open(file(&r#"{"a":"#.repeat(100_000), 0)), &["f.safetensors"]);
    let mut not_text = file("{\"abc\":1}", 0);
    not_text[11] = 0xFF;
    refused(open(not_text), &["f.safetensors"]);
    let metadata = format!(r#"{{"__metadata__":{{"format":"pt"}},{}}}"#, entry("a", "F32", "[1]", 0, 4));
    assert_eq!(open(file(&metadata, 4)).unwrap().names().collect::<Vec<_>>(), ["a"]);
}

/// What is accepted has tensors that can all be read, and the reference implementation accepts it too.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(checkpoint) = open(bytes.to_vec()) else { return Ok(()) };
    let reference = SafeTensors::deserialize(bytes);
    let mut known = true;
    for name in checkpoint.names() {
        match checkpoint.tensor(name) {
            Ok(tensor) => {
                prop_assert_eq!(tensor.elements(), tensor.shape.iter().product::<usize>());
                prop_assert_eq!(tensor.to_f32().len(), tensor.elements());
                if let Ok(reference) = &reference {
                    prop_assert_eq!(&*tensor.bytes, reference.tensor(name).unwrap().data());
                }
            }
            Err(LoadError::UnsupportedFormat { .. }) => known = false,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
    // Metadata that is not of strings is of no interest here; the reference refuses it.
    let metadata = bytes.windows(12).any(|window| window == b"__metadata__");
    prop_assert!(reference.is_ok() || !known || metadata, "{:?}", reference.err());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn flipped_header_bytes_never_panic(flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let header = format!(
            r#"{{"__metadata__":{{"format":"pt"}},{},{},{}}}"#,
            entry("weight", "F32", "[2,2]", 0, 16),
            entry("bias", "BF16", "[3]", 16, 22),
            entry("scale", "F16", "[]", 22, 24),
        );
        let mut bytes = file(&header, 24);
        let end = bytes.len() - 24;
        for (at, value) in flips {
            bytes[at % end] = value;
        }
        check(&bytes)?;
    }

    #[test]
    fn digits_and_names_in_headers_never_panic(
        shape in proptest::collection::vec(any::<u64>(), 0..4),
        small in proptest::collection::vec(0u64..4, 0..3),
        offsets in prop_oneof![any::<[u64; 2]>(), (0u64..20, 0u64..20).prop_map(|(a, b)| [a, b])],
        dtype in prop_oneof!["F32|F16|BF16|F64|I8|F4|F8_E4M3|F6_E2M3|BOOL", "[A-Z0-9_]{0,6}"],
    ) {
        for shape in [shape, small] {
            let header = format!("{{{}}}", entry("a", &dtype, &format!("{shape:?}"), offsets[0], offsets[1]));
            check(&file(&header, usize::try_from(offsets[1]).map_or(0, |end| end.min(20))))?;
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes)?;
    }
}

#[test]
fn flipped_bytes_of_a_real_file_never_panic() {
    let whole = Copy::wan().0["vae/diffusion_pytorch_model.safetensors"].clone();
    let header = usize::try_from(u64::from_le_bytes(whole[..8].try_into().unwrap())).unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next() % 3 {
            let at = next() % (8 + header);
            bytes[at] ^= 1 << (next() % 8);
        }
        if let Ok(checkpoint) = open(bytes) {
            for name in checkpoint.names() {
                let _ = checkpoint.tensor(name);
            }
        }
    }
}
