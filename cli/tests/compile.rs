//! `kinora bench --compile-for`: numbers where Mesa's driver for AMD is installed, words on how to get it where it is not.

mod support;

use serde_json::Value;
use support::Workspace;

#[test]
fn a_kernel_is_compiled_for_a_chip_that_is_not_here() {
    let here = Workspace::new();
    let run =
        here.run(&["bench", "--compile-for", "navi31", "half attention/1.3B text", "--json", "--isa", "isa"]);
    if run.exit != Some(0) {
        // CI on Linux has the driver: `tests/tests/chips.rs` fails without it.
        assert_eq!(run.exit, Some(2), "{run:?}");
        let on_linux = cfg!(target_os = "linux");
        assert_eq!(run.stderr.contains("apt install mesa-vulkan-drivers"), on_linux, "{run:?}");
        return;
    }
    assert!(run.stderr.is_empty(), "{run:?}");
    let rows: Value = serde_json::from_str(&run.stdout).unwrap();
    let row = &rows[0];
    assert_eq!((&row["kernel"], &row["chip"]), (&"attention".into(), &"navi31".into()), "{row:#}");
    for number in
        ["vgprs", "lds_bytes", "subgroups_per_simd", "code_bytes", "latency_cycles", "throughput_cycles"]
    {
        assert!(row[number].as_u64().is_some_and(|value| value > 0), "{number}: {row:#}");
    }
    for number in ["spilled_vgprs", "scratch_bytes"] {
        assert!(row[number].is_u64(), "{number}: {row:#}");
    }
    for number in ["wmma", "fma", "lds_loads", "lds_stores", "global_loads", "other"] {
        assert!(row["loop"][number].is_u64(), "{number}: {row:#}");
    }
    let files = std::fs::read_dir(here.path("isa")).unwrap().count();
    assert_eq!(files, rows.as_array().unwrap().len());
}

#[test]
fn an_unknown_chip_is_answered_with_the_known_ones() {
    let run = Workspace::new().run(&["bench", "--compile-for", "voodoo2"]);
    run.code(1);
    assert!(run.stderr.contains("no chip is called `voodoo2`") && run.stderr.contains("navi21"), "{run:?}");
}

#[test]
fn what_is_measured_on_a_device_and_what_is_compiled_without_one_exclude_each_other() {
    for line in [
        &["bench", "--compile-for", "navi31", "--device", "cpu"][..],
        &["bench", "--compile-for", "navi31", "--runs", "3"],
        &["bench", "--forms"],
        &["bench", "--isa", "folder"],
    ] {
        Workspace::new().run(line).code(1);
    }
}
