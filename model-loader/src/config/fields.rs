//! Takes the keys of a JSON object one by one; those that are left at the end are unknown.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::notices::Notices;
use crate::{LoadError, ModelFolder, Result, json};

/// The keys of one config file that have not been taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    file: String,
    map: Map<String, Value>,
    notices: Notices,
}

/// Keys that change no component's numbers: how it was trained, saved or kept in memory.
const HARMLESS: &[&str] =
    &["architectures", "dtype", "gradient_checkpointing", "torch_dtype", "transformers_version", "use_cache"];

/// Keys that say that the weights are not plain numbers.
const QUANTISED: &[&str] = &["compression_config", "quantization_config"];

/// A type that a config value can have.
pub(crate) trait FieldType: DeserializeOwned {
    /// How messages call it.
    const EXPECTED: &'static str;
}

macro_rules! field_types {
    ($($type:ty => $expected:literal),* $(,)?) => {
        $(impl FieldType for $type { const EXPECTED: &'static str = $expected; })*
    };
}

field_types! {
    bool => "true or false",
    usize => "a whole number that is not negative",
    f64 => "a number",
    String => "a string",
    Vec<bool> => "a list of true and false",
    Vec<usize> => "a list of whole numbers that are not negative",
    Vec<f64> => "a list of numbers",
    [usize; 3] => "three whole numbers that are not negative",
}

impl Fields {
    /// The object in the file `file`, which is an object or an error.
    pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        match json::parse(file, bytes)? {
            Value::Object(map) => Ok(Self::new(file, map)),
            other => Err(json::bad(file, format!("it is {}, expected an object", shorten(&other)))),
        }
    }

    /// The object in the file at `path` of `folder`, which takes the notices.
    pub(crate) fn load(folder: &ModelFolder, path: &str) -> Result<Self> {
        Ok(Self { notices: folder.notice_board().clone(), ..Self::parse(path, &folder.read(path)?)? })
    }

    /// These keys and values, as if they stood in the file `file`.
    pub(crate) fn new(file: &str, map: Map<String, Value>) -> Self {
        Self { file: file.to_owned(), map, notices: Notices::default() }
    }

    /// The file, for messages.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// All keys and values.
    pub(crate) const fn map(&self) -> &Map<String, Value> {
        &self.map
    }

    /// The raw value of `key`, if it is there.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key)
    }

    /// The value of `key`, which must be there.
    pub(crate) fn required<T: FieldType>(&mut self, key: &str) -> Result<T> {
        match self.take(key) {
            Some(value) => self.convert(key, value),
            None => Err(LoadError::MissingKey {
                file: self.file.clone(),
                key: key.to_owned(),
                expected: T::EXPECTED.to_owned(),
            }),
        }
    }

    /// The value of `key`, or `default` when it is absent.
    pub(crate) fn or<T: FieldType>(&mut self, key: &str, default: T) -> Result<T> {
        self.take(key).map_or(Ok(default), |value| self.convert(key, value))
    }

    /// The value of `key`, or `None` when it is absent or null.
    pub(crate) fn optional<T: FieldType>(&mut self, key: &str) -> Result<Option<T>> {
        match self.take(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.convert(key, value).map(Some),
        }
    }

    /// Refuses every value of `key` but `supported`; an absent key has the library's default `default`.
    pub(crate) fn only<T: Into<Value>>(&mut self, key: &str, default: T, supported: T) -> Result<()> {
        let value = self.take(key).unwrap_or_else(|| default.into());
        let supported = supported.into();
        // 1 and 1.0 are the same value.
        let same = value == supported || (value.is_number() && value.as_f64() == supported.as_f64());
        if same {
            return Ok(());
        }
        Err(self.unsupported(key, value, &supported.to_string()))
    }

    /// Refuses every value of `key` that says something: only null, false and empty ones pass.
    pub(crate) fn absent(&mut self, key: &str) -> Result<()> {
        match self.take(key) {
            Some(value) if !says_nothing(&value) => Err(self.unsupported(key, value, "null")),
            _ => Ok(()),
        }
    }

    /// Refuses weights that are not plain numbers.
    pub(crate) fn refuse_quantised(&mut self) -> Result<()> {
        for key in QUANTISED {
            if let Some(value) = self.take(key).filter(|value| !says_nothing(value)) {
                return Err(self.unsupported(key, value, "weights stored as F32, F16 or BF16"));
            }
        }
        Ok(())
    }

    /// Ignores the keys that are left, as diffusers and transformers do. A notice names those that say something,
    /// unless they are `harmless` ones of the class `class` or of all classes, or start with `_`.
    pub(crate) fn ignore_rest(self, class: &str, harmless: &[&str]) {
        let ignored = self.rest().map(|(key, _)| key.as_str());
        let mut ignored: Vec<&str> =
            ignored.filter(|key| !harmless.contains(key) && !HARMLESS.contains(key)).collect();
        // Whether a map keeps the order of its file depends on what else is in the program.
        ignored.sort_unstable();
        if !ignored.is_empty() {
            self.notices.add(ignored_keys(&self.file, &ignored, class));
        }
    }

    /// Refuses the keys that are left, except those that start with `_` and those that say nothing.
    pub(crate) fn refuse_rest(self) -> Result<()> {
        match self.rest().next() {
            Some((key, value)) => Err(LoadError::UnknownKey {
                file: self.file.clone(),
                key: key.clone(),
                value: shorten(value),
            }),
            None => Ok(()),
        }
    }

    fn rest(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.map.iter().filter(|(key, value)| !key.starts_with('_') && !says_nothing(value))
    }

    /// The error for a value that is of the wrong type or out of range.
    pub(crate) fn bad(&self, key: &str, value: &Value, expected: &str) -> LoadError {
        LoadError::BadValue {
            file: self.file.clone(),
            key: key.to_owned(),
            value: shorten(value),
            expected: expected.to_owned(),
        }
    }

    /// The error for a value whose meaning is not implemented; `supported` says which is.
    pub(crate) fn unsupported(&self, key: &str, value: impl Into<Value>, supported: &str) -> LoadError {
        LoadError::UnsupportedValue {
            file: self.file.clone(),
            key: key.to_owned(),
            value: shorten(&value.into()),
            supported: format!("supported: {supported}"),
        }
    }

    fn convert<T: FieldType>(&self, key: &str, value: Value) -> Result<T> {
        T::deserialize(&value).map_err(|_| self.bad(key, &value, T::EXPECTED))
    }
}

fn ignored_keys(file: &str, keys: &[&str], class: &str) -> String {
    const MOST: usize = 8;
    let mut named: Vec<String> = keys.iter().take(MOST).map(|key| format!("`{key}`")).collect();
    if keys.len() > MOST {
        named.push(format!("{} more", keys.len() - MOST));
    }
    let named = named.join(", ");
    match keys.len() {
        1 => format!("`{file}`: {named} is not a key of `{class}` and is ignored"),
        _ => format!("`{file}`: {named} are not keys of `{class}` and are ignored"),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        // [null, null] is how a model index says that a component is not there.
        Value::Array(values) => values.iter().all(Value::is_null),
        Value::Object(map) => map.is_empty(),
    }
}

/// A value as JSON, cut so that a message stays readable.
fn shorten(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}
