//! `kinora cache`: what is kept between runs.

use crate::args::CacheArgs;
use crate::error::{Failure, Result};
use crate::{cache, ui};
use std::fmt::Write as _;
use std::path::Path;

/// Shows the folders, or removes what is in them.
pub(crate) fn run(args: CacheArgs) -> Result<()> {
    let Some((root, folders)) = cache::folders() else {
        return Err(Failure::user("there is no place for caches on this machine".to_owned())
            .hint("name a folder by its full path in `KINORA_CACHE`"));
    };
    let mut rows = Vec::new();
    for (name, about) in folders {
        let folder = root.join(name);
        let (files, bytes) = contents(&folder);
        if args.clear && folder.exists() {
            std::fs::remove_dir_all(&folder)
                .map_err(|error| Failure::user(format!("cannot remove `{}`: {error}", folder.display())))?;
        }
        rows.push([name.to_owned(), files.to_string(), ui::bytes(bytes), about.to_owned()]);
    }
    let mut text = String::new();
    let verb = if args.clear { "removed from" } else { "kept in" };
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{verb} {}", root.display());
    let heads = ["folder", "files", "bytes", "what"].map(str::to_owned);
    text.push_str(&ui::table(&[vec![heads], rows].concat()));
    ui::print(&text)
}

/// How many files a folder has, and their bytes.
fn contents(folder: &Path) -> (usize, u64) {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = files.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file);
    sizes.fold((0, 0), |(files, bytes), metadata| (files + 1, bytes + metadata.len()))
}
