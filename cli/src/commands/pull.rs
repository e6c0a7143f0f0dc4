//! `kinora pull`: a model of the hub becomes a folder here.

use crate::args::PullArgs;
use crate::error::Result;
use crate::{downloads, interrupt, ui};
use hub::{RepoId, Wanted};

/// Downloads what is missing and prints the folder.
pub(crate) fn run(args: &PullArgs) -> Result<()> {
    let repo = RepoId::parse(&args.model).map_err(|error| downloads::failure(&error))?;
    let wanted = match args.file.as_slice() {
        [] => Wanted::Model { variant: args.variant.clone() },
        patterns => Wanted::Files(patterns.to_vec()),
    };
    interrupt::install()?;
    let folder = downloads::fetch(&downloads::open()?, &repo, &wanted, args.quiet)?;
    ui::print(&format!("{}\n", folder.display()))
}
