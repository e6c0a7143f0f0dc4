//! No file that a run writes is another one that it writes or reads, however the paths are spelled.

use crate::args::GenerateArgs;
use crate::error::{Failure, Result};
use crate::files::numbered::Numbered;
use crate::files::staging::folder_of;
use crate::output::Target;
use std::path::{Path, PathBuf};

/// A file of the run.
struct Named<'a> {
    flag: &'static str,
    path: &'a Path,
    real: PathBuf,
    /// What it is if it is not one file but one for each frame.
    frames: Option<Numbered>,
}

impl<'a> Named<'a> {
    fn one(flag: &'static str, path: Option<&'a PathBuf>) -> Option<Self> {
        let path = path?;
        Some(Self { flag, path, real: real(path), frames: None })
    }

    /// Nothing where no file can be replaced.
    fn video(flag: &'static str, target: &'a Target) -> Result<Option<Self>> {
        let path = match target {
            Target::Derived(_) | Target::Stdout => return Ok(None),
            Target::Mp4(path) | Target::Apng(path) | Target::Y4m(path) | Target::PngSequence(path) => path,
        };
        // Numbers with more digits than one frame needs are known too.
        let is_set = matches!(target, Target::PngSequence(_));
        let frames = is_set.then(|| Numbered::parse(path, 1)).transpose()?;
        Ok(Some(Self { flag, path, real: real(path), frames }))
    }

    fn overlaps(&self, other: &Self) -> bool {
        let Some(frames) = &self.frames else { return self.real == other.real };
        let name = other.real.file_name().and_then(|name| name.to_str());
        self.real.parent() == other.real.parent() && name.is_some_and(|name| frames.includes(name))
    }
}

/// Fails if two files of a run are one, or an output is a file of the model.
pub(crate) fn check(args: &GenerateArgs, target: &Target, preview: Option<&Target>) -> Result<()> {
    let video = Named::video("--output", target)?;
    let preview = preview.map(|preview| Named::video("--preview", preview)).transpose()?.flatten();
    let sides = [Named::one("--dump", args.dump.as_ref()), Named::one("--trace", args.trace.as_ref())];
    let outputs: Vec<Named<'_>> =
        video.into_iter().chain(preview).chain(sides.into_iter().flatten()).collect();
    let inputs: Vec<Named<'_>> = [
        Named::one("--image", args.video.image.as_ref()),
        Named::one("--initial-latents", args.video.initial_latents.as_ref()),
    ]
    .into_iter()
    .flatten()
    .chain(args.source.parts.files().filter_map(|(flag, path)| Named::one(flag, Some(path))))
    .collect();
    let model = args.source.model.as_deref().and_then(|folder| folder.canonicalize().ok());
    for (index, output) in outputs.iter().enumerate() {
        let path = output.path.display();
        let flag = output.flag;
        if let Some(other) =
            outputs[index + 1..].iter().find(|other| output.overlaps(other) || other.overlaps(output))
        {
            return Err(Failure::user(format!("`{flag}` and `{}` are the same file, `{path}`", other.flag))
                .hint("give each a name of its own"));
        }
        if let Some(input) = inputs.iter().find(|input| output.overlaps(input)) {
            let read = input.path.display();
            return Err(Failure::user(format!(
                "`{flag}` would replace `{read}`, which `{}` reads",
                input.flag
            ))
            .hint("choose another name for the output"));
        }
        if output.real.exists() && model.as_ref().is_some_and(|model| output.real.starts_with(model)) {
            return Err(Failure::user(format!("`{flag}` would replace `{path}`, a file of the model"))
                .hint("choose another place for the output"));
        }
    }
    Ok(())
}

/// The one spelling of a path, whose last part need not exist.
fn real(path: &Path) -> PathBuf {
    let beside = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use std::fs;

    /// The refusal of a command line with `@` for the folder.
    fn refusal(folder: &Path, flags: &[&str]) -> Option<String> {
        let folder = folder.to_str().unwrap();
        let flags = flags.iter().map(|flag| flag.replace('@', folder));
        let line = ["kinora", "generate", "x"].map(str::to_owned).into_iter().chain(flags);
        let Command::Generate(args) = Cli::try_parse_from(line).unwrap().command else { panic!() };
        let target = args.output.as_deref().map(|output| Target::parse(output).unwrap());
        let target = target.unwrap_or_else(|| Target::derived("x", 1));
        check(&args, &target, None).err().map(|failure| failure.to_string())
    }

    #[test]
    fn one_file_for_two_purposes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("sub")).unwrap();
        fs::create_dir(folder.join("model")).unwrap();
        for name in ["i.png", "f-0001.png", "l.safetensors", "model/w.safetensors"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        for (flags, told) in [
            (&["-o", "@/a.mp4", "--dump", "@/a.mp4"][..], "`--output` and `--dump` are the same file"),
            (&["-o", "@/a.y4m", "--trace", "@/sub/../a.y4m"], "`--output` and `--trace`"),
            (&["--dump", "@/./t", "--trace", "@/t"], "`--dump` and `--trace`"),
            (&["-o", "@/f.png", "--dump", "@/f-0002.png"], "`--output` and `--dump`"),
            (&["-o", "@/f.png", "--image", "@/sub/../f-0001.png"], "which `--image` reads"),
            (&["--dump", "@/i.png", "--image", "@/i.png"], "which `--image` reads"),
            (
                &["--dump", "@/l.safetensors", "--initial-latents", "@/l.safetensors"],
                "which `--initial-latents`",
            ),
            (&["--dump", "@/model/w.safetensors", "--model", "@/sub/../model"], "a file of the model"),
        ] {
            let refused = refusal(folder, flags).unwrap_or_else(|| panic!("{flags:?} is taken"));
            assert!(refused.contains(told), "{refused}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.join("l.safetensors"), folder.join("link")).unwrap();
            let link = ["--trace", "@/link", "--initial-latents", "@/l.safetensors"];
            assert!(refusal(folder, &link).is_some());
        }
    }

    #[test]
    fn different_files_are_fine() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("model")).unwrap();
        for flags in [
            &["-o", "@/a.mp4", "--dump", "@/a.safetensors", "--trace", "@/a.json"][..],
            &["-o", "@/f.png", "--image", "@/f.png"],
            &["-o", "-", "--dump", "@/d"],
            &["-o", "@/model/a.mp4", "--model", "@/model"],
        ] {
            assert_eq!(refusal(folder, flags), None, "{flags:?}");
        }
    }
}
