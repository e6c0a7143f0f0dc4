//! What the fuzz targets share.

use kinora_model_loader::{Bytes, Checkpoint, LoadError, NamedFile};
use std::fmt::Write as _;

/// Opens a file of weights and reads all that it claims to hold.
pub fn read_weights(bytes: &[u8]) {
    match Checkpoint::from_bytes("fuzz", Bytes::from(bytes.to_vec())) {
        Ok(checkpoint) => read_all(&checkpoint),
        Err(error) => told(&error),
    }
}

/// Reads every tensor.
pub fn read_all(checkpoint: &Checkpoint) {
    for name in checkpoint.names() {
        match checkpoint.tensor(name) {
            Ok(tensor) => assert_eq!(tensor.to_f32().len(), tensor.elements()),
            Err(error) => told(&error),
        }
    }
    let _ = checkpoint.first_non_finite();
}

/// What every message owes its reader.
pub fn told(error: &LoadError) {
    let (message, hint) = (error.to_string(), error.hint().unwrap_or_default());
    assert!(!message.is_empty() && message.len() < 100_000, "{} bytes of message", message.len());
    assert!(!hint.is_empty() && !hint.ends_with('.'), "{hint}");
}

/// An archive as `torch.save` writes it, around a pickle and one storage of 64 bytes.
pub fn archive(pickle: &[u8]) -> Vec<u8> {
    let storage: Vec<u8> = (0..64).collect();
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in [("a/data.pkl", pickle), ("a/data/0", &storage)] {
        let numbers = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        let at = file.len();
        file.extend(b"PK\x03\x04");
        file.extend([0; 22]);
        file.extend(&numbers(name.len())[..2]);
        file.extend([0; 2]);
        file.extend(name.as_bytes());
        file.extend(content);
        directory.extend(b"PK\x01\x02");
        directory.extend([0; 16]);
        directory.extend(numbers(content.len()).repeat(2));
        directory.extend(&numbers(name.len())[..2]);
        directory.extend([0; 12]);
        directory.extend(numbers(at));
        directory.extend(name.as_bytes());
    }
    let numbers =
        [directory.len(), file.len()].map(|number| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0\x02\0\x02\0");
    file.extend(numbers.concat());
    file.extend([0; 2]);
    file
}

/// A sound file of zeros with the tensors that a text lists, one in a line: name, dtype, extents. Lines that say nothing of the kind, and
/// tensors that are too large for a trial, are left out.
pub fn file_of(text: &[u8]) -> NamedFile {
    const LARGEST: usize = 1 << 16;
    let mut header = String::from("{");
    let mut end = 0;
    for line in String::from_utf8_lossy(text).lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(dtype)) = (words.next(), words.next()) else { continue };
        let Some((dtype, size)) = dtype_of(dtype) else { continue };
        let shape: Vec<usize> = words.filter_map(|word| word.parse().ok()).collect();
        let elements = shape.iter().try_fold(size, |product: usize, extent| product.checked_mul(*extent));
        let Some(bytes) = elements.filter(|bytes| end + bytes <= LARGEST) else { continue };
        let name: String = name.chars().filter(|c| !c.is_control() && !"\"\\".contains(*c)).collect();
        let comma = if header.len() > 1 { "," } else { "" };
        // Writing into a string cannot fail.
        let _ = write!(
            header,
            r#"{comma}"{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{end},{}]}}"#,
            end + bytes
        );
        end += bytes;
    }
    header.push('}');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + end, 0);
    NamedFile { name: "fuzz.safetensors".to_owned(), bytes: Bytes::from(file) }
}

fn dtype_of(word: &str) -> Option<(&'static str, usize)> {
    let known = [
        ("F32", 4),
        ("F16", 2),
        ("BF16", 2),
        ("F8_E4M3", 1),
        ("F8_E5M2", 1),
        ("I64", 8),
        ("U8", 1),
        ("I32", 4),
    ];
    known.into_iter().find(|(name, _)| *name == word)
}
