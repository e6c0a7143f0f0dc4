//! What can be wrong with a model's files. Every message names the file and what in it is wrong.

mod hint;

use std::io;

use thiserror::Error;

/// Why a model, or a part of one, could not be read. [`LoadError::hint`] says what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The path given as a model is not a folder.
    #[error("`{path}` is not a model folder: {reason}")]
    NotAFolder {
        /// The path as it was given.
        path: String,
        /// What it is instead.
        reason: String,
    },
    /// A file that the model needs is absent.
    #[error("`{file}` is missing from the model folder `{location}`")]
    MissingFile {
        /// The path inside the folder.
        file: String,
        /// The folder.
        location: String,
    },
    /// The system could not read a file.
    #[error("cannot read `{file}` in `{location}`: {source}")]
    Read {
        /// The path inside the folder.
        file: String,
        /// The folder.
        location: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file is the Git LFS pointer to a file that was not fetched.
    #[error("`{file}` in `{location}` is a Git LFS pointer, not the file itself")]
    LfsPointer {
        /// The path inside the folder.
        file: String,
        /// The folder.
        location: String,
    },
    /// A name from inside a file leads out of the model folder.
    #[error("`{file}` names the file `{path}`, which is not inside the model folder")]
    OutsideFolder {
        /// The file that holds the name.
        file: String,
        /// The name.
        path: String,
    },
    /// A file is not JSON, or not the kind of JSON it must be.
    #[error("`{file}` is not valid: {reason}")]
    BadJson {
        /// The path inside the folder.
        file: String,
        /// What was expected, and where.
        reason: String,
    },
    /// The pipeline is one that is not implemented.
    #[error("`{file}` asks for the pipeline `{class}`, which is not supported (supported: {supported})")]
    UnsupportedPipeline {
        /// The index file.
        file: String,
        /// The pipeline's class.
        class: String,
        /// The classes that are supported.
        supported: String,
    },
    /// A component is of a class that is not implemented.
    #[error(
        "`{file}` gives `{component}` the class `{class}`, which is not supported (supported: {supported})"
    )]
    UnsupportedComponent {
        /// The index file.
        file: String,
        /// The component's name.
        component: String,
        /// Its class, or `null`.
        class: String,
        /// The classes that are supported.
        supported: String,
    },
    /// A key that must be there is absent.
    #[error("`{file}` lacks the key `{key}` ({expected})")]
    MissingKey {
        /// The config file.
        file: String,
        /// The absent key.
        key: String,
        /// What its value would be.
        expected: String,
    },
    /// A value is of the wrong type or out of range.
    #[error("`{file}`: `{key}` is {value}, expected {expected}")]
    BadValue {
        /// The config file.
        file: String,
        /// The key.
        key: String,
        /// The value as JSON, shortened.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// A value has a meaning that is not implemented.
    #[error("`{file}`: `{key}` is {value}, which is not supported ({supported})")]
    UnsupportedValue {
        /// The config file.
        file: String,
        /// The key.
        key: String,
        /// The value as JSON, shortened.
        value: String,
        /// What is supported.
        supported: String,
    },
    /// A key that this version does not know has a value that may matter.
    #[error("`{file}`: the key `{key}` is unknown (its value is {value})")]
    UnknownKey {
        /// The config file.
        file: String,
        /// The unknown key.
        key: String,
        /// The value as JSON, shortened.
        value: String,
    },
    /// A component's weights are pickled, which could run code.
    #[error("the weights of `{component}` in `{location}` are pickled (`{file}`), expected safetensors")]
    PickledWeights {
        /// The component's name.
        component: String,
        /// The model folder.
        location: String,
        /// The pickled file.
        file: String,
    },
    /// A component's folder holds several weights files, none with a name that says which one to read.
    #[error("cannot tell which of these are the weights of `{component}`: {found}")]
    AmbiguousWeights {
        /// The component's name.
        component: String,
        /// The files, each in backticks.
        found: String,
    },
    /// Some of the shards are there, without an index, and one is absent.
    #[error("the shard `{shard}` is missing from `{location}`, which holds {found} of {count}")]
    IncompleteShards {
        /// The first absent shard.
        shard: String,
        /// How many are there.
        found: usize,
        /// How many there should be.
        count: usize,
        /// The model folder.
        location: String,
    },
    /// A component's folder holds no weights that can be read.
    #[error("no safetensors weights for `{component}` in `{location}` (found {found})")]
    NoWeights {
        /// The component's name.
        component: String,
        /// The model folder.
        location: String,
        /// What its folder holds.
        found: String,
    },
    /// A safetensors file is cut short or its header is not sound.
    #[error("`{file}` is not a sound safetensors file: {reason}")]
    BadWeights {
        /// The weights file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A GGUF file is cut short or its header is not sound.
    #[error("`{file}` is not a sound GGUF file: {reason}")]
    BadGguf {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A file of `torch.save` is cut short or not sound.
    #[error("`{file}` is not a sound torch file: {reason}")]
    BadTorchFile {
        /// The weights file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A torch file is of a form that is not read.
    #[error("`{file}` is {kind}, expected an archive as `torch.save` writes it")]
    OldTorchFile {
        /// The weights file.
        file: String,
        /// Which form it is.
        kind: &'static str,
    },
    /// A pickle asks for something of Python that tensors do not need.
    #[error("`{file}`: its pickle asks for `{name}`, expected only what makes tensors")]
    ForeignPickle {
        /// The weights file.
        file: String,
        /// What it asks for: a module and a name in it.
        name: String,
    },
    /// A tensor's elements do not lie one after the other.
    #[error(
        "`{file}`: tensor `{tensor}` of shape {shape:?} has strides {strides:?}, expected a contiguous tensor"
    )]
    StridedTensor {
        /// The weights file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many elements lie between neighbours of each dimension.
        strides: Vec<usize>,
    },
    /// What a file's header says of a tensor is not sound.
    #[error("`{file}`: tensor `{tensor}`: {reason}")]
    BadTensor {
        /// The weights file.
        file: String,
        /// The tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A shard that an index names is absent.
    #[error("`{index}` names the shard `{shard}`, which is missing from `{location}`")]
    MissingShard {
        /// The index file.
        index: String,
        /// The absent shard.
        shard: String,
        /// The model folder.
        location: String,
    },
    /// An index names a tensor that the shard does not hold.
    #[error("`{index}` places tensor `{tensor}` in `{shard}`, which does not hold it")]
    NotInShard {
        /// The index file.
        index: String,
        /// The tensor.
        tensor: String,
        /// The shard.
        shard: String,
    },
    /// A tensor that the model needs is in none of the files.
    #[error("`{file}` lacks the tensor `{tensor}`")]
    MissingTensor {
        /// The weights file, or the index of several.
        file: String,
        /// The absent tensor.
        tensor: String,
        /// The name that looks most like it, if any does.
        closest: Option<String>,
    },
    /// A tensor has another shape than the config implies.
    #[error("`{file}`: tensor `{tensor}` is {got:?}, expected {expected:?}")]
    WrongShape {
        /// The weights file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its shape.
        got: Vec<usize>,
        /// The shape it must have.
        expected: Vec<usize>,
    },
    /// A tensor is stored in a format that is not supported.
    #[error("`{file}`: tensor `{tensor}` is stored as {format}, which is not supported")]
    UnsupportedFormat {
        /// The weights file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The format as the file spells it.
        format: String,
    },
    /// A file holds nothing that a model is made of.
    #[error("`{file}` holds no part of a model that is known: {contents}")]
    UnknownContents {
        /// The file.
        file: String,
        /// What it holds, in words.
        contents: String,
    },
    /// A file holds a part of a model that cannot be run.
    #[error("`{file}` holds {contents} (it has `{tensor}`), which is not supported")]
    UnsupportedContents {
        /// The file.
        file: String,
        /// What it holds, in words.
        contents: String,
        /// The tensor that tells.
        tensor: String,
    },
    /// A file holds several parts, and one is to be chosen.
    #[error("`{file}` holds several parts: {contents}")]
    SeveralParts {
        /// The file.
        file: String,
        /// What it holds, in words.
        contents: String,
    },
    /// A file was given for another part than it holds.
    #[error("`{file}` was given as the `{expected}`, and holds {contents}")]
    WrongPart {
        /// The file.
        file: String,
        /// The component that it was given for.
        expected: String,
        /// What it holds, in words.
        contents: String,
    },
    /// A part belongs to another family of models than the others.
    #[error("`{file}` holds {contents}, and the model is of the family {family}")]
    OtherFamily {
        /// The file.
        file: String,
        /// What it holds, in words.
        contents: String,
        /// The family of the model.
        family: String,
    },
    /// No file was given for a part.
    #[error("the model has no `{component}`: its file is missing ({examples})")]
    MissingPart {
        /// The component.
        component: String,
        /// What such files are called.
        examples: String,
    },
    /// A file does not tell the config of its part, and there is no other.
    #[error("`{file}` does not tell its config, and `{component}/config.json` is missing")]
    NoConfig {
        /// The file.
        file: String,
        /// The component.
        component: String,
    },
    /// A file given as a LoRA is none.
    #[error("`{file}` is no LoRA: it holds {contents}")]
    NotALora {
        /// The file.
        file: String,
        /// What it holds, in words.
        contents: String,
    },
    /// A LoRA is of a kind that cannot be added to weights.
    #[error("`{file}` is of a kind of LoRA that is not supported: it has `{key}`")]
    UnsupportedLora {
        /// The file.
        file: String,
        /// The key that tells.
        key: String,
    },
    /// No key of a LoRA fits the model.
    #[error("`{file}` changes nothing in `{base}`: none of its keys fits ({keys}, ..)")]
    LoraMatchesNothing {
        /// The file.
        file: String,
        /// The weights that it should change.
        base: String,
        /// The first keys, each in backticks.
        keys: String,
    },
    /// A module of a LoRA is not whole, or does not fit the model.
    #[error("`{file}`: module `{module}`: {reason}")]
    BadLora {
        /// The file.
        file: String,
        /// The module, as the model calls it.
        module: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor cannot be written as it was planned.
    #[error("`{file}`: tensor `{tensor}` cannot be written: {reason}")]
    UnwritableTensor {
        /// The file that is written.
        file: String,
        /// The tensor.
        tensor: String,
        /// What does not fit.
        reason: String,
    },
    /// A key of the metadata is given twice.
    #[error("`{file}`: the key `{key}` is given twice, expected once")]
    RepeatedKey {
        /// The file that is written.
        file: String,
        /// The key.
        key: String,
    },
    /// The system could not write a file.
    #[error("cannot write `{file}`: {source}")]
    Write {
        /// The file that is written.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The tokenizer is absent in both of its forms.
    #[error("`{file}` (or `spiece.model` beside it) is missing from the model folder `{location}`")]
    MissingTokenizer {
        /// The path of the preferred form inside the folder.
        file: String,
        /// The model folder.
        location: String,
    },
    /// The tokenizer could not be built from its file.
    #[error("`{file}` is not a usable tokenizer: {reason}")]
    BadTokenizer {
        /// The tokenizer file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The tokenizer failed on a text.
    #[error("`{file}` cannot encode the prompt: {reason}")]
    Encode {
        /// The tokenizer file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}
