//! `kinora`: text to video on any GPU, from the command line.

mod args;
mod cache;
mod commands;
mod device;
mod distinct;
mod downloads;
mod error;
mod files;
mod hints;
mod interrupt;
mod memory;
mod model;
mod output;
mod picture;
mod preview;
mod progress;
mod provenance;
mod recorder;
mod request;
mod tensors;
mod threads;
mod trace;
mod ui;
mod workbench;

use args::{Command, Refusal};
use std::process::ExitCode;

fn main() -> ExitCode {
    interrupt::ignore_size_limit();
    let cli = match args::parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(Refusal::Ours(failure)) => {
            ui::error(&failure);
            return failure.exit_code().into();
        }
        Err(Refusal::Parser(error)) => {
            // A request for help is no error; a wrong flag is the user's.
            let code = u8::from(error.use_stderr());
            return if error.print().is_ok() { code.into() } else { 2.into() };
        }
    };
    let done = match &cli.command {
        Command::Generate(args) => commands::generate::run(args),
        Command::Pull(args) => commands::pull::run(args),
        Command::Devices(args) => commands::devices::run(args),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Convert(args) => commands::convert::run(args),
        Command::Cache(args) => commands::cache::run(*args),
        Command::Bench(args) => commands::bench::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui::error(&failure);
            failure.exit_code().into()
        }
    }
}
