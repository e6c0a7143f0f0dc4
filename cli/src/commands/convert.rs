//! `kinora convert`: a part of a model becomes a GGUF file.

use crate::args::ConvertArgs;
use crate::error::{Failure, Result};
use crate::files::staging::{Existing, StagedFile, check_target, folder_of};
use crate::progress::{Progress, Stage};
use crate::{interrupt, model, ui};
use model_loader::{Conversion, Format, LoadError, ModelFolder, NamedFile};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::time::Instant;

/// What a folder is converted without `--part`.
const USUAL_PART: &str = "transformer";

/// Writes the file and prints its name.
pub(crate) fn run(args: &ConvertArgs) -> Result<()> {
    let start = Instant::now();
    let _cancel = interrupt::install()?;
    check_paths(args)?;
    let conversion = open(args).map_err(model::failure)?;
    let mut progress = Progress::new(args.quiet);
    for notice in conversion.notices() {
        progress.note(notice);
    }
    let mut formats: BTreeMap<Format, usize> = BTreeMap::new();
    conversion.tensors().for_each(|tensor| *formats.entry(tensor.format).or_default() += 1);
    let formats: Vec<String> =
        formats.iter().map(|(format, tensors)| format!("{tensors} as {format}")).collect();
    let (values, bytes) = (conversion.values(), conversion.bytes());
    progress.note(&format!("writing {}, tensors: {}", ui::bytes(bytes), formats.join(", ")));
    let staged = StagedFile::create(&args.output, Existing::Replace)?;
    let mut done = 0;
    progress.update(Stage::Converting, 0, values);
    let out = Stoppable(BufWriter::with_capacity(1 << 20, staged.file()));
    let written = conversion.write(&args.output, out, |values_done| {
        done += values_done as u64;
        progress.update(Stage::Converting, done, values);
    });
    interrupt::check()?;
    written.map_err(|error| match error {
        LoadError::Write { source, .. } => staged.failure(&source),
        error => model::failure(error),
    })?;
    let committed = staged.commit()?;
    if let Some(notice) = &committed.notice {
        progress.note(notice);
    }
    progress.note(&format!("{} in {:.1} s", ui::bytes(bytes), start.elapsed().as_secs_f64()));
    ui::print(&format!("{}\n", committed.path.display()))
}

fn open(args: &ConvertArgs) -> std::result::Result<Conversion, LoadError> {
    if args.input.is_dir() {
        let folder = ModelFolder::open(&args.input)?;
        return Conversion::of_folder(&folder, args.part.as_deref().unwrap_or(USUAL_PART), args.format);
    }
    Conversion::of_file(&NamedFile::open(&args.input)?, args.part.as_deref(), args.format)
}

/// The output must have a place, and may not be what is read.
fn check_paths(args: &ConvertArgs) -> Result<()> {
    check_target(&args.output)?;
    let real = |path: &std::path::Path| Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    if args.output.exists() && real(&args.output) == real(&args.input) {
        let path = args.output.display();
        return Err(Failure::user(format!("`{path}` would be read and written at once"))
            .hint("choose another name for the output"));
    }
    Ok(())
}

/// Fails once the person asks to stop, so that nothing is left half written.
struct Stoppable<W>(W);

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if interrupt::requested() {
            return Err(io::Error::other("interrupted"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
