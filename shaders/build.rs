//! Turns every file of `wgsl/` into one typed constant, so adding a kernel is adding a file.
use std::{env, fmt::Write, fs, io, path::Path};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=wgsl");
    let dir = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("wgsl");
    let kernels = stems(&dir)?;
    let mut out = String::new();
    for stem in &kernels {
        let path = dir.join(format!("{stem}.wgsl"));
        writeln!(out, "#[doc = \"`wgsl/{stem}.wgsl`\"]").expect("writes to a string");
        writeln!(
            out,
            "pub static {}: Kernel = Kernel {{ name: {stem:?}, body: include_str!({path:?}) }};",
            stem.to_uppercase()
        )
        .expect("writes to a string");
    }
    let list: Vec<String> = kernels.iter().map(|s| format!("&{}", s.to_uppercase())).collect();
    writeln!(
        out,
        "/// Every kernel, in alphabetical order.\npub static ALL: &[&Kernel] = &[{}];",
        list.join(", ")
    )
    .expect("writes to a string");
    let common = dir.join("common");
    let entries: Vec<String> = stems(&common)?
        .iter()
        .map(|s| format!("({s:?}, include_str!({:?}))", common.join(format!("{s}.wgsl"))))
        .collect();
    writeln!(out, "pub(crate) static COMMON: &[(&str, &str)] = &[{}];", entries.join(", "))
        .expect("writes to a string");
    fs::write(Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("kernels.rs"), out)
}

fn stems(dir: &Path) -> io::Result<Vec<String>> {
    let mut stems = Vec::new();
    for entry in fs::read_dir(dir)? {
        if let Some(stem) = entry?.file_name().to_str().and_then(|n| n.strip_suffix(".wgsl")) {
            stems.push(stem.to_owned());
        }
    }
    stems.sort();
    Ok(stems)
}
