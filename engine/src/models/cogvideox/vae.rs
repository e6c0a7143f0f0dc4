//! `AutoencoderKLCogVideoX`: causal in time, but its norms see all frames of a chunk, so that chunks are part of the model.
mod decoder;
mod encoder;
mod stage;

pub use decoder::CogVideoXVaeDecoder;
pub use encoder::CogVideoXVaeEncoder;

/// Channels of a picture.
const RGB: usize = 3;
/// Latent frames of a chunk.
const LATENT_FRAMES: usize = 2;
/// Frames of a chunk that is encoded.
const FRAMES: usize = 8;

/// The lengths of the chunks of so many frames: the first takes what the others leave.
fn chunk_lengths(frames: usize, chunk: usize) -> Vec<usize> {
    let count = (frames / chunk).max(1);
    let mut lengths = vec![chunk; count];
    lengths[0] = frames - (count - 1) * chunk;
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_chunk_takes_the_remainder() {
        let lengths = |frames| chunk_lengths(frames, LATENT_FRAMES);
        assert_eq!(lengths(1), [1]);
        assert_eq!(lengths(2), [2]);
        assert_eq!(lengths(3), [3]);
        assert_eq!(lengths(13), [3, 2, 2, 2, 2, 2]);
        assert_eq!(lengths(6), [2, 2, 2]);
        assert_eq!(chunk_lengths(49, FRAMES), [9, 8, 8, 8, 8, 8]);
        assert_eq!(chunk_lengths(5, FRAMES), [5]);
    }
}
