//! What tuning has found on a GPU.

use crate::cache;
use engine::compute::adapter::AdapterSummary;
use engine::compute::tuner::{Entry, Outcome, TuningTable};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The table of an adapter, none if nothing was tried, or why it is not used.
pub(super) type Tuned = Result<Option<TuningTable>, String>;

pub(super) fn load(adapter: &AdapterSummary) -> Tuned {
    match cache::tuning() {
        Some(folder) => TuningTable::load(&folder, adapter).map_err(|error| error.to_string()),
        None => Ok(None),
    }
}

/// A line for each class of shapes, and one for each form that was refused.
pub(super) fn as_text(table: &Tuned) -> String {
    let entries = match table {
        Ok(Some(table)) if !table.entries.is_empty() => &table.entries,
        Ok(_) => return "       tuning: nothing was tried\n".to_owned(),
        Err(reason) => return format!("       tuning: {reason}\n"),
    };
    let mut text = format!("       tuning: {}\n", shapes(entries.len()));
    for (key, entry) in entries {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "         {key}");
        for (form, outcome) in in_order(entry) {
            let mark = if *form == entry.form { '*' } else { ' ' };
            let _ = match outcome {
                Outcome::Microseconds(time) => writeln!(text, "         {mark} {time:>10.1} us  {form}"),
                Outcome::Refused(reason) => writeln!(text, "         {mark}    refused     {form}: {reason}"),
            };
        }
    }
    text
}

fn shapes(count: usize) -> String {
    if count == 1 { "1 shape".to_owned() } else { format!("{count} shapes") }
}

/// The fastest first, the refused last.
fn in_order(entry: &Entry) -> Vec<(&String, &Outcome)> {
    let mut tried: Vec<_> = entry.tried.iter().collect();
    let time = |form: &str| entry.microseconds(form).unwrap_or(f64::INFINITY);
    tried.sort_by(|a, b| time(a.0).total_cmp(&time(b.0)));
    tried
}

pub(super) fn as_json(table: &Tuned) -> Value {
    match table {
        Ok(Some(table)) => json!({ "shapes": table.entries }),
        Ok(None) => json!({ "shapes": {} }),
        Err(reason) => json!({ "unused": reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::compute::adapter::AdapterKind;
    use engine::compute::target::Target;

    fn table() -> Tuned {
        let adapter = AdapterSummary {
            index: 0,
            name: "A Card".into(),
            kind: AdapterKind::Discrete,
            backend: "Vulkan".into(),
            driver: "driver 1.2".into(),
            memory_bytes: None,
            free_bytes: None,
            target: Target::webgpu_defaults(),
            pipeline_cache: false,
            timestamps: false,
        };
        let tried = [
            ("shared 4x4".to_owned(), Outcome::Microseconds(20.04)),
            ("shared 8x8".to_owned(), Outcome::Microseconds(7.5)),
            ("shared 9x9".to_owned(), Outcome::Refused("its result is off by 1.0e0".to_owned())),
        ];
        let mut table = TuningTable::new(&adapter);
        let entry = Entry { form: "shared 8x8".to_owned(), tried: tried.into() };
        table.entries.insert("matmul 8x8x8, f32 by f32".to_owned(), entry);
        Ok(Some(table))
    }

    #[test]
    fn forms_are_listed_with_the_fastest_first() {
        let text = as_text(&table());
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        let first = ["tuning: 1 shape", "matmul 8x8x8, f32 by f32", "*        7.5 us  shared 8x8"];
        assert_eq!(lines[..3], first);
        assert_eq!(lines[3], "20.0 us  shared 4x4");
        assert!(lines[4].starts_with("refused     shared 9x9: its result is off"), "{text}");
        assert!(as_text(&Ok(None)).contains("nothing was tried"));
        assert!(as_text(&Err("it is damaged".into())).contains("it is damaged"));
    }

    #[test]
    fn json_names_the_form_in_use() {
        let value = as_json(&table());
        assert_eq!(value["shapes"]["matmul 8x8x8, f32 by f32"]["form"], "shared 8x8");
    }
}
