//! Real runs of the embedded model on the CPU: short, small, and every file read back.

mod support;

use std::fs;
use std::io::Read;
use std::process::Stdio;
use support::Workspace;

/// A run of a few seconds at most.
const SMALL: &[&str] =
    &["--device", "cpu", "--steps", "2", "--width", "32", "--height", "32", "--frames", "5"];

fn generate<'a>(prompt: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    [&["generate", prompt], SMALL, flags].concat()
}

#[test]
fn a_prompt_becomes_a_file_that_knows_its_settings() {
    let here = Workspace::new();
    let run = here.run(&generate("a red balloon", &["--seed", "42"]));
    run.code(0);
    assert_eq!(run.stdout, "a-red-balloon-42.mp4\n");
    assert!(run.stderr.contains("in all") && run.stderr.contains("seed 42"), "{run:?}");
    assert!(run.stderr.contains("computing on CPU\n"), "{run:?}");
    here.holds(&["a-red-balloon-42.mp4"]);
    let bytes = fs::read(here.path("a-red-balloon-42.mp4")).unwrap();
    assert_eq!(&bytes[4..8], b"ftyp");

    let inspected = here.run(&["inspect", "a-red-balloon-42.mp4"]);
    inspected.code(0);
    for line in [
        "prompt           a red balloon\n",
        "seed             42\n",
        "frames           5\n",
        "kinora generate 'a red balloon' --seed 42 ",
        " --device cpu\n",
    ] {
        assert!(inspected.stdout.contains(line), "{line:?} is not in:\n{}", inspected.stdout);
    }
    // A derived name never overwrites.
    let again = here.run(&generate("a red balloon", &["--seed", "42"]));
    assert_eq!(again.stdout, "a-red-balloon-42-2.mp4\n");
    assert!(
        fs::read(here.path("a-red-balloon-42-2.mp4")).unwrap() == bytes,
        "the same seed made another file"
    );
}

#[test]
fn every_format_is_written_and_nothing_else() {
    let here = Workspace::new();
    let side_files = ["--dump", "d.safetensors", "--trace", "t.json", "--quiet"];
    let run = here.run(&generate("fog", &[&["-o", "f.png"], &side_files[..]].concat()));
    run.code(0);
    assert_eq!(run.stdout, "f-%04d.png\n");
    assert!(run.stderr.is_empty(), "{run:?}");
    here.run(&generate("fog", &["-o", "a.apng"])).code(0);
    here.run(&generate("fog", &["-o", "v.y4m", "--native-size"])).code(0);
    here.holds(&[
        "a.apng",
        "d.safetensors",
        "f-0001.png",
        "f-0002.png",
        "f-0003.png",
        "f-0004.png",
        "f-0005.png",
        "t.json",
        "v.y4m",
    ]);
    for file in ["f-0003.png", "a.apng"] {
        assert!(here.run(&["inspect", file]).stdout.contains("fog"));
    }
    let y4m = fs::read(here.path("v.y4m")).unwrap();
    assert!(y4m.starts_with(b"YUV4MPEG2 W32 H32 F16:1 "));
    assert_eq!(y4m.iter().position(|&byte| byte == b'\n').unwrap() + 1 + 5 * (6 + 3 * 32 * 32), y4m.len());
    let trace: serde_json::Value = serde_json::from_slice(&fs::read(here.path("t.json")).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().len() > 2);
}

#[test]
fn a_pipe_gets_y4m_and_nothing_else() {
    let here = Workspace::new();
    let run = here.run(&generate("fog", &["-o", "-"]));
    run.code(0);
    assert!(run.bytes.starts_with(b"YUV4MPEG2 W256 H256 F16:1 "), "{}", run.stderr);
    here.holds(&[]);

    // A reader that goes away ends the run with an error, not with a panic.
    let mut child = here
        .command(&generate("fog", &["-o", "-"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{stderr}");
    assert!(stderr.contains("cannot write to the standard output"), "{stderr}");
}

#[test]
fn odd_requests_are_met_with_a_notice() {
    let here = Workspace::new();
    let line = [
        "generate", "", "--device", "cpu", "--steps", "1", "--width", "16", "--height", "16", "--frames", "4",
    ];
    let run = here.run(&[&line[..], &["--seed", "1"]].concat());
    run.code(0);
    assert!(run.stderr.contains("making 5 frames instead of 4"), "{run:?}");
    here.holds(&["kinora-1.mp4"]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_folder_is_named() {
    let here = Workspace::new();
    // No file can be made there, not even by root.
    let run = here.run(&generate("fog", &["-o", "/proc/self/a.mp4"]));
    run.code(1);
    assert!(run.stderr.contains("cannot write `/proc/self/a.mp4`"), "{run:?}");
}

#[test]
fn two_runs_at_once_keep_both_files() {
    let here = Workspace::new();
    let start =
        || here.command(&generate("fog", &["--seed", "7", "-q"])).stdout(Stdio::piped()).spawn().unwrap();
    let runs = [start(), start()];
    let mut printed = runs.map(|run| {
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    });
    printed.sort();
    assert_eq!(printed, ["fog-7-2.mp4\n", "fog-7.mp4\n"]);
    here.holds(&["fog-7-2.mp4", "fog-7.mp4"]);
}

#[cfg(unix)]
#[test]
fn a_size_limit_leaves_nothing() {
    let here = Workspace::new();
    for name in ["big.apng", "big.mp4", "big.png", "big.y4m"] {
        let limited = format!("ulimit -f 1; exec \"$0\" generate fog {} -o {name}", SMALL.join(" "));
        let output = std::process::Command::new("bash")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_kinora")])
            .current_dir(here.folder())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
        assert!(stderr.contains("error: cannot write `big") && stderr.contains("`ulimit -f`"), "{stderr}");
        here.holds(&[]);
    }
}

/// The side of a new terminal that a program gets.
#[cfg(unix)]
fn terminal() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::ptr::null_mut;
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: the two numbers are written to, and the rest may be null.
    let opened = unsafe { libc::openpty(&mut ours, &mut theirs, null_mut(), null_mut(), null_mut()) };
    assert_eq!(opened, 0);
    // SAFETY: both were opened above and belong to nobody else.
    unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

#[cfg(unix)]
#[test]
fn raw_video_is_not_poured_into_a_terminal() {
    let here = Workspace::new();
    let (_ours, theirs) = terminal();
    let run = here.command(&generate("fog", &["-o", "-"])).stdout(theirs).output().unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: raw video is not written to a terminal"), "{stderr}");
    assert!(stderr.contains("\n\nhint: send it on, as in kinora generate PROMPT -o - | "), "{stderr}");
}

#[cfg(unix)]
#[test]
fn being_stopped_leaves_the_old_file_and_no_new_one() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let here = Workspace::new();
        fs::write(here.path("v.mp4"), "old").unwrap();
        let line = ["generate", "fog", "--device", "cpu", "--steps", "1000", "-o", "v.mp4", "--dump", "d"];
        let output = signalled(&here, here.command(&line), 3, signal);
        assert_eq!(output.status.code(), Some(130), "{signal}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty());
        assert!(output.stderr.ends_with(b"interrupted; nothing was written\n"));
        here.holds(&["v.mp4"]);
        assert_eq!(fs::read(here.path("v.mp4")).unwrap(), b"old");
    }
}

/// As under `nohup`.
#[cfg(unix)]
#[test]
fn hanging_up_stays_ignored_where_it_is() {
    let here = Workspace::new();
    let line = "generate fog --device cpu --width 32 --height 32 --frames 5 --steps 200 -o v.mp4";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &format!("trap '' HUP; exec \"$0\" {line}"), env!("CARGO_BIN_EXE_kinora")]);
    command.current_dir(here.folder());
    let output = signalled(&here, command, 1, "-HUP");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    here.holds(&["v.mp4"]);
}

/// Sends the run a signal once its folder holds so many files: temporary ones are opened when the denoising begins.
#[cfg(unix)]
fn signalled(
    here: &Workspace,
    mut run: std::process::Command,
    files: usize,
    signal: &str,
) -> std::process::Output {
    use std::os::unix::process::CommandExt;
    // SAFETY: `signal` may be called between fork and exec. Whoever runs the tests may ignore hanging up, which children
    // inherit.
    unsafe {
        run.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            Ok(())
        });
    }
    let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = std::time::Instant::now();
    let there =
        || fs::read_dir(here.folder()).unwrap().filter(|e| e.as_ref().unwrap().path().is_file()).count();
    while there() < files && start.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    child.wait_with_output().unwrap()
}
