"""Check that a refactoring changes no numbers: hashes of short trainings on the CPU.

    python benchmarks/same_numbers.py --write before.json      # on the code before the change
    python benchmarks/same_numbers.py --compare before.json    # on the code after it

Fourteen commands train for 20 steps. Hashed are all weights, buffers and optimizer states, and all
logged values but times. Keys may be renamed and change places; the numbers may not change.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
DIGITS = ("data=digits", "data.batch_size=8", "metric=none")
NARROW = ("generator.width=8", "discriminator.width=8")
LINES = (
    "data=openmoji_lines",
    "data.image_size=32",
    "data.batch_size=2",
    "generator.width=8",
    "discriminator.width=8",
    "metric=translation",
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "gan on ring, wgan_gp": ("model=gan", "data=ring", "loss=wgan_gp", "metric=modes"),
    "dcgan": ("model=dcgan", *DIGITS[:2], "extractor.image_size=32", *NARROW),
    "dcgan, r3gan": ("model=dcgan", "loss=r3gan", *DIGITS, *NARROW),
    "sngan, hinge": ("model=sngan", "loss=hinge", *DIGITS, *NARROW),
    "sagan": (
        "model=sagan",
        *DIGITS,
        *NARROW,
        "generator.attention=8",
        "discriminator.attention=8",
    ),
    "cgan": ("model=cgan", *DIGITS, *NARROW),
    "cgan_single": ("model=cgan_single", *DIGITS, *NARROW),
    "acgan": ("model=acgan", *DIGITS, *NARROW),
    "infogan": ("model=infogan", *DIGITS, *NARROW),
    "cyclegan, lsgan": (
        "model=cyclegan",
        "loss=lsgan",
        "generator.blocks=1",
        "model.pool_size=5",
        *LINES,
    ),
    "pix2pix": ("model=pix2pix", *LINES),
    "vae_gan": ("model=vae_gan", *DIGITS, *NARROW),
    "dcgan, ada": ("model=dcgan", "augment=ada", *DIGITS, *NARROW),
    "dcgan, lecam and consistency": (
        "model=dcgan",
        "regularizer=[lecam,consistency]",
        *DIGITS,
        *NARROW,
    ),
}
SHARED = (
    *(
        "trainer=cpu",
        "trainer.max_steps=20",
        "trainer.log_every_n_steps=5",
        "callbacks.progress=null",
    ),
    *("callbacks.samples=null", "callbacks.doctor=null", "callbacks.evaluation.num_samples=64"),
)


def numbers(value: Any) -> list[str]:
    """The hash of every tensor and number below ``value``."""
    if isinstance(value, torch.Tensor):
        return [hashlib.sha256(value.detach().contiguous().cpu().numpy().tobytes()).hexdigest()]
    if isinstance(value, dict):
        return [found for child in value.values() for found in numbers(child)]
    if isinstance(value, (list, tuple)):
        return [found for child in value for found in numbers(child)]
    return [repr(value)]


def hashes(overrides: tuple[str, ...]) -> dict[str, str]:
    """The hash of the final state, and that of the log and the metrics."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [
            sys.executable,
            str(ROOT / "train.py"),
            *overrides,
            *SHARED,
            f"hydra.run.dir={run}",
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")
        optimizers = [optimizer["state"] for optimizer in saved["optimizer_states"]]
        parts = sorted(numbers([saved["state_dict"], optimizers, saved["global_step"]]))
        state = hashlib.sha256("".join(parts).encode())
        log = hashlib.sha256()
        rows = (run / "metrics.csv").read_text(encoding="utf-8").splitlines()
        timed = {n for n, name in enumerate(rows[0].split(",")) if "per_second" in name}
        for row in rows[1:]:
            log.update(
                ",".join(sorted(c for n, c in enumerate(row.split(",")) if n not in timed)).encode()
            )
        return {"state": state.hexdigest()[:16], "log": log.hexdigest()[:16]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path)
    parser.add_argument("--compare", type=Path)
    options = parser.parse_args()
    before = json.loads(options.compare.read_text(encoding="utf-8")) if options.compare else {}

    # Commands whose hashes differ.
    found = {}
    changed = []
    for name, overrides in COMMANDS.items():
        found[name] = hashes(overrides)
        same = {
            kind: before.get(name, {}).get(kind) == value for kind, value in found[name].items()
        }
        changed += [f"{name}: {kind}" for kind, is_same in same.items() if before and not is_same]
        print(
            f"{name:<30} {found[name]} {'' if not before else 'same' if all(same.values()) else 'CHANGED'}",
            flush=True,
        )
    if options.write:
        options.write.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if changed:
        sys.exit(f"changed: {', '.join(changed)}")


if __name__ == "__main__":
    main()
