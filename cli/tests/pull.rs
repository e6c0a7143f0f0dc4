//! Models of the hub: downloaded from a fake one on 127.0.0.1 into a cache of the test's own, then used without it.

mod support;

#[path = "../../hub/tests/hub/support/faults.rs"]
#[allow(dead_code, reason = "the hub's own tests use all of it")]
mod faults;
#[path = "../../hub/tests/hub/support/http.rs"]
mod http;
#[path = "../../hub/tests/hub/support/server.rs"]
#[allow(dead_code, reason = "the hub's own tests use all of it")]
mod server;

use faults::{Fault, Key};
use server::FakeHub;
use std::fs;
use std::path::Path;
use support::{Run, Workspace};

const WAN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/wan");
const SMALL: &[&str] =
    &["--device", "cpu", "--steps", "2", "--width", "32", "--height", "32", "--frames", "5", "--seed", "3"];

/// A hub that has the small model as `org/tiny`.
fn hub() -> FakeHub {
    let (mut files, mut open) = (Vec::new(), vec![String::new()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(Path::new(WAN).join(&folder)).unwrap().map(Result::unwrap) {
            let name = format!("{folder}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                open.push(format!("{name}/"));
            } else {
                files.push((name, fs::read(entry.path()).unwrap()));
            }
        }
    }
    FakeHub::start(files)
}

/// A run whose hub and cache are the test's.
fn run(here: &Workspace, endpoint: &str, offline: bool, arguments: &[&str]) -> Run {
    let mut command = here.command(arguments);
    for name in
        ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HTTP_PROXY", "ALL_PROXY"]
    {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", here.path("hf"))
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "" });
    Run::from(command.output().unwrap())
}

#[test]
fn a_model_is_pulled_once_and_then_used_without_the_hub() {
    let (here, hub) = (Workspace::new(), hub());
    let pulled = run(&here, hub.address(), false, &["pull", "org/tiny"]);
    pulled.code(0);
    let folder = pulled.stdout.trim_end();
    assert!(
        folder.ends_with(&hub.commit()) && Path::new(folder).join("model_index.json").is_file(),
        "{pulled:?}"
    );
    let told = pulled.stderr.lines().find(|line| line.starts_with("downloading ")).unwrap();
    assert!(told.contains(" files of org/tiny, ") && told.contains("hf"), "{told}");
    // What records the tests' numbers is no part of the model.
    assert!(!Path::new(folder).join("golden.safetensors").exists());

    let again = run(&here, hub.address(), false, &["pull", "org/tiny", "--quiet"]);
    again.code(0);
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), (pulled.stdout.as_str(), ""));

    hub.forget_log();
    let line = [&["generate", "a boat", "--model", "org/tiny", "-o", "v.y4m"], SMALL].concat();
    let made = run(&here, hub.address(), true, &line);
    made.code(0);
    assert!(hub.log().is_empty(), "the hub was asked");
    let video = fs::read(here.path("v.y4m")).unwrap();

    let local = [&["generate", "a boat", "--model", WAN, "-o", "w.y4m"], SMALL].concat();
    run(&here, "http://127.0.0.1:9", false, &local).code(0);
    assert!(fs::read(here.path("w.y4m")).unwrap() == video, "another video than the folder's");

    // Written down as it was typed.
    let line = [&["generate", "a boat", "--model", "org/tiny", "-o", "v.mp4"], SMALL].concat();
    run(&here, hub.address(), false, &line).code(0);
    let inspected = here.run(&["inspect", "v.mp4"]);
    assert!(inspected.stdout.contains(" --model org/tiny "), "{inspected:?}");
    let described = run(&here, hub.address(), true, &["inspect", "org/tiny"]);
    described.code(0);
    assert!(described.stdout.contains("WanPipeline"), "{described:?}");
}

#[test]
fn a_model_that_is_named_is_downloaded_first_and_a_folder_of_that_name_wins() {
    let (here, hub) = (Workspace::new(), hub());
    let line = [&["generate", "a boat", "--model", "org/tiny", "-o", "v.y4m"], SMALL].concat();
    let offline = run(&here, hub.address(), true, &line);
    offline.code(1);
    assert!(offline.stderr.contains("is not complete in the cache"), "{offline:?}");
    assert!(offline.stderr.contains("unset HF_HUB_OFFLINE"), "{offline:?}");

    let large = "transformer/diffusion_pytorch_model-00001-of-00002.safetensors";
    hub.fault(Key::Body(large.to_owned()), Fault::Drop(1000));
    let made = run(&here, hub.address(), false, &line);
    made.code(0);
    assert!(made.stderr.contains("downloading ") && made.stderr.contains("trying again in"), "{made:?}");

    fs::create_dir_all(here.path("org/tiny")).unwrap();
    let empty = run(&here, hub.address(), false, &line);
    empty.code(1);
    assert!(empty.stderr.contains("model_index.json"), "{empty:?}");
}

#[test]
fn what_the_hub_has_not_is_told_with_a_way_out() {
    let (here, hub) = (Workspace::new(), hub());
    for (arguments, told, hint) in [
        (
            &["pull", "org/other"][..],
            "the hub has no repository `org/other`",
            "no folder or file of that name here",
        ),
        (&["pull", "org/tiny@v9"], "the hub has no revision", "check the name"),
        (&["pull", "tiny"], "`tiny` is not the name of a repository", "owner/name"),
        (&["pull", "org/tiny", "--variant", "fp8"], "no weights of the variant `fp8`", "`--variant`"),
        (&["pull", "org/tiny", "--file", "*.gguf"], "holds no file `*.gguf`", "`--file`"),
    ] {
        let run = run(&here, hub.address(), false, arguments);
        run.code(1);
        assert!(run.stderr.contains(told) && run.stderr.contains(hint), "{run:?}");
        assert!(run.stdout.is_empty(), "{run:?}");
    }
    let picked = run(&here, hub.address(), false, &["pull", "org/tiny", "--file", "vae/*"]);
    picked.code(0);
    let folder = Path::new(picked.stdout.trim_end());
    assert!(folder.join("vae/config.json").is_file(), "{picked:?}");
    assert!(!folder.join("transformer/config.json").exists(), "{picked:?}");
}

/// The first Ctrl-C ends a download that stands still, and what has arrived is still there for the next one.
#[cfg(unix)]
#[test]
fn an_interrupted_download_is_gone_on_with() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};
    let (here, hub) = (Workspace::new(), hub());
    let large = "transformer/diffusion_pytorch_model-00001-of-00002.safetensors";
    hub.fault(Key::Body(large.to_owned()), Fault::Stall(1000));
    let mut command = here.command(&["pull", "org/tiny"]);
    command.env("HF_ENDPOINT", hub.address()).env("HF_HOME", here.path("hf"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    let asked = || hub.log().iter().any(|asked| asked.path == format!("/stored/{large}"));
    while !asked() {
        assert!(start.elapsed() < Duration::from_secs(60), "the file was never asked for");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: the process is ours and not yet waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let stopped = Run::from(child.wait_with_output().unwrap());
    stopped.code(130);
    assert!(stopped.stderr.contains("interrupted; what has arrived is kept"), "{stopped:?}");
    assert!(stopped.stdout.is_empty(), "{stopped:?}");
    run(&here, hub.address(), false, &["pull", "org/tiny"]).code(0);
}
