"""Every stage of the recipe, in order.

    python make.py [--preset cpu] [--from STAGE] [--only STAGE]

Each stage resumes where it was stopped, so the command may be interrupted and given again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from presets import HERE

STAGES = {
    "data": ["make_data.py"],
    "autoencoder": ["train_vae.py", "--compile"],
    "latents": ["latents.py", "--compile"],
    "text": ["train_text.py"],
    "transformer": ["train_dit.py", "--compile"],
    "cool": ["train_dit.py", "--cool", "--compile"],
    "export": ["export.py"],
    "watcher": ["watcher.py"],
    "evaluate": ["evaluate.py"],
    "samples": ["sample.py"],
}


def main():
    args = argparse.ArgumentParser(epilog="stages: " + ", ".join(STAGES))
    args.add_argument("--preset", default="cpu")
    args.add_argument("--from", dest="first", choices=STAGES, default="data")
    args.add_argument("--only", choices=STAGES)
    args = args.parse_args()
    names = list(STAGES)
    for name in [args.only] if args.only else names[names.index(args.first) :]:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, HERE / STAGES[name][0], *STAGES[name][1:], "--preset", args.preset], check=True)


if __name__ == "__main__":
    main()
