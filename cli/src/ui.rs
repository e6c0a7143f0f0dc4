//! Messages: data to the standard output, everything else to the standard error.

use crate::error::{Blame, Failure, Result};
use std::io::{self, Write};

/// Writes an error and its hint, in colour where the terminal has it and `NO_COLOR` is not set.
pub(crate) fn error(failure: &Failure) {
    let mut stderr = anstream::stderr().lock();
    // Nobody is left to tell when this fails.
    let _ = if failure.blame() == Blame::Interrupted {
        writeln!(stderr, "{failure}")
    } else {
        writeln!(stderr, "\x1b[1;31merror\x1b[0m\x1b[1m:\x1b[0m {failure}")
    };
    if let Some(hint) = failure.hint_text() {
        let _ = writeln!(stderr, "\n\x1b[1;36mhint\x1b[0m\x1b[1m:\x1b[0m {hint}");
    }
}

/// Writes a line that is not an error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Writes what was asked for. A reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::stdout(&error)),
        _ => Ok(()),
    }
}

/// A size for people: `20.8 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 99.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// A number for people: `6.99 M`.
pub(crate) fn count(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = number as f64;
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{:.1} k", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} M", value / 1e6),
        _ => format!("{:.2} G", value / 1e9),
    }
}

/// Columns as wide as they need to be.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: Vec<usize> =
        (0..N).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(20_800_000), "20.8 MB");
        assert_eq!(bytes(999_900), "1.0 MB");
        assert_eq!(bytes(587_000_000), "587 MB");
        assert_eq!(count(377), "377");
        assert_eq!(count(6_990_000), "6.99 M");
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "bcd"], ["ef", "g"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "a   bcd\nef  g\n");
    }
}
