//! Numbers recorded from diffusers: `golden.safetensors` with `golden.json` beside it.
use engine::{
    Frame,
    pipeline::{RecordedNoise, Request, TensorData},
};
use model_loader::ModelFolder;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

/// A tensor with its extents.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub data: TensorData,
}

impl Recorded {
    /// Floats `[T, H, W, C]` as the recorder lays them out, `[1, C, T, H, W]`.
    ///
    /// # Panics
    /// If they are no floats of four axes.
    pub fn channels_first(&self) -> Self {
        let &[t, h, w, c] = self.shape.as_slice() else { panic!("a shape of {:?}", self.shape) };
        let TensorData::F32(values) = &self.data else { panic!("no floats") };
        let positions = t * h * w;
        let at = |i: usize| values[i % positions * c + i / positions];
        Self { shape: vec![1, c, t, h, w], data: TensorData::F32((0..values.len()).map(at).collect()) }
    }
}

/// A recorded tensor and what is known about it.
#[derive(Debug, Clone)]
pub struct GoldenTensor {
    /// The tensor.
    pub recorded: Recorded,
    /// `input`, `weight` or `output`.
    pub role: String,
    /// The extents before rows and columns were left out, and every how many-th was kept along each axis.
    pub thinned: Option<(Vec<usize>, Vec<usize>)>,
    /// The lengths of the chunks that were joined along time.
    pub time_chunks: Vec<usize>,
    /// What the recorder says about it.
    pub note: String,
}

/// Where the fixtures are.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// A fixture folder with its recorded tensors.
#[derive(Debug)]
pub struct Golden {
    path: PathBuf,
    about: Value,
    tensors: BTreeMap<String, GoldenTensor>,
}

impl Golden {
    /// The fixture `tests/fixtures/{name}`.
    ///
    /// # Panics
    /// If it is not there or damaged: without it nothing would be tested.
    pub fn open(name: &str) -> Self {
        Self::open_case(name, "")
    }

    /// One of several goldens in the fixture `tests/fixtures/{name}`: that whose files begin with `prefix`.
    ///
    /// # Panics
    /// As [`Golden::open`].
    pub fn open_case(name: &str, prefix: &str) -> Self {
        let path = fixtures().join(name);
        let read = |file: &str| {
            let path = path.join(format!("{prefix}{file}"));
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let about: Value = serde_json::from_slice(&read("golden.json")).expect("golden.json is JSON");
        let bytes = read("golden.safetensors");
        let file = SafeTensors::deserialize(&bytes).expect("golden.safetensors is sound");
        let described = about["tensors"].as_object().expect("golden.json describes tensors");
        assert_eq!(file.len(), described.len(), "{name}: tensors recorded and described");
        let tensors = file
            .tensors()
            .into_iter()
            .map(|(key, view)| {
                let about = &described[&key];
                assert!(!about.is_null(), "{key} is not described");
                let data = data(view.dtype(), view.data());
                let recorded = Recorded { shape: view.shape().to_vec(), data };
                let thinned = about.get("full_shape").map(|full| (sizes(full), sizes(&about["stride"])));
                let text = |name: &str| about[name].as_str().unwrap_or_default().to_owned();
                let time_chunks = about.get("time_chunks").map(sizes).unwrap_or_default();
                let tensor =
                    GoldenTensor { recorded, role: text("role"), thinned, time_chunks, note: text("note") };
                (key, tensor)
            })
            .collect();
        Self { path, about, tensors }
    }

    /// The folder's model.
    ///
    /// # Panics
    /// If the folder cannot be read.
    pub fn model(&self) -> ModelFolder {
        ModelFolder::open(&self.path).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The files of the folder's model by their path inside it.
    ///
    /// # Panics
    /// If the folder cannot be read.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut open = vec![(self.path.clone(), String::new())];
        while let Some((folder, prefix)) = open.pop() {
            for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
                let path = entry.expect("a readable folder").path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if path.is_dir() {
                    open.push((path, format!("{prefix}{name}/")));
                } else if !name.starts_with("golden.") {
                    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                    files.insert(format!("{prefix}{name}"), bytes);
                }
            }
        }
        files
    }

    /// The recorded tensor `key`.
    ///
    /// # Panics
    /// If there is none.
    pub fn tensor(&self, key: &str) -> &GoldenTensor {
        self.tensors.get(key).unwrap_or_else(|| panic!("{} has no `{key}`", self.path.display()))
    }

    /// The values of the float tensor `key`.
    ///
    /// # Panics
    /// If there is none, or it holds no floats.
    pub fn f32(&self, key: &str) -> &[f32] {
        match &self.tensor(key).recorded.data {
            TensorData::F32(values) => values,
            _ => panic!("`{key}` holds no floats"),
        }
    }

    /// The extents of the tensor `key`.
    ///
    /// # Panics
    /// If there is none.
    pub fn shape(&self, key: &str) -> &[usize] {
        &self.tensor(key).recorded.shape
    }

    /// The float tensor `[1, C, T, H, W]` of `key` as `[T, H, W, C]`.
    ///
    /// # Panics
    /// If there is none of this form.
    pub fn channels_last(&self, key: &str) -> ([usize; 4], Vec<f32>) {
        let &[1, c, t, h, w] = self.shape(key) else { panic!("`{key}` is {:?}", self.shape(key)) };
        let (values, positions) = (self.f32(key), t * h * w);
        let at = |i: usize| values[i % c * positions + i / c];
        ([t, h, w, c], (0..values.len()).map(at).collect())
    }

    /// The model with the bytes of one stored tensor changed, and that tensor's name: the first whose file begins with
    /// `folder` and whose name with `part`.
    ///
    /// # Panics
    /// If there is none, or its file is damaged.
    pub fn damaged(&self, folder: &str, part: &str, change: impl FnOnce(&mut [u8])) -> (ModelFolder, String) {
        let mut files = self.files();
        for (path, file) in &mut files {
            if !path.starts_with(folder) || !path.ends_with(".safetensors") {
                continue;
            }
            let (header, metadata) =
                SafeTensors::read_metadata(file).unwrap_or_else(|e| panic!("{path}: {e}"));
            let names = metadata.offset_keys();
            if let Some(name) = names.iter().find(|name| name.starts_with(part)) {
                let (start, end) = metadata.info(name).unwrap_or_else(|| panic!("no `{name}`")).data_offsets;
                change(&mut file[8 + header + start..8 + header + end]);
                return (ModelFolder::in_memory("damaged", files), name.clone());
            }
        }
        panic!("no tensor of `{part}` in `{folder}`");
    }

    /// The outputs whose keys `wanted` accepts.
    pub fn outputs(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<&str, &GoldenTensor> {
        let outputs = self.tensors.iter().filter(|(key, t)| t.role == "output" && wanted(key));
        outputs.map(|(key, tensor)| (key.as_str(), tensor)).collect()
    }

    /// The recorded call, from the recorded noise and picture.
    ///
    /// # Panics
    /// If the fixture records no call, or its picture is damaged.
    pub fn request(&self) -> Request {
        let call = &self.about["call"];
        let text = |key: &str| call[key].as_str().unwrap_or_else(|| panic!("call has no {key}"));
        let number = |key: &str| size(&call[key]);
        let noise = |key: &str| self.tensors.contains_key(key).then(|| self.f32(key).to_vec());
        Request {
            negative_prompt: Some(text("negative_prompt").to_owned()),
            width: Some(number("width")),
            height: Some(number("height")),
            num_frames: Some(number("num_frames")),
            num_inference_steps: Some(number("num_inference_steps")),
            guidance_scale: Some(call["guidance_scale"].as_f64().expect("a guidance scale")),
            dynamic_guidance: call["use_dynamic_cfg"].as_bool(),
            image: self.image(),
            initial_latents: Some(self.f32("latents.init").to_vec()),
            recorded_noise: RecordedNoise {
                image: noise("img.noise"),
                steps: (0..).map_while(|step| noise(&format!("sched.step{step}.noise"))).collect(),
            },
            ..Request::new(text("prompt"))
        }
    }
}

impl Golden {
    /// The picture that the recorded video starts from, if there is one: 8-bit RGB.
    fn image(&self) -> Option<Frame> {
        let path = self.path.join("image.png");
        let file = path.exists().then(|| File::open(&path).expect("a readable picture"))?;
        let mut reader = png::Decoder::new(BufReader::new(file)).read_info().expect("a PNG");
        let mut rgb = vec![0; reader.output_buffer_size().expect("a small picture")];
        let info = reader.next_frame(&mut rgb).expect("a whole picture");
        assert_eq!(info.color_type, png::ColorType::Rgb, "{}", path.display());
        Some(Frame { width: info.width, height: info.height, rgb })
    }
}

fn size(value: &Value) -> usize {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_else(|| panic!("{value} is no size"))
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list of sizes").iter().map(size).collect()
}

/// 32-bit integers are widened.
fn data(dtype: Dtype, bytes: &[u8]) -> TensorData {
    match dtype {
        Dtype::F32 => TensorData::F32(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::I64 => TensorData::I64(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
        Dtype::I32 => {
            TensorData::I64(bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect())
        }
        Dtype::U8 => TensorData::U8(bytes.to_vec()),
        other => panic!("golden tensors are no {other}"),
    }
}
