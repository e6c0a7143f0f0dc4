"""Time diffusers' WanPipeline on a model folder, and dump what it computes.

    python benches/diffusers_baseline.py --model default-model/weights
    python benches/diffusers_baseline.py --model DIR --dump golden.safetensors --save-latents init.safetensors

The settings (size, frames, steps, guidance, prompt length) are those of the folder's generation.json, as `kinora
generate` takes them. Everything runs in float32 on the CPU. One JSON object goes to stdout: wall times in seconds
of loading, and per run of text encoding, denoising, decoding and the whole call, after a warm-up call; `best` is
the run with the smallest total; `cpu` is the processor time of all threads, which other programs disturb less.
Needs torch, diffusers, transformers, ftfy and safetensors.

`--dump` makes one more call, untimed, and writes latents.init, latents.stepN, dit.stepN.{cond,uncond,guided},
text.*, sched.*, vae.latents_in, vae.video and video.u8; `--initial-latents` reads `latents.init` from such a file,
so that two programs start from the same noise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

START = time.perf_counter()

PROMPT = "a red balloon rising over the sea at sunset, light rain"
DEFAULTS = {
    "height": 480,
    "width": 832,
    "num_frames": 81,
    "num_inference_steps": 50,
    "guidance_scale": 5.0,
    "max_sequence_length": 512,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder in the diffusers layout")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--negative", default="")
    parser.add_argument("--seed", type=int, default=0, help="seed of torch's CPU generator")
    parser.add_argument("--initial-latents", type=Path, help="safetensors file; its tensor latents.init is used")
    parser.add_argument("--save-latents", type=Path, help="write latents.init alone to this safetensors file")
    parser.add_argument("--dump", type=Path, help="write every recorded stage to this safetensors file")
    parser.add_argument("--npy", type=Path, help="write the frames, T,H,W,C uint8, to this .npy file")
    parser.add_argument("--runs", type=int, default=5, help="timed calls after the warm-up (0: none)")
    parser.add_argument("--threads", type=int, default=2)
    for key in ("height", "width", "frames", "steps"):
        parser.add_argument(f"--{key}", type=int)
    parser.add_argument("--guidance", type=float)
    return parser.parse_args()


def settings(args: argparse.Namespace) -> dict:
    """generation.json over the family's defaults, the command line over both."""
    chosen = dict(DEFAULTS)
    file = args.model / "generation.json"
    if file.exists():
        known = json.loads(file.read_text())
        chosen.update({key: known[key] for key in DEFAULTS if key in known})
    given = {
        "height": args.height,
        "width": args.width,
        "num_frames": args.frames,
        "num_inference_steps": args.steps,
        "guidance_scale": args.guidance,
    }
    chosen.update({key: value for key, value in given.items() if value is not None})
    tokenizer = args.model / "tokenizer" / "tokenizer_config.json"
    longest = json.loads(tokenizer.read_text()).get("model_max_length") if tokenizer.exists() else None
    if longest:
        chosen["max_sequence_length"] = int(min(chosen["max_sequence_length"], longest))
    return chosen


class Clock:
    """Splits a pipeline call into text, denoise and decode by timing encode_prompt and vae.decode."""

    def __init__(self, pipe):
        self.text = self.decode = 0.0
        self._wrap(pipe, "encode_prompt", "text")
        self._wrap(pipe.vae, "decode", "decode")

    def _wrap(self, owner, method, field):
        inner = getattr(owner, method)

        def timed(*args, **kwargs):
            start = time.perf_counter()
            out = inner(*args, **kwargs)
            setattr(self, field, getattr(self, field) + time.perf_counter() - start)
            return out

        setattr(owner, method, timed)

    def run(self, call):
        self.text = self.decode = 0.0
        start, busy = time.perf_counter(), time.process_time()
        out = call()
        total, busy = time.perf_counter() - start, time.process_time() - busy
        denoise = total - self.text - self.decode
        row = {"text": self.text, "denoise": denoise, "decode": self.decode, "total": total, "cpu": busy}
        return out, {key: round(value, 4) for key, value in row.items()}


def to_u8(frames):
    """Frames in [0, 1] to bytes, rounded half to even as the exporters do."""
    import numpy as np

    return (np.asarray(frames) * 255).round().astype(np.uint8)


def record(pipe, call, latents, config):
    """One call with every stage kept: tensors by the names the parity tests use."""
    import torch
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean

    kept = {"latents.init": latents}
    outputs, decoded, steps = [], {}, []
    hook = pipe.transformer.register_forward_hook(
        lambda _m, _a, kw, out: outputs.append((kw.get("encoder_hidden_states"), out[0].clone())), with_kwargs=True)
    inner = pipe.vae.decode

    def decode(z, *args, **kwargs):
        out = inner(z, *args, **kwargs)
        decoded["vae.latents_in"] = z.clone()
        decoded["vae.video"] = (out[0] if isinstance(out, tuple) else out.sample).clone()
        return out

    def on_step(_pipe, _index, _timestep, tensors):
        steps.append(tensors["latents"].clone())
        return {}

    pipe.vae.decode = decode
    try:
        frames = call(callback_on_step_end=on_step).frames[0]
    finally:
        hook.remove()
        pipe.vae.decode = inner

    words = {}
    for side, text in (("cond", config["prompt"]), ("uncond", config["negative"])):
        tokens = pipe.tokenizer(prompt_clean(text), padding="max_length", truncation=True,
                                max_length=config["max_sequence_length"], return_tensors="pt")
        real = words[side] = int(tokens.attention_mask.sum())
        with torch.no_grad():
            hidden = pipe.text_encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
        kept[f"text.{side}.input_ids"] = tokens.input_ids
        kept[f"text.{side}.attention_mask"] = tokens.attention_mask
        kept[f"text.{side}.hidden"] = hidden[:, :real]
    if outputs and outputs[0][0] is not None:
        # The rows past the words are zero; four of them are kept.
        kept["text.cond.embeds"] = outputs[0][0][:, : words["cond"] + 4]
    guided = len(outputs) == 2 * len(steps)
    for i, latent in enumerate(steps):
        kept[f"latents.step{i}"] = latent
        if guided:
            cond, uncond = outputs[2 * i][1], outputs[2 * i + 1][1]
            kept[f"dit.step{i}.uncond"] = uncond
            kept[f"dit.step{i}.guided"] = uncond + config["guidance_scale"] * (cond - uncond)
        else:
            cond = outputs[i][1]
        kept[f"dit.step{i}.cond"] = cond
    kept["sched.timesteps"] = pipe.scheduler.timesteps
    kept["sched.sigmas"] = pipe.scheduler.sigmas
    kept.update(decoded)
    kept["video.u8"] = torch.from_numpy(to_u8(frames))
    return {name: tensor.detach().contiguous().clone() for name, tensor in kept.items()}


def main():
    args = arguments()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import diffusers
    import torch
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(args.threads)
    diffusers.utils.logging.set_verbosity_error()
    imported = time.perf_counter() - START

    start = time.perf_counter()
    pipe = diffusers.WanPipeline.from_pretrained(args.model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    load = time.perf_counter() - start

    chosen = settings(args)
    if args.initial_latents:
        latents = load_file(args.initial_latents)["latents.init"].float()
        latents = latents if latents.ndim == 5 else latents[None]
    else:
        shape = (1, pipe.transformer.config.in_channels,
                 (chosen["num_frames"] - 1) // pipe.vae_scale_factor_temporal + 1,
                 chosen["height"] // pipe.vae_scale_factor_spatial, chosen["width"] // pipe.vae_scale_factor_spatial)
        latents = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(args.seed))
    if args.save_latents:
        save_file({"latents.init": latents}, args.save_latents)

    def call(**extra):
        return pipe(prompt=args.prompt, negative_prompt=args.negative, latents=latents.clone(),
                    output_type="np", **chosen, **extra)

    runs = []
    if args.runs > 0:
        clock = Clock(pipe)
        frames, warmup = clock.run(call)
        for _ in range(args.runs):
            frames, row = clock.run(call)
            runs.append(row)
    else:
        warmup, frames = None, None
    if args.dump:
        tensors = record(pipe, call, latents, {**chosen, "prompt": args.prompt, "negative": args.negative})
        save_file(tensors, args.dump, metadata={"prompt": args.prompt, "negative_prompt": args.negative})
    if args.npy:
        import numpy as np

        frames = frames if frames is not None else call()
        np.save(args.npy, to_u8(frames.frames[0]))
    print(json.dumps({
        "program": f"diffusers {diffusers.__version__}, torch {torch.__version__}",
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "settings": chosen,
        "import": round(imported, 3),
        "load": round(load, 3),
        "warmup": warmup,
        "runs": runs,
        "best": min(runs, key=lambda row: row["total"]) if runs else None,
        "load_average": [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }, indent=1))


if __name__ == "__main__":
    main()
