//! What the fuzz targets share.

use kinora_model_loader::{Bytes, Checkpoint, LoadError};

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
