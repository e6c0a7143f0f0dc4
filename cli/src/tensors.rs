//! Tensors in and out: `--initial-latents` and `--dump`, both in safetensors files.

use crate::error::{Failure, Result};
use crate::files::staging::{Committed, Existing, StagedFile};
use engine::pipeline::{RecordedNoise, TensorData};
use model_loader::Checkpoint;
use safetensors::tensor::{Dtype, TensorView};
use std::io::Write;
use std::path::Path;

/// The tensor that `--initial-latents` takes.
const INITIAL_LATENTS: &str = "latents.init";
/// The tensor that the picture's latents are sampled with.
const IMAGE_NOISE: &str = "img.noise";

/// Reads the latents to start from. Their number has to fit the video, which the engine checks.
pub(crate) fn initial_latents(path: &Path) -> Result<Vec<f32>> {
    let checkpoint = Checkpoint::open_file(path).map_err(crate::model::failure)?;
    finite(&checkpoint, INITIAL_LATENTS, path)
}

/// Reads the noise of the picture and of the steps, as far as the file has it.
pub(crate) fn recorded_noise(path: &Path) -> Result<RecordedNoise> {
    let checkpoint = Checkpoint::open_file(path).map_err(crate::model::failure)?;
    let has = |name: &str| checkpoint.tensor(name).is_ok();
    let steps = (0..).map(|step| format!("sched.step{step}.noise")).take_while(|name| has(name));
    Ok(RecordedNoise {
        image: has(IMAGE_NOISE).then(|| finite(&checkpoint, IMAGE_NOISE, path)).transpose()?,
        steps: steps.map(|name| finite(&checkpoint, &name, path)).collect::<Result<_>>()?,
    })
}

fn finite(checkpoint: &Checkpoint, name: &str, path: &Path) -> Result<Vec<f32>> {
    let tensor = checkpoint.tensor(name).map_err(crate::model::failure)?;
    let values = tensor.to_f32();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(index) => {
            let path = path.display();
            Err(Failure::user(format!("`{name}` in `{path}` is not finite at element {index}")))
        }
    }
}

fn dtype(values: &TensorData) -> Dtype {
    match values {
        TensorData::F32(_) => Dtype::F32,
        TensorData::I64(_) => Dtype::I64,
        TensorData::U8(_) => Dtype::U8,
    }
}

fn bytes(values: &TensorData) -> Vec<u8> {
    match values {
        TensorData::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        TensorData::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        TensorData::U8(values) => values.clone(),
    }
}

/// Tensors on their way into a file.
#[derive(Debug)]
pub(crate) struct Dump {
    staged: StagedFile,
    tensors: Vec<(String, Vec<usize>, Dtype, Vec<u8>)>,
}

impl Dump {
    /// Opens the file early, so that a wrong path costs no time.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self { staged: StagedFile::create(path, Existing::Replace)?, tensors: Vec::new() })
    }

    /// Keeps a tensor; a later one of the same name replaces it.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize], values: &TensorData) {
        self.tensors.retain(|(known, ..)| known != name);
        self.tensors.push((name.to_owned(), shape.to_vec(), dtype(values), bytes(values)));
    }

    /// Writes the file.
    pub(crate) fn finish(self) -> Result<Committed> {
        let failure = |error: safetensors::SafeTensorError| {
            Failure::system(format!("cannot write `{}`: {error}", self.staged.target().display()))
        };
        let views: Vec<(&str, TensorView<'_>)> = self
            .tensors
            .iter()
            .map(|(name, shape, dtype, bytes)| {
                Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<_, _>>()
            .map_err(failure)?;
        let file = safetensors::serialize(views, None).map_err(failure)?;
        self.staged.file().write_all(&file).map_err(|e| self.staged.failure(&e))?;
        self.staged.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dumped_can_be_started_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut dump = Dump::create(&path).unwrap();
        dump.add("latents.init", &[1, 2, 1, 1, 2], &TensorData::F32(vec![9.0; 4]));
        dump.add("latents.init", &[1, 2, 1, 1, 2], &TensorData::F32(vec![1.0, -2.5, 3.0, 0.0]));
        dump.add("text.cond.input_ids", &[3], &TensorData::I64(vec![5, 1, 0]));
        dump.add("video.u8", &[1, 1, 1, 3], &TensorData::U8(vec![0, 128, 255]));
        dump.finish().unwrap();
        assert_eq!(initial_latents(&path).unwrap(), vec![1.0, -2.5, 3.0, 0.0]);
        let bytes = std::fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("video.u8").unwrap().data(), [0, 128, 255]);
        assert_eq!(file.tensor("text.cond.input_ids").unwrap().dtype(), Dtype::I64);
    }

    #[test]
    fn latents_that_are_missing_or_broken_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        assert!(initial_latents(&path).unwrap_err().to_string().contains("a.safetensors"));
        let mut dump = Dump::create(&path).unwrap();
        dump.add("other", &[1], &TensorData::F32(vec![0.0]));
        dump.finish().unwrap();
        assert!(initial_latents(&path).unwrap_err().to_string().contains("latents.init"));
        let mut dump = Dump::create(&path).unwrap();
        dump.add("latents.init", &[2], &TensorData::F32(vec![0.0, f32::NAN]));
        dump.finish().unwrap();
        assert!(initial_latents(&path).unwrap_err().to_string().ends_with("is not finite at element 1"));
    }

    #[test]
    fn a_dump_that_is_not_finished_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        drop(Dump::create(&path).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
