//! Holds what ARCHITECTURE.md promises about the source: which part may know which, and the house rules of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, in lines.
const FILE_LINES: usize = 500;
/// Longest ARCHITECTURE.md, in lines.
const MAP_LINES: usize = 150;
/// Largest test fixture file and largest sum of the embedded weights, in bytes.
const FIXTURE_BYTES: u64 = 3 << 20;
const WEIGHT_BYTES: u64 = 32 << 20;

/// What a crate of this workspace must not depend on.
const CRATE_ARROWS: &[(&str, &[&str])] = &[
    ("shaders", &["wgpu", "engine", "model-loader", "default-model", "kinora-tests"]),
    ("model-loader", &["wgpu", "naga", "shaders", "engine", "default-model", "kinora-tests"]),
    ("engine", &["naga", "default-model", "workbench", "kinora-tests", "anyhow", "clap", "indicatif"]),
    (
        "encode",
        &["wgpu", "naga", "default-model", "workbench", "hub", "kinora-tests", "anyhow", "clap", "indicatif"],
    ),
    ("default-model", &["wgpu", "naga", "shaders", "engine", "model-loader", "kinora-tests"]),
    ("workbench", &["wgpu", "naga", "default-model", "kinora-tests"]),
    ("cli", &["wgpu", "naga", "kinora-tests"]),
    ("hub", &["wgpu", "naga", "shaders", "engine", "model-loader", "default-model", "kinora-tests"]),
    ("web", &["naga", "kinora-tests", "anyhow", "clap", "indicatif"]),
];

/// The modules of the engine from the ground up, and what each must not name by `crate::` although it lies below.
///
/// A module uses only what comes before it: so no two use each other, and there is no longer circle either.
const ENGINE_FLOORS: &[(&str, &[&str])] = &[
    ("tensor", &[]),
    ("tuning", &["tensor"]),
    ("error", &["tensor", "tuning"]),
    ("stopwatch", &["tensor", "tuning", "error"]),
    ("send", &["tensor", "tuning", "error", "stopwatch"]),
    ("tiling", &["tuning", "error", "stopwatch"]),
    ("video", &["tensor", "tuning", "error", "stopwatch", "tiling"]),
    ("picture", &["tensor", "tuning", "error", "stopwatch", "tiling"]),
    ("diffusion", &["tensor", "tuning", "error", "stopwatch", "tiling", "video", "picture"]),
    ("target", &["error", "diffusion"]),
    ("adapter", &["error", "diffusion"]),
    ("tuner", &["diffusion"]),
    ("weight", &["target", "tuner", "diffusion"]),
    ("cpu", &["weight", "target", "tuner", "diffusion"]),
    ("op", &["weight", "tuner", "diffusion"]),
    ("graph", &["cpu", "target", "tuner", "diffusion"]),
    ("plan", &["tuner", "diffusion"]),
    ("run", &["cpu", "tuner", "diffusion"]),
    ("residents", &["cpu", "op", "plan", "run", "diffusion"]),
    ("gpu", &["cpu", "diffusion"]),
    ("executor", &["diffusion"]),
    ("ops", &["gpu", "executor", "residents", "run", "diffusion"]),
    ("nn", &["gpu", "cpu", "executor", "residents", "run", "plan", "diffusion"]),
    ("models", &["gpu", "cpu", "executor", "residents", "run", "plan", "diffusion"]),
    ("pipeline", &["cpu", "residents"]),
];

/// Crates that are libraries: only programs print.
const LIBRARIES: &[&str] =
    &["shaders", "hub", "model-loader", "engine", "encode", "workbench", "default-model", "web"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace").to_path_buf()
}

/// A file of the workspace, named by its path from the root with forward slashes.
struct Source {
    path: String,
    text: String,
}

/// Every file under `folder` (from the root) whose name ends in `.extension`; build outputs and hidden folders excepted.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a readable folder").path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && name != "node_modules" && name != "shared" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if extension.is_empty() || name.ends_with(&format!(".{extension}")) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let root = root();
    files(folder, extension)
        .into_iter()
        .map(|file| Source {
            path: file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().replace('\\', "/"),
            text: fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())),
        })
        .collect()
}

/// Passes when `violations` is empty, else fails with all of them.
fn none(rule: &str, violations: impl IntoIterator<Item = String>) {
    let list: Vec<_> = violations.into_iter().collect();
    assert!(list.is_empty(), "{rule}:\n  {}", list.join("\n  "));
}

/// Rust without what a compiler ignores: comments and the insides of strings become blanks, lines stay lines.
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => until(&chars, at, |rest| rest[0] == '\n', 0),
            '/' if chars.get(at + 1) == Some(&'*') => block_comment(&chars, at),
            '"' => string(&chars, at),
            'r' if raw_string(&chars, at).is_some() => raw_string(&chars, at).unwrap_or(at + 1),
            '\'' if chars.get(at + 1) == Some(&'\\') => until(&chars, at + 3, |rest| rest[0] == '\'', 1),
            '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
            other => {
                out.push(other);
                at += 1;
                continue;
            }
        };
        let end = end.min(chars.len());
        out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

fn until(chars: &[char], from: usize, stop: impl Fn(&[char]) -> bool, past: usize) -> usize {
    (from..chars.len()).find(|&i| stop(&chars[i..])).map_or(chars.len(), |i| i + past)
}

fn block_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth.saturating_sub(1), at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of the raw string that starts at `start`, should one start there.
fn raw_string(chars: &[char], start: usize) -> Option<usize> {
    let inside_word = start > 0 && (chars[start - 1].is_alphanumeric() || chars[start - 1] == '_');
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    // `br"` is a raw string as well.
    let byte = start > 0 && chars[start - 1] == 'b';
    if (inside_word && !byte) || chars.get(start + 1 + hashes) != Some(&'"') {
        return None;
    }
    let closes = |rest: &[char]| {
        rest[0] == '"' && rest[1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    Some(until(chars, start + 2 + hashes, closes, 1 + hashes))
}

/// Whether `text` holds `word` as an identifier of its own.
fn names(text: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| !part(text[..at].chars().next_back()) && !part(text[at + word.len()..].chars().next()))
}

/// The modules that code names right after `crate::`, also in groups such as `crate::{a, b::{c, d}}`.
fn crate_modules(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, head) in code.match_indices("crate::") {
        let rest = code[at + head.len()..].trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut word) = (0, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(first_segment(&word));
                        word.clear();
                        continue;
                    }
                    _ => {}
                }
                word.push(c);
            }
            found.insert(first_segment(&word));
        } else {
            found.insert(first_segment(rest));
        }
    }
    found.remove("");
    found
}

fn first_segment(path: &str) -> String {
    path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The names under every `[...dependencies]` table of a manifest, targets' and build ones included.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = table.ends_with("dependencies");
            // [dependencies.name] is a table of its own.
            if let Some((_, name)) = table.rsplit_once("dependencies.") {
                found.insert(name.to_owned());
            }
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let name: String =
                line.chars().take_while(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect();
            found.insert(name);
        }
    }
    found
}

/// The module of the engine that a path belongs to: a file or a folder of `src`, or of `src/compute`, whose modules are
/// reached by `crate::` like the others.
fn module_of(path: &str) -> String {
    let inside = path.strip_prefix("engine/src/").unwrap_or(path);
    first_segment(inside.strip_prefix("compute/").unwrap_or(inside))
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let mut wrong = Vec::new();
    for (krate, forbidden) in CRATE_ARROWS {
        let Ok(manifest) = fs::read_to_string(root().join(krate).join("Cargo.toml")) else { continue };
        let has = dependencies(&manifest);
        let named =
            forbidden.iter().filter(|&&name| has.contains(name) || has.contains(&format!("kinora-{name}")));
        wrong.extend(named.map(|name| format!("{krate} depends on {name}")));
        if !manifest.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{krate} does not take the workspace's lints"));
        }
    }
    none("dependencies against the arrows", wrong);
}

#[test]
fn only_the_gpu_module_names_wgpu() {
    let outside = sources("engine/src", "rs").into_iter().filter(|file| module_of(&file.path) != "gpu");
    let wrong = outside.filter(|file| names(&code(&file.text), "wgpu")).map(|file| file.path);
    none("wgpu named outside engine/src/compute/gpu", wrong);
}

/// Which modules of the engine each of them names. Unit tests may run a module's work on any executor.
fn engine_uses() -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources("engine/src", "rs").into_iter().filter(|file| !file.path.ends_with("tests.rs")) {
        let module = module_of(&file.path);
        // These two only list the others.
        if !["lib", "compute"].contains(&module.as_str()) {
            uses.entry(module).or_default().extend(crate_modules(&code(&file.text)));
        }
    }
    let modules: BTreeSet<String> = uses.keys().cloned().collect();
    for (module, used) in &mut uses {
        used.retain(|name| name != module && modules.contains(name));
    }
    uses
}

/// Where modules use what they must not, by a table like [`ENGINE_FLOORS`].
fn against_floors(uses: &BTreeMap<String, BTreeSet<String>>, floors: &[(&str, &[&str])]) -> Vec<String> {
    let mut wrong = Vec::new();
    let floor = |name: &str| floors.iter().position(|(module, _)| *module == name);
    for (module, used) in uses {
        let Some(own) = floor(module) else {
            wrong.push(format!("{module} has no row in the table"));
            continue;
        };
        let above = used.iter().filter(|name| floor(name) > Some(own));
        wrong.extend(above.map(|name| format!("{module} uses {name}, which lies above it")));
        let forbidden = floors[own].1.iter().filter(|&&name| used.contains(name));
        wrong.extend(forbidden.map(|name| format!("{module} uses {name}")));
    }
    let gone = floors.iter().filter(|(module, _)| !uses.contains_key(*module));
    wrong.extend(gone.map(|(module, _)| format!("there is no module {module}")));
    wrong
}

#[test]
fn no_two_modules_of_the_engine_use_each_other() {
    none("modules against the floors", against_floors(&engine_uses(), ENGINE_FLOORS));
}

#[test]
fn the_pipeline_names_no_family_and_no_encoder() {
    let folders = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let paths = entries.map(|entry| entry.expect("a readable folder").path());
        let names = paths.filter(|path| path.is_dir()).filter_map(|path| Some(path.file_name()?.to_owned()));
        names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let mut names = folders("engine/src/models");
    names.retain(|name| name != "encoders");
    names.extend(folders("engine/src/models/encoders"));
    assert!(names.len() >= 3, "{names:?}");
    let (families, others): (Vec<_>, Vec<_>) = sources("engine/src/pipeline", "rs")
        .into_iter()
        .partition(|file| file.path.ends_with("pipeline/family.rs"));
    let named = |file: &Source| {
        let code = code(&file.text);
        names.iter().filter(|name| begins_an_identifier(&code, name)).cloned().collect::<Vec<_>>()
    };
    assert!(families.iter().any(|file| named(file).len() >= 2), "`family.rs` names no families");
    let wrong = others.iter().filter(|file| !named(file).is_empty());
    let wrong = wrong.map(|file| format!("{} names {}", file.path, named(file).join(", ")));
    none("families and encoders named in the pipeline", wrong);
}

/// Whether an identifier begins with this word, in any case: `wan`, `WanModel` and `wan_model`, but not `wanted`.
fn begins_an_identifier(code: &str, word: &str) -> bool {
    let identifiers = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    identifiers.filter(|identifier| identifier.is_ascii()).any(|identifier| {
        let rest = identifier.get(word.len()..).unwrap_or("x").chars().next();
        identifier.to_lowercase().starts_with(word) && rest.is_none_or(|c| c == '_' || c.is_uppercase())
    })
}

#[test]
fn naga_and_wgpu_are_pinned_together() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let version = |name: &str| {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap_or_default();
        line.split('"').nth(1).unwrap_or_default().to_owned()
    };
    assert!(version("naga").starts_with('='), "naga is not pinned: {:?}", version("naga"));
    assert_eq!(version("naga"), version("wgpu"));
}

#[test]
fn only_programs_print() {
    let macros = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
    let mut wrong = Vec::new();
    for file in LIBRARIES.iter().flat_map(|krate| sources(&format!("{krate}/src"), "rs")) {
        let code = code(&file.text);
        let used = macros.iter().filter(|name| names(&code, name));
        wrong.extend(used.map(|name| format!("{}: {name}", file.path)));
    }
    none("libraries that print", wrong);
}

#[test]
fn nothing_is_left_for_later() {
    // In two parts, or this file would name them itself.
    let in_code = [concat!("todo", "!"), concat!("unimplemented", "!"), concat!("#[", "ignore")];
    let in_text = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("//! Place", "holder")];
    let mut wrong = Vec::new();
    for file in sources("", "rs").into_iter().chain(sources("", "wgsl")) {
        let code = code(&file.text);
        let found = in_code.iter().filter(|&&mark| code.contains(mark));
        let found = found.chain(in_text.iter().filter(|&&mark| file.text.contains(mark)));
        wrong.extend(found.map(|mark| format!("{}: {mark}", file.path)));
    }
    none("left for later", wrong);
}

#[test]
fn files_say_what_they_are_and_stay_short() {
    let mut wrong = Vec::new();
    for (extension, opening) in [("rs", "//! "), ("wgsl", "// ")] {
        for file in sources("", extension) {
            if !file.text.starts_with(opening) {
                wrong.push(format!("{} does not open with `{}`", file.path, opening.trim()));
            }
            let lines = file.text.lines().count();
            if lines > FILE_LINES {
                wrong.push(format!("{} has {lines} lines, more than {FILE_LINES}", file.path));
            }
        }
    }
    none("files", wrong);
}

#[test]
fn data_stays_small() {
    let size = |file: &Path| fs::metadata(file).map_or(0, |data| data.len());
    let fixtures = files("tests/fixtures", "").into_iter().filter(|file| size(file) > FIXTURE_BYTES);
    none("fixtures over 3 MiB", fixtures.map(|file| file.display().to_string()));
    let weights: u64 = files("default-model/weights", "").iter().map(|file| size(file)).sum();
    assert!(weights > 0, "default-model/weights is empty");
    assert!(weights <= WEIGHT_BYTES, "default-model/weights holds {weights} bytes, more than {WEIGHT_BYTES}");
}

#[test]
fn the_documents_are_there() {
    let expected =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "Cargo.lock"];
    let missing = expected.iter().filter(|&&name| !root().join(name).is_file());
    none("missing files", missing.map(|&name| name.to_owned()));
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    assert!(map.lines().count() < MAP_LINES, "ARCHITECTURE.md has {} lines", map.lines().count());
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    assert!(readme.contains("bash .ci/test"), "README.md does not name the command that runs the tests");
}

#[test]
fn the_rules_see_what_they_should() {
    let sample = r##"use a; // wgpu
/* wgpu /* wgpu */ wgpu */ let s = "wgpu \" wgpu"; let r = r#"wgpu " wgpu"#; let c = '"'; let t: &'static str = x;"##;
    assert!(!names(&code(sample), "wgpu"), "{}", code(sample));
    assert!(code(sample).contains("&'static str = x;"));
    assert_eq!(code(sample).lines().count(), 2);
    assert!(names(&code("let q = '\\''; let w = wgpu::Device;"), "wgpu"));
    assert!(!names("my_wgpu wgpu_hal", "wgpu"));

    let used = crate_modules("use crate::{gpu::Device, op::{Op, Io}, plan}; fn f(x: crate::cpu::Cpu) {}");
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["cpu", "gpu", "op", "plan"]);

    let uses = |rows: &[(&str, &[&str])]| -> BTreeMap<String, BTreeSet<String>> {
        let used = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        rows.iter().map(|(module, names)| ((*module).to_owned(), used(names))).collect()
    };
    let floors: &[(&str, &[&str])] = &[("a", &[]), ("b", &[]), ("c", &["a"])];
    assert!(against_floors(&uses(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]), floors).is_empty());
    // Two that use each other, whatever their order.
    let wrong = against_floors(&uses(&[("a", &["b"]), ("b", &["a"]), ("c", &["a"])]), floors);
    assert_eq!(wrong, ["a uses b, which lies above it", "c uses a"]);
    let wrong = against_floors(&uses(&[("a", &[]), ("b", &[]), ("d", &[])]), floors);
    assert_eq!(wrong, ["d has no row in the table", "there is no module c"]);

    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# c\nwgpu = \"1\"\nengine.workspace = true\n[features]\nz = []\n\
                    [target.'cfg(unix)'.dev-dependencies]\nnaga = { version = \"1\" }\n[dependencies.clap]\nversion = \"4\"\n";
    let has = dependencies(manifest);
    assert_eq!(has.into_iter().collect::<Vec<_>>(), ["clap", "engine", "naga", "wgpu"]);

    for path in ["compute/gpu.rs", "compute/gpu/device.rs"] {
        assert_eq!(module_of(&format!("engine/src/{path}")), "gpu");
    }
    assert_eq!(module_of("engine/src/pipeline/open.rs"), "pipeline");
    assert_eq!(module_of("engine/src/compute.rs"), "compute");
}
