"""The report of real_gpu.sh: all that its steps said, as JSON and as a page.

    python3 benches/real_gpu_report.py write FOLDER --commit HASH --device gpu:0
    python3 benches/real_gpu_report.py test-prefix DEVICES.json gpu:0

The second prints how the tests of ops name an adapter, such as `nvidia0`.
"""
import argparse
import datetime
import html
import json
import pathlib
import platform
import re
import subprocess


def first_line(command):
    """What a program says first; nothing where it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return next(iter(done.stdout.strip().splitlines()), None)
    except (OSError, subprocess.TimeoutExpired):
        return None


def machine():
    """Where the report comes from."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"]
    return {
        "system": platform.platform(),
        "processor": first_line(["sh", "-c", "sed -n 's/^model name.*: //p' /proc/cpuinfo"]) or platform.processor(),
        "nvidia": first_line(query),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def read_steps(folder):
    """One object for each step, in order."""
    steps = []
    for status_file in sorted(folder.glob("*.status")):
        name = status_file.name[3 : -len(".status")]
        status, seconds, command = status_file.read_text().strip().split(" ", 2)
        step = {"name": name, "status": status, "seconds": int(seconds), "command": command}
        stem = status_file.name[: -len(".status")]
        for suffix in ("json", "txt", "log"):
            file = folder / f"{stem}.{suffix}"
            text = file.read_text(errors="replace") if file.exists() else ""
            if suffix == "json" and text:
                try:
                    step["result"] = json.loads(text)
                except json.JSONDecodeError:
                    step["output"] = text[-4000:]
            elif suffix == "txt" and text:
                step["tests"] = tests(text)
                step["output"] = text[-4000:]
            elif text:
                step["log"] = text[-4000:]
        steps.append(step)
    return steps


def tests(text):
    """How many tests passed, and which did not."""
    results = re.findall(r"(\d+) passed; (\d+) failed", text)
    return {
        "passed": sum(int(passed) for passed, _ in results),
        "failed": sum(int(failed) for _, failed in results),
        "failures": re.findall(r"^test (\S.*?)\s+\.\.\. FAILED$", text, re.MULTILINE),
    }


def table(heads, rows):
    """An HTML table."""
    cells = lambda tag, row: "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row)  # noqa: E731
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><tr>{cells('th', heads)}</tr>{body}</table>"


def bench_tables(result):
    """The stages of a `kinora bench --json`."""
    peaks = f"{result['peak_tflops_per_second']:.2f} TFLOP/s by multiply-adds, {result['peak_gb_per_second']:.0f} GB/s"
    parts = [f"<p>{html.escape(result['device'])}: {peaks}</p>"]
    for stage in result["stages"]:
        rows = [
            [
                kernel["name"],
                kernel["launches"],
                f"{kernel['ms']:.3f}",
                f"{kernel['tflops_per_second']:.3f}",
                f"{kernel['gb_per_second']:.1f}",
                f"{100 * kernel['share_of_peak']:.0f} %",
                kernel["variant"],
            ]
            for kernel in stage["kernels"]
        ]
        parts.append(f"<h3>{html.escape(stage['title'])}: {stage['kernels_ms']:.1f} ms</h3>")
        parts.append(table(["kernel", "launches", "ms", "TFLOP/s", "GB/s", "of peak", "variant"], rows))
    return "".join(parts)


def torch_tables(result):
    """What real_gpu_torch.py measured."""
    kernels = [[k["name"], f"{k['ms']:.3f}", f"{k['tflops_per_second']:.3f}"] for k in result["kernels"]]
    steps = [[step["name"], f"{step['ms']:.1f}"] for step in result["steps"]]
    missing = f"<p>{html.escape(result['steps_missing'])}</p>" if "steps_missing" in result else ""
    title = f"<p>{html.escape(result['device'])}, torch {html.escape(result['torch'])}, {html.escape(result['dtype'])}</p>"
    return title + table(["kernel", "ms", "TFLOP/s"], kernels) + table(["evaluation", "ms"], steps) + missing


def section(step):
    """A step of the page."""
    done = {"0": "done", "124": "ran out of time", "skipped": "no time left"}
    state = done.get(step["status"], f"exit status {step['status']}")
    parts = [f"<h2>{html.escape(step['name'])}</h2><p>{state}, {step['seconds']} s: <code>{html.escape(step['command'])}</code></p>"]
    result = step.get("result")
    if isinstance(result, dict) and "stages" in result:
        parts.append(bench_tables(result))
    elif isinstance(result, dict) and "torch" in result:
        parts.append(torch_tables(result))
    elif result is not None:
        parts.append(f"<details><summary>JSON</summary><pre>{html.escape(json.dumps(result, indent=2))}</pre></details>")
    if "tests" in step:
        counts = step["tests"]
        parts.append(f"<p>{counts['passed']} passed, {counts['failed']} failed</p>")
    if step["status"] != "0":
        said = step.get("output", "") + step.get("log", "")
        parts.append(f"<pre>{html.escape(said)}</pre>")
    return "".join(parts)


STYLE = "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:2px 10px;text-align:left;border-bottom:1px solid #ddd}pre{background:#f4f4f4;padding:1em;overflow:auto}"


def write(folder, commit, device):
    """Writes both files."""
    report = {"kinora_commit": commit, "device": device, "machine": machine(), "steps": read_steps(folder / "steps")}
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    facts = table(["", ""], [["commit", commit], ["device", device], *report["machine"].items()])
    body = "".join(section(step) for step in report["steps"])
    page = f"<!doctype html><meta charset=utf-8><title>Kinora on a GPU</title><style>{STYLE}</style><h1>Kinora on a GPU</h1>{facts}{body}\n"
    (folder / "report.html").write_text(page)


def test_prefix(devices, device):
    """As tests/tests/ops.rs names the adapter: the first word of its name, and its number."""
    gpus = json.loads(pathlib.Path(devices).read_text())["gpus"]
    number = int(device.partition(":")[2] or 0)
    name = next((gpu["name"] for gpu in gpus if gpu["device"] == f"gpu:{number}"), "gpu")
    return f"{re.split('[ (]', name)[0].lower()}{number}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("folder", type=pathlib.Path)
    writing.add_argument("--commit", required=True)
    writing.add_argument("--device", required=True)
    prefix = commands.add_parser("test-prefix")
    prefix.add_argument("devices")
    prefix.add_argument("device")
    args = parser.parse_args()
    if args.command == "write":
        write(args.folder, args.commit, args.device)
    else:
        print(test_prefix(args.devices, args.device))


if __name__ == "__main__":
    main()
