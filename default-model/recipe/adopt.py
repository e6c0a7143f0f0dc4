"""Lay out the work folder from an exported model, so that training goes on from it instead of from nothing.

    python adopt.py [--preset cpu] [--weights ../weights]

Takes the autoencoder, the tokenizer and the text encoder, and puts the transformer where `train_dit.py` starts from. The
stages that make these may then be left out, or given with `--warm` (`train_vae.py`).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from common import save_atomic
from presets import WEIGHTS, WORK, preset


def main():
    from transformers import UMT5EncoderModel

    args = argparse.ArgumentParser()
    args.add_argument("--preset", default="cpu")
    args.add_argument("--weights", type=Path, default=WEIGHTS)
    args = args.parse_args()
    root = WORK / preset(args.preset)["name"]
    for source, target in (("vae", "vae"), ("tokenizer", "tokenizer"), ("transformer", "start")):
        shutil.copytree(args.weights / source, root / target, dirs_exist_ok=True)
    save_atomic(UMT5EncoderModel.from_pretrained(args.weights / "text_encoder").float().state_dict(), root / "text.pt")
    print(f"{root} now goes on from {args.weights}")


if __name__ == "__main__":
    main()
