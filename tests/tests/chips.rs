//! Every variant of every case, as the compiler of users' AMD cards makes it: nothing that may be chosen spills, and instruction counts
//! keep to their bars. One process for each chip, because the driver reads its name when it is loaded.
#[path = "chips/bars.rs"]
mod bars;

use bars::BARS;
use engine::{Graph, compute::gpu::Gpu, compute::target::Target};
use kinora_tests::{ops, variants};
use libtest_mimic::{Arguments, Failed, Trial};
use std::{collections::HashSet, io::Write, process::Command};
use workbench::compile::{
    Chip, CompileOptions, Compiler, Estimate, Executable, FormLaunch, environment, is_prepared, launches_of,
};

/// Chips with and without matrix instructions, large and small.
const CHIPS: [&str; 3] = ["navi21", "navi31", "gfx1151"];

fn main() {
    if let Some(chip) = CHIPS.iter().filter_map(|name| Chip::named(name)).find(|chip| is_prepared(chip)) {
        let wrong = check(chip);
        // Libraries of the driver write to the standard error.
        let told = std::io::stdout().write_all(wrong.join("\n").as_bytes());
        std::process::exit(i32::from(!wrong.is_empty() || told.is_err()));
    }
    let arguments = Arguments::from_args();
    // No other system's drivers compile without their hardware.
    let names = if cfg!(target_os = "linux") { &CHIPS[..] } else { &[] };
    let trials = names.iter().map(|name| Trial::test(*name, move || run(name))).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// This program again, in the chip's environment.
fn run(name: &str) -> Result<(), Failed> {
    let chip = Chip::named(name).ok_or("no such chip")?;
    let variables = environment(chip)
        .map_err(|e| format!("{e}\n{}\n`bash .ci/setup` installs it", e.hint().unwrap_or_default()))?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new(program).envs(variables).output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{}:\n{}", output.status, String::from_utf8_lossy(&said)).into())
}

/// What is compiled: the form of a case, and what came of it.
struct Made {
    chip: &'static Chip,
    launch: FormLaunch,
    executable: Executable,
}

impl Made {
    /// Of the chip's peak, at most.
    fn share(&self) -> Option<f64> {
        let FormLaunch { flops, bytes, .. } = self.launch;
        let counts = self.executable.hottest_loop()?;
        Some(Estimate::of(self.chip, &counts, self.executable.subgroup_size, flops, bytes).share)
    }
}

/// All that is wrong.
///
/// # Panics
/// If a variant does not compile.
fn check(chip: &'static Chip) -> Vec<String> {
    let compiler = Compiler::open(chip).unwrap_or_else(|e| panic!("{e}\n{}", e.hint().unwrap_or_default()));
    let seen_by_wgpu = pollster::block_on(Gpu::adapters());
    let seen_by_wgpu = seen_by_wgpu.first().map(|adapter| &adapter.target);
    assert_eq!(seen_by_wgpu, Some(compiler.target()), "the engine sees {chip} differently through wgpu");

    let target = compiler.target();
    let (mut wrong, mut all) = (Vec::new(), Vec::new());
    // Machine code takes as long as all the rest: only what bars may be about is disassembled.
    for (launches, assembly) in [(bench_launches(target), true), (case_launches(target), false)] {
        assert!(launches.len() > 50, "only {} launches", launches.len());
        let options = CompileOptions { assembly, ..CompileOptions::default() };
        let made = compiler.compile_all(&launches, options).unwrap_or_else(|e| panic!("{e}"));
        let made = launches.into_iter().zip(made);
        let made: Vec<Made> = made.map(|(launch, executable)| Made { chip, launch, executable }).collect();
        if assembly {
            wrong
                .extend(BARS.iter().filter(|bar| bar.chip == chip.name).flat_map(|bar| bar.broken_by(&made)));
            wrong.extend(made.iter().filter_map(without_code));
        }
        all.extend(made);
    }
    wrong.extend(spilling(&all).map(spilled));
    wrong.extend(off_matrices(&compiler));
    wrong
}

/// Heavy cases in f16 whose untuned launches leave proven matrices unused.
fn off_matrices(compiler: &Compiler) -> Vec<String> {
    let target = compiler.proven_target().unwrap_or_else(|e| panic!("{e}"));
    assert!(target.cooperative.iter().all(|matrices| matrices.proven_lanes == Some(64)), "{target:?}");
    if target.cooperative.is_empty() {
        return Vec::new();
    }
    let cases = workbench::half_cases().into_iter().flat_map(|case| {
        let graph = case.outline().unwrap_or_else(|e| panic!("{}: {e}", case.name));
        launches_of(&case.name, &graph, &target, false).unwrap_or_else(|e| panic!("{}: {e}", case.name))
    });
    cases
        .filter(|launch| !launch.variant.imports.contains_key("FRAGMENTS"))
        .map(|launch| format!("{}, {}: not on matrices, though the chip has them", launch.case, launch.form))
        .collect()
}

fn without_code(made: &Made) -> Option<String> {
    let text = format!("{}, {}: no machine code", made.launch.case, made.launch.form);
    made.executable.hottest_loop().is_none().then_some(text)
}

/// All forms of the cases at the sizes of real models.
fn bench_launches(target: &Target) -> Vec<FormLaunch> {
    let mut found = Vec::new();
    for case in workbench::half_cases().into_iter().chain(workbench::cases()) {
        let graph = case.outline().unwrap_or_else(|e| panic!("{}: {e}", case.name));
        found.extend(forms(&case.name, &graph, target));
    }
    found
}

/// All forms of the cases of ops.
fn case_launches(target: &Target) -> Vec<FormLaunch> {
    let narrow = Target { max_binding_bytes: 64 << 10, ..target.clone() };
    let cases = ops::all().into_iter().map(|case| (case, target));
    let mut found = Vec::new();
    for (case, target) in cases.chain(variants::carried().into_iter().map(|case| (case, &narrow))) {
        let (graph, _) = case.graph().unwrap_or_else(|e| panic!("{}: {e}", case.name));
        found.extend(forms(&case.name, &graph, target));
    }
    let mut seen = HashSet::new();
    found.retain(|launch| seen.insert((launch.kernel.name, launch.variant.clone(), launch.form.clone())));
    found
}

fn forms(name: &str, graph: &Graph, target: &Target) -> Vec<FormLaunch> {
    launches_of(name, graph, target, true).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Forms that spill or have scratch memory. Forms that run in other subgroups than they are written for are left out: the tuner
/// refuses them.
fn spilling(made: &[Made]) -> impl Iterator<Item = &Made> {
    let usable = |made: &&Made| made.executable.misses_lanes_of(&made.launch.variant).is_none();
    made.iter().filter(usable).filter(|made| made.executable.spills())
}

fn spilled(Made { launch, executable, .. }: &Made) -> String {
    let (case, form, label) = (&launch.case, &launch.form, launch.variant.label());
    let (spilled, scratch) = (executable.statistics.spilled_vgprs, executable.statistics.scratch_bytes);
    format!("{case}, {form}: {spilled} registers spilled, {scratch} bytes of scratch ({label})")
}
