//! Files of frames: what the browser's encoder gives as MP4, and animated PNG where it has none.
use crate::errors::error;
use ::encode::color::{Matrix, Planes};
use ::encode::{
    Apng, Codec, EncodeError, Muxer, Rate, Sample, VideoEncoder, VideoInfo, enlarge, factor, png,
};
use engine::Frame;
use std::io::Cursor;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

/// The form in which all files of a video show it: enlarged by a whole factor if it is small.
#[wasm_bindgen]
#[derive(Clone, Debug)]
pub struct Form {
    info: VideoInfo,
    factor: u32,
    from: (u32, u32),
}

#[wasm_bindgen]
impl Form {
    /// Of a video of this size; `record` is what [`crate::model::Model::record`] gives.
    ///
    /// # Errors
    /// If `record` is something else.
    #[wasm_bindgen(constructor)]
    pub fn new(width: u32, height: u32, frames: u32, fps: f64, record: &str) -> Result<Form, JsValue> {
        let metadata = serde_json::from_str(record).map_err(|reason| failed(&reason.to_string()))?;
        let factor = factor(width, height);
        let info = VideoInfo {
            width: width * factor,
            height: height * factor,
            rate: Rate::from_fps(fps),
            frames,
            metadata,
        };
        Ok(Self { info, factor, from: (width, height) })
    }

    /// Columns of the file's pictures.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> u32 {
        self.info.width
    }

    /// Rows of the file's pictures.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> u32 {
        self.info.height
    }

    /// A frame's planes as I420, BT.709 in limited range.
    ///
    /// # Errors
    /// If it is not of the size that was announced.
    pub fn planes(&self, rgb: Vec<u8>) -> Result<Vec<u8>, JsValue> {
        let planes = Planes::halved(Matrix::Bt709, &self.frame(rgb)).map_err(|reason| refused(&reason))?;
        Ok([planes.y, planes.cb, planes.cr].concat())
    }

    /// One frame as PNG.
    ///
    /// # Errors
    /// If it is not of the size that was announced.
    pub fn png(&self, rgb: Vec<u8>) -> Result<Vec<u8>, JsValue> {
        png::write(Vec::new(), &self.frame(rgb), &self.info.metadata).map_err(|reason| refused(&reason))
    }

    fn frame(&self, rgb: Vec<u8>) -> Frame {
        let frame = Frame { width: self.from.0, height: self.from.1, rgb };
        if self.factor == 1 { frame } else { enlarge(&frame, self.factor) }
    }
}

/// An MP4 of what an encoder made.
#[wasm_bindgen]
pub struct Mp4File(Muxer<Cursor<Vec<u8>>>);

#[wasm_bindgen]
impl Mp4File {
    /// Without pictures yet.
    ///
    /// # Errors
    /// If it is too large for the format.
    #[wasm_bindgen(constructor)]
    pub fn new(form: &Form) -> Result<Mp4File, JsValue> {
        Muxer::new(Cursor::new(Vec::new()), &form.info).map(Self).map_err(|reason| refused(&reason))
    }

    /// The next picture; with the first comes how it is coded.
    ///
    /// # Errors
    /// If the codec is unknown.
    pub fn add(
        &mut self,
        data: &[u8],
        keyframe: bool,
        codec: Option<String>,
        description: Option<Vec<u8>>,
    ) -> Result<(), JsValue> {
        let codec = codec.map(|name| Codec::new(&name, description.as_deref()));
        let codec = codec.transpose().map_err(|reason| refused(&reason))?;
        let sample = Sample { data, keyframe, codec: codec.as_ref() };
        self.0.sample(sample).map_err(|reason| refused(&reason))
    }

    /// The file.
    ///
    /// # Errors
    /// If it has no pictures.
    pub fn finish(self) -> Result<Vec<u8>, JsValue> {
        self.0.finish().map(Cursor::into_inner).map_err(|reason| refused(&reason))
    }
}

/// An animated PNG.
#[wasm_bindgen]
pub struct ApngFile {
    form: Form,
    file: Apng<Vec<u8>>,
}

#[wasm_bindgen]
impl ApngFile {
    /// Without pictures yet.
    ///
    /// # Errors
    /// If there will be none.
    #[wasm_bindgen(constructor)]
    pub fn new(form: &Form) -> Result<ApngFile, JsValue> {
        let file = Apng::new(Vec::new(), &form.info).map_err(|reason| refused(&reason))?;
        Ok(Self { form: form.clone(), file })
    }

    /// The next picture.
    ///
    /// # Errors
    /// If it is not of the size that was announced.
    pub fn add(&mut self, rgb: Vec<u8>) -> Result<(), JsValue> {
        self.file.frame(&self.form.frame(rgb)).map_err(|reason| refused(&reason))
    }

    /// The file.
    ///
    /// # Errors
    /// If pictures are missing.
    pub fn finish(self) -> Result<Vec<u8>, JsValue> {
        self.file.finish().map_err(|reason| refused(&reason))
    }
}

fn refused(reason: &EncodeError) -> JsValue {
    failed(&reason.to_string())
}

fn failed(reason: &str) -> JsValue {
    error("encoding", reason)
}
