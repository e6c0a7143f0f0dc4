//! `kinora`: text to video on any GPU, from the command line.

mod args;
mod cache;
mod commands;
mod device;
mod encode;
mod error;
mod interrupt;
mod memory;
mod model;
mod output;
mod picture;
mod progress;
mod recorder;
mod request;
mod settings;
mod tensors;
mod threads;
mod trace;
mod ui;
mod video;
mod workbench;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A request for help is no error; a wrong flag is the user's.
            let code = u8::from(error.use_stderr());
            return if error.print().is_ok() { code.into() } else { 2.into() };
        }
    };
    let done = match &cli.command {
        Command::Generate(args) => commands::generate::run(args),
        Command::Devices(args) => commands::devices::run(args),
        Command::Inspect(args) => commands::inspect::run(args),
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
