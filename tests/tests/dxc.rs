//! Microsoft's compiler takes every variant: the HLSL that wgpu hands it on Direct3D 12, in shader model 6.2 with 16-bit types.
#[path = "dxc/compiler.rs"]
mod compiler;
#[path = "dxc/hlsl.rs"]
mod hlsl;

use compiler::{Compiler, Library};
use kinora_tests::variants::{self, kernel};
use libtest_mimic::{Arguments, Failed, Trial};
use shaders::Variant;
use std::{
    collections::BTreeMap,
    io::Write,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Whose value is the library's path; else it lies where `.ci/dxc` puts it.
const PATH: &str = "KINORA_DXC";
/// Set where its absence is a failure.
const REQUIRED: &str = "KINORA_REQUIRE_DXC";
/// wgpu asks for no level, which is the highest: that takes twice as long, and the compiler neither refuses nor warns of more.
const LEVEL: &str = "-O0";
/// Parts of warnings that say nothing about the code: naga writes a pair of parentheses too many, and only Windows has what
/// signs the result.
const ACCEPTED: &[&str] = &["extraneous parentheses", "DXIL.dll not found"];

fn main() {
    let arguments = Arguments::from_args();
    let path = library();
    let required = std::env::var_os(REQUIRED).is_some();
    if path.is_none() {
        // Nobody is left to tell when this fails.
        let _ = writeln!(
            std::io::stderr(),
            "dxc: Microsoft's shader compiler is not here: no HLSL is compiled. `bash .ci/dxc` fetches it on Linux; elsewhere set \
             {PATH} to a libdxcompiler"
        );
    }
    let absent = path.is_none() && !required;
    let trial = Trial::test("every_variant", move || match path {
        Some(path) => every_variant(&path),
        None => Err("libdxcompiler is not here".into()),
    });
    libtest_mimic::run(&arguments, vec![trial.with_ignored_flag(absent)]).exit();
}

/// The library, if it is there.
fn library() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(PATH) {
        return Some(path.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("kinora/dxc/libdxcompiler.so")).filter(|path| path.exists())
}

fn every_variant(path: &std::path::Path) -> Result<(), Failed> {
    let library = Library::open(path)?;
    // No adapter of Direct3D has what some enable, and what is emulated only tests run.
    let is_used = |variant: &Variant| {
        variant.enables.is_empty() && variant.imports.get("FRAGMENTS") != Some(&"fragments_emulated")
    };
    let variants: Vec<(&str, Variant)> =
        variants::of_all_cases(true).into_iter().filter(|(_, variant)| is_used(variant)).collect();
    if variants.len() < 500 {
        return Err(format!("only {} variants", variants.len()).into());
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<String>, String> {
        let compiler = Compiler::new(&library)?;
        let mut said = Vec::new();
        while let Some((name, variant)) = variants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let label = format!("{name} [{}]", variant.label());
            let text = hlsl::write(kernel(name), variant).map_err(|e| format!("{label}: {e}"))?;
            let messages = compiler.compile(&text, LEVEL).map_err(|e| format!("{label}: {e}"))?;
            said.extend(messages.into_iter().map(|message| format!("{message} ({label})")));
        }
        Ok(said)
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let said: Result<Vec<Vec<String>>, String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().map_err(|_| "a thread panicked")?).collect()
    });
    let unexpected =
        said?.into_iter().flatten().filter(|message| !ACCEPTED.iter().any(|known| message.contains(known)));
    // One example of each message.
    let mut kinds: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for message in unexpected {
        let kind = message.split(" (").next().unwrap_or_default().to_owned();
        kinds.entry(kind).or_insert((0, message)).0 += 1;
    }
    let list: Vec<String> =
        kinds.values().map(|(count, example)| format!("{count} times: {example}")).collect();
    if list.is_empty() { Ok(()) } else { Err(list.join("\n").into()) }
}
