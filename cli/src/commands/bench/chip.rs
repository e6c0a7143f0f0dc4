//! `kinora bench --compile-for`: what a chip's compiler makes of the kernels, without the chip.

use crate::args::{BenchArgs, ChipArgs};
use crate::error::{Failure, Result};
use crate::request::told;
use crate::workbench::{Compiled, CompiledRow};
use crate::{model, ui};
use engine::compute::nn::Precision;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use workbench::compile::{
    CHIPS, Chip, CompileError, CompileOptions, Compiler, FormLaunch, Subgroups, environment, is_prepared,
    launches_of, stage_outlines,
};
use workbench::{cases, half_cases};

/// Compiles, and prints a table or JSON on the standard output.
pub(super) fn run(args: &BenchArgs, name: &str) -> Result<()> {
    let chip = Chip::named(name).ok_or_else(|| {
        let known: Vec<String> = CHIPS.iter().map(ToString::to_string).collect();
        Failure::user(format!("no chip is called `{name}`")).hint(format!("known are {}", known.join(", ")))
    })?;
    if !is_prepared(chip) {
        return in_its_environment(chip);
    }
    let compiler = Compiler::open(chip).map_err(failure)?;
    let launches = match &args.model {
        Some(folder) => of_model(args, folder, &compiler)?,
        None => of_cases(args, &compiler)?,
    };
    let ChipArgs { required_lanes, isa, .. } = &args.chip;
    let subgroups = if *required_lanes { Subgroups::AsWritten } else { Subgroups::AsDriven };
    let options = CompileOptions { subgroups, assembly: true };
    let made = compiler.compile_all(&launches, options).map_err(failure)?;
    let rows = launches.into_iter().zip(made);
    let rows =
        rows.map(|(launch, executable)| CompiledRow::new(chip, launch, executable)).collect::<Vec<_>>();
    if let Some(folder) = isa {
        write_assembly(folder, &rows)?;
    }
    let compiled = Compiled { chip, driver: compiler.driver_name().to_owned(), rows };
    ui::print(&if args.json { compiled.as_json() } else { compiled.as_text() })
}

fn failure(error: CompileError) -> Failure {
    let failure = match &error {
        CompileError::Op(_) | CompileError::Plan(_) | CompileError::Engine(_) => {
            Failure::user(error.to_string())
        }
        _ => Failure::system(error.to_string()),
    };
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Runs this very command again as a process in which the driver finds the chip.
fn in_its_environment(chip: &Chip) -> Result<()> {
    let variables = environment(chip).map_err(failure)?;
    let again = std::env::current_exe().and_then(|program| {
        Command::new(program).args(std::env::args_os().skip(1)).envs(variables).stderr(Stdio::piped()).spawn()
    });
    let mut child = again.map_err(|e| Failure::system(format!("cannot start this program again: {e}")))?;
    if let Some(stderr) = child.stderr.take() {
        let lines = BufReader::new(stderr).lines().map_while(std::result::Result::ok);
        lines.filter(|line| !is_chatter(line)).for_each(|line| ui::note(&line));
    }
    let status = child.wait().map_err(|e| Failure::system(format!("cannot wait for the compiler: {e}")))?;
    match status.code() {
        Some(0) => Ok(()),
        // It has said why.
        Some(code) => std::process::exit(code),
        None => Err(Failure::system(format!("the driver's compiler ended the process ({status})"))),
    }
}

/// What Mesa and LLVM say of a device that is not there.
fn is_chatter(line: &str) -> bool {
    line.contains("is not a recognized processor for this target") || line.contains("invalid pci bus info")
}

fn of_cases(args: &BenchArgs, compiler: &Compiler) -> Result<Vec<FormLaunch>> {
    let mut launches = Vec::new();
    let wanted = |name: &str| args.filter.as_ref().is_none_or(|filter| name.contains(filter));
    let target = compiler.proven_target().map_err(failure)?;
    let halves = half_cases().into_iter().filter(|_| compiler.target().shader_f16);
    for case in cases().into_iter().chain(halves).filter(|case| wanted(&case.name)) {
        let graph = case.outline().map_err(|e| failure(e.into()))?;
        let found = launches_of(&case.name, &graph, &target, args.chip.forms).map_err(failure)?;
        launches.extend(found);
    }
    if launches.is_empty() {
        return Err(super::no_such_kernel(args));
    }
    Ok(launches)
}

/// The stages of a video, in f32 and in f16 where the chip has it.
fn of_model(args: &BenchArgs, path: &Path, compiler: &Compiler) -> Result<Vec<FormLaunch>> {
    let request = model::request_of(args.width, args.height, args.frames);
    let target = compiler.proven_target().map_err(failure)?;
    let mut launches = Vec::new();
    for (precision, name) in [(Precision::F32, "f32"), (Precision::F16, "f16")] {
        if precision == Precision::F16 && !compiler.target().shader_f16 {
            continue;
        }
        let model = model::read_configs(&model::open_folder(Some(path))?, args.weights.into())?;
        let (settings, notices) = model.resolve(&request).map_err(|e| failure(e.into()))?;
        if precision == Precision::F32 {
            notices.iter().for_each(|notice| ui::note(&told(notice)));
        }
        for (stage, _, graph) in stage_outlines(model, &settings, precision).map_err(failure)? {
            let case = format!("{stage} in {name}");
            launches.extend(launches_of(&case, &graph, &target, args.chip.forms).map_err(failure)?);
        }
    }
    Ok(launches)
}

/// A file for each launch.
fn write_assembly(folder: &Path, rows: &[CompiledRow]) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Failure::io("create", folder, &e))?;
    for (index, row) in rows.iter().enumerate() {
        let Some(text) = &row.executable.assembly else { continue };
        let path = folder.join(format!("{index:03} {}.s", file_name(&row.name())));
        let head = format!("; {}\n; {}\n", row.name(), row.launch.variant.label());
        std::fs::write(&path, head + text).map_err(|e| Failure::io("write", &path, &e))?;
    }
    Ok(())
}

fn file_name(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || " ,.x-".contains(c) { c } else { '_' };
    text.chars().map(plain).take(120).collect()
}
