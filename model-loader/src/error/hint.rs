//! What to do about each error.

use super::LoadError;

impl LoadError {
    /// What the reader can do about it, in one or two sentences without a final period.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotAFolder { .. } => {
                "give the folder that holds model_index.json, as `save_pretrained` or a download of the whole \
                 repository makes it"
            }
            Self::MissingFile { file, .. } if file == "model_index.json" => {
                "models are read in the diffusers layout; in a repository with several layouts, take the one \
                 whose name ends in `-Diffusers`"
            }
            Self::MissingFile { .. } | Self::MissingShard { .. } | Self::IncompleteShards { .. } => {
                "the download may be incomplete; fetch the file again from where the model came from"
            }
            Self::Read { .. } => "check that the file is a readable regular file",
            Self::OutsideFolder { .. } => {
                "the file is damaged or hostile; fetch it again from a source you trust"
            }
            Self::LfsPointer { .. } => "run `git lfs pull` in the folder to fetch the files",
            Self::BadJson { .. } => "the file may be damaged; fetch it again, or save it as UTF-8 text",
            Self::UnsupportedPipeline { .. } | Self::UnsupportedComponent { .. } => {
                "use a model made for one of the supported classes"
            }
            Self::MissingKey { .. } | Self::BadValue { .. } => {
                "compare the file with the one published with the model"
            }
            Self::UnsupportedValue { .. } => {
                "the model needs something that is not implemented; use a model without it"
            }
            Self::UnknownKey { .. } => {
                "a newer version may know the key; remove it from the file if it has no effect"
            }
            Self::NoWeights { .. } => {
                "weights are *.safetensors files named as diffusers names them; the download may be incomplete"
            }
            Self::PickledWeights { .. } => {
                "convert them: load the model with diffusers and save it with `save_pretrained`"
            }
            Self::AmbiguousWeights { .. } => {
                "give the right file the name `diffusion_pytorch_model.safetensors`, or for a text encoder \
                 `model.safetensors`"
            }
            Self::OldTorchFile { .. } => {
                "load it with torch and save it anew with `torch.save`, which writes archives since version 1.6"
            }
            Self::ForeignPickle { .. } => {
                "the name was not run; if you trust the file, load it with torch and save its dict of tensors anew with \
                 `torch.save`"
            }
            Self::StridedTensor { .. } => {
                "load the file with torch, replace the tensor by its `contiguous()` copy and save it anew with `torch.save`"
            }
            Self::BadWeights { .. }
            | Self::BadGguf { .. }
            | Self::BadTorchFile { .. }
            | Self::BadTensor { .. } => {
                "the file may be cut short or damaged; compare its size with the published one and fetch it again"
            }
            Self::NotInShard { .. } => {
                "the index and the shards are not of the same download; fetch them again"
            }
            Self::MissingTensor { closest: Some(name), .. } => {
                return Some(format!(
                    "the closest name there is `{name}`; the weights may be of another model or layout"
                ));
            }
            Self::MissingTensor { closest: None, .. } => "the weights may be of another model or layout",
            Self::WrongShape { .. } => "config.json and the weights are not of the same model",
            Self::UnsupportedFormat { .. } => {
                "take a file of F32, F16, BF16, float8 (e4m3fn, e5m2), Q4_0 to Q8_0, Q2_K to Q6_K or IQ4_NL"
            }
            Self::UnknownContents { .. } | Self::UnsupportedContents { .. } => {
                "supported are Wan 2.1 and CogVideoX transformers, their autoencoders, and T5 or UMT5 encoders"
            }
            Self::SeveralParts { .. } => "say which: transformer, text_encoder or vae",
            Self::WrongPart { .. } => "give each file for the part that it holds",
            Self::OtherFamily { .. } => "take all parts from models of one family",
            Self::MissingPart { .. } => {
                "name the file of that part too, or a model folder that has it; its own files hold it where the model \
                 was published"
            }
            Self::NoConfig { .. } => "name a model folder of the same kind, whose configs are taken then",
            Self::NotALora { .. } => {
                "a LoRA holds pairs of matrices whose names end in lora_A and lora_B, or lora_down and lora_up"
            }
            Self::UnsupportedLora { .. } => {
                "take a plain LoRA: DoRA, LoHa, LoKr and the like are not supported"
            }
            Self::LoraMatchesNothing { .. } => "the LoRA is of another kind of model",
            Self::BadLora { .. } => "the LoRA may be of a model of another size, or damaged; fetch it again",
            Self::UnwritableTensor { .. } => {
                "check the weights that it is made of, or store it in a wider format such as BF16 or F32"
            }
            Self::RepeatedKey { .. } => "give every key of the metadata once",
            Self::Write { .. } => "check that the disk has room and that the folder may be written to",
            Self::MissingTokenizer { .. } => {
                "fetch the tokenizer's folder again from where the model came from"
            }
            Self::BadTokenizer { .. } => "fetch the file again, or save it anew with transformers",
            Self::Encode { .. } => "shorten or simplify the prompt",
        };
        Some(hint.to_owned())
    }
}
