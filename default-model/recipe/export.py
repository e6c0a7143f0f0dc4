"""Write the trained model as an ordinary WanPipeline folder in fp16.

    python export.py [--preset cpu] [--out ../weights] [--trunk]

Takes the averaged weights of the cooled branch (with `--trunk`, of the trunk), and the settings of `[...generation]` in
presets.toml, which go to `generation.json` and the scheduler.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from presets import WEIGHTS, preset
from text_encoder import PROMPT_LENGTH
from train_dit import Trainer


def tidy(cfg: dict, out: Path) -> None:
    """No local paths in the configs, the prompt length where callers look for it, and the settings to start from."""
    for path in out.rglob("config.json"):
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2) + "\n")
    path = out / "tokenizer" / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["model_max_length"] = PROMPT_LENGTH
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    settings = {"height": cfg["height"], "width": cfg["width"], "num_frames": cfg["frames"], "fps": cfg["fps"],
                "num_inference_steps": cfg["generation"]["steps"], "guidance_scale": cfg["generation"]["guidance"],
                "max_sequence_length": PROMPT_LENGTH}
    (out / "generation.json").write_text(json.dumps(settings, indent=2) + "\n")


def main():
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline

    args = argparse.ArgumentParser()
    args.add_argument("--preset", default="cpu")
    args.add_argument("--out", type=Path, default=WEIGHTS)
    args.add_argument("--trunk", action="store_true")
    args = args.parse_args()
    cfg = preset(args.preset)
    trainer = Trainer(cfg, False)
    trainer.load(trainer.root / ("dit.pt" if args.trunk else "dit_cool.pt"))
    trainer.ema.swap()
    args.out.mkdir(parents=True, exist_ok=True)
    WanPipeline(
        tokenizer=trainer.flow.tokenizer, text_encoder=trainer.encoder.half(), transformer=trainer.model.half(),
        vae=AutoencoderKLWan.from_pretrained(trainer.root / "vae").half(),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=cfg["generation"]["shift"]),
    ).save_pretrained(args.out)
    for path in (trainer.root / "tokenizer").iterdir():
        shutil.copy(path, args.out / "tokenizer" / path.name)
    tidy(cfg, args.out)
    total = sum(p.stat().st_size for p in args.out.rglob("*") if p.is_file())
    print(f"wrote {args.out}: {total / 1e6:.1f} MB after {trainer.step} steps")


if __name__ == "__main__":
    main()
