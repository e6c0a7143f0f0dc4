//! What has been tried on one adapter, as a file.
use crate::{adapter::AdapterSummary, tuning::Tuning};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Counts up when the meaning of the file changes.
const VERSION: u32 = 1;

/// What has been tried on one adapter with one driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuningTable {
    version: u32,
    /// The program and a fingerprint of its kernels: what was measured of others says nothing.
    kernels: String,
    /// The adapter's name.
    pub adapter: String,
    /// Its backend.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// By kernel, class of shapes and dtypes.
    pub entries: BTreeMap<String, Entry>,
}

/// What has been tried for one class of shapes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The form to use.
    pub form: String,
    /// All forms that were tried.
    pub tried: BTreeMap<String, Outcome>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The time of one launch.
    Microseconds(f64),
    /// Why the form is never to be used.
    Refused(String),
}

/// Why a table is not used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It cannot be read.
    #[error("the tuning table `{path}` cannot be read ({message})")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason, or the parser's.
        message: String,
    },
    /// It was measured with something else.
    #[error("the tuning table `{path}` is of another {what}")]
    Other {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
}

impl TuningTable {
    /// Nothing tried yet.
    pub fn new(adapter: &AdapterSummary) -> Self {
        Self {
            version: VERSION,
            kernels: kernels(),
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            entries: BTreeMap::new(),
        }
    }

    /// The file of an adapter in a folder.
    pub fn path(folder: &Path, adapter: &AdapterSummary) -> PathBuf {
        let name = format!("{} {}", adapter.backend, adapter.name).to_lowercase();
        let words: Vec<&str> =
            name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
        folder.join(format!("{}.json", words.join("-")))
    }

    /// Reads an adapter's table; `None` if there is none.
    ///
    /// # Errors
    /// If it is damaged, or was measured with another version, other kernels or another driver.
    pub fn load(folder: &Path, adapter: &AdapterSummary) -> Result<Option<Self>, TableError> {
        let path = Self::path(folder, adapter);
        let unreadable = |path: &Path, message: String| TableError::Unreadable { path: path.into(), message };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&path, error.to_string())),
        };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| unreadable(&path, e.to_string()))?;
        if value["version"] != VERSION || value["kernels"] != kernels().as_str() {
            return Err(TableError::Other { path, what: "version of Kinora" });
        }
        let table: Self = serde_json::from_value(value).map_err(|e| unreadable(&path, e.to_string()))?;
        if table.adapter != adapter.name || table.backend != adapter.backend {
            return Err(TableError::Other { path, what: "adapter" });
        }
        if table.driver != adapter.driver {
            return Err(TableError::Other { path, what: "driver" });
        }
        Ok(Some(table))
    }

    /// Writes the table; the file is the old one or the new one at any time.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&self, folder: &Path, adapter: &AdapterSummary) -> io::Result<()> {
        let path = Self::path(folder, adapter);
        fs::create_dir_all(folder)?;
        let partial = path.with_extension(format!("tmp{}", std::process::id()));
        let written =
            fs::write(&partial, serde_json::to_vec_pretty(self)?).and_then(|()| fs::rename(&partial, &path));
        if written.is_err() {
            // It is of no use to anybody.
            let _ = fs::remove_file(&partial);
        }
        written
    }

    /// What lowering needs of it.
    pub fn tuning(&self) -> Tuning {
        let used = self.entries.iter().filter(|(_, entry)| !entry.form.is_empty());
        Tuning::new(used.map(|(key, entry)| (key.clone(), entry.form.clone())).collect())
    }
}

impl Entry {
    /// Whether each of these forms was tried.
    pub fn covers(&self, forms: &[String]) -> bool {
        forms.iter().all(|form| self.tried.contains_key(form))
    }

    /// The measured time of a form, in microseconds.
    pub fn microseconds(&self, form: &str) -> Option<f64> {
        match self.tried.get(form) {
            Some(Outcome::Microseconds(time)) => Some(*time),
            _ => None,
        }
    }
}

fn kernels() -> String {
    format!("{} {:016x}", env!("CARGO_PKG_VERSION"), shaders::fingerprint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapter::AdapterKind, target::Target};

    fn adapter() -> AdapterSummary {
        AdapterSummary {
            index: 0,
            name: "A Card (TM) 5/7".to_owned(),
            kind: AdapterKind::Discrete,
            backend: "Vulkan".to_owned(),
            driver: "driver 1.2".to_owned(),
            memory_bytes: None,
            free_bytes: None,
            target: Target::webgpu_defaults(),
            pipeline_cache: false,
            timestamps: false,
        }
    }

    /// A folder of this test's own.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kinora-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn table() -> TuningTable {
        let tried = [
            ("a".to_owned(), Outcome::Microseconds(12.5)),
            ("b".to_owned(), Outcome::Refused("it is wrong".to_owned())),
        ];
        let entry = Entry { form: "a".to_owned(), tried: tried.into() };
        TuningTable { entries: [("matmul".to_owned(), entry)].into(), ..TuningTable::new(&adapter()) }
    }

    #[test]
    fn a_table_comes_back_as_it_was_written() {
        let folder = folder("round-trip");
        assert!(TuningTable::load(&folder, &adapter()).is_ok_and(|table| table.is_none()));
        table().save(&folder, &adapter()).unwrap_or_else(|e| panic!("{e}"));
        let back = TuningTable::load(&folder, &adapter()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(back, Some(table()));
        let names: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].file_name(), "vulkan-a-card-tm-5-7.json");
        assert_eq!(table().tuning(), Tuning::default().with("matmul", "a"));
        let _ = fs::remove_dir_all(&folder);
    }

    #[test]
    fn a_damaged_table_and_one_of_another_kind_are_refused_by_name() {
        let folder = folder("damaged");
        let path = TuningTable::path(&folder, &adapter());
        let error = |text: &str| {
            fs::write(&path, text).unwrap_or_else(|e| panic!("{e}"));
            TuningTable::load(&folder, &adapter()).map(|_| ()).unwrap_err().to_string()
        };
        table().save(&folder, &adapter()).unwrap_or_else(|e| panic!("{e}"));
        let good = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{e}"));
        assert!(error(&good[..good.len() / 2]).contains("cannot be read"));
        assert!(error("{}").ends_with("is of another version of Kinora"));
        assert!(error(&good.replace("\"version\": 1", "\"version\": 9")).ends_with("version of Kinora"));
        assert!(error(&good.replace("12.5", "\"soon\"")).contains("cannot be read"));
        assert!(error(&good.replace("driver 1.2", "driver 1.3")).ends_with("is of another driver"));
        let _ = fs::remove_dir_all(&folder);
    }
}
