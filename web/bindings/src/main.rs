//! `kinora-web-bindings INPUT.wasm FOLDER NAME`: writes `NAME.js`, `NAME.d.ts` and `NAME_bg.wasm` into the folder.
use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, folder, name] = arguments.as_slice() else {
        eprintln!("usage: kinora-web-bindings INPUT.wasm FOLDER NAME");
        return ExitCode::from(1);
    };
    match write(input, folder, name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{input}: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn write(input: &str, folder: &str, name: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    let bindgen = bindgen.input_path(input).out_name(name).web(true).map_err(|e| format!("{e:#}"))?;
    bindgen.typescript(true).omit_default_module_path(true).remove_name_section(true).remove_producers_section(true);
    bindgen.generate(folder).map_err(|e| format!("{e:#}"))
}
