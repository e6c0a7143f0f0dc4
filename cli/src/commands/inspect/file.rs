//! What is in one file of weights.

use crate::ui;
use model_loader::{FileContents, ModelFolder};
use std::fmt::Write as _;

/// The parts that every model has.
const COMPONENTS: [&str; 3] = ["transformer", "text_encoder", "vae"];

/// A file and what is in it, with what is missing to a model.
pub(super) fn describe(name: &str, contents: &FileContents) -> String {
    let mut text = String::new();
    let formats: Vec<String> = contents
        .formats
        .iter()
        .map(|(format, values)| format!("{format} ({})", ui::count(*values as u64)))
        .collect();
    // Writing into a string cannot fail.
    let _ = writeln!(text, "file        {name}");
    let _ = writeln!(text, "container   {}", contents.container);
    let _ = writeln!(text, "holds       {}", contents.about);
    let _ = writeln!(
        text,
        "tensors     {}, {} parameters, {}",
        contents.tensors,
        ui::count(contents.parameters as u64),
        ui::bytes(contents.bytes as u64)
    );
    let _ = writeln!(text, "formats     {}", formats.join(", "));
    for part in &contents.parts {
        let prefix = if part.prefix.is_empty() { "none" } else { part.prefix };
        let _ = writeln!(text, "\n{}\n  layout    {}\n  prefix    {prefix}", part.component, part.layout);
        match &part.config {
            Some(config) => {
                for (index, (key, value)) in config.iter().enumerate() {
                    let head = if index == 0 { "config" } else { "" };
                    let _ = writeln!(text, "  {head:9} {key} = {value}");
                }
            }
            None => {
                let _ = writeln!(text, "  config    not told by the file: a model folder's is needed");
            }
        }
    }
    if !contents.parts.is_empty() {
        let has = |component: &str| contents.parts.iter().any(|part| part.component == component);
        let missing: Vec<&str> = COMPONENTS.into_iter().filter(|component| !has(component)).collect();
        let missing = if missing.is_empty() { "nothing".to_owned() } else { missing.join(", ") };
        let _ = writeln!(text, "\nmissing to a model: {missing}");
    }
    text
}

/// Where the parts of a model came from that are not its folder's.
pub(super) fn origins(folder: &ModelFolder) -> String {
    let mut text = String::new();
    for origin in folder.origins() {
        let config =
            if origin.config_is_inferred { "config read off its shapes" } else { "config of the folder" };
        let _ = write!(text, "\n{}: {} ({}; {config})", origin.component, origin.file, origin.layout);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}
