"""One of two processes, in which every model takes two steps and is evaluated, see `test_two_processes`."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path

import torch
import torch.distributed as dist
from hydra import compose, initialize_config_dir

from gan_zoo.config.build import build
from gan_zoo.core.paths import CONF
from gan_zoo.training.module import GANModule

SMALL = ("generator.width=8", "discriminator.width=8", "data.batch_size=4", "data=digits")
TRANSLATION = (
    "data=openmoji_lines",
    "data.image_size=32",
    "generator.width=8",
    "discriminator.width=8",
)
DERIVED = ("generator.width=8", "discriminator.width=8")
TABLE = ("data=table", "data.bundled=iris", "metric.table.num_samples=16")
MODELS: dict[str, tuple[str, ...]] = {
    "aae": ("data=digits", "generator.width=8", "model.encoder.width=8", "data.batch_size=4"),
    "acgan": SMALL,
    "adcgan": SMALL,
    "bicyclegan": (*TRANSLATION, "metric=translation"),
    "bigan": SMALL,
    "biggan": (*SMALL, "generator.width=2", "discriminator.width=2"),
    "biggan_deep": (*SMALL, "generator.width=2", "discriminator.width=2"),
    "cgan": SMALL,
    "cgan_single": SMALL,
    "cluster_gan": SMALL,
    "cogan": ("data=openmoji_lines", "generator.width=8", "discriminator.width=8"),
    "colorization": DERIVED,
    "context_encoder": (*DERIVED, "data.derive.kind=brush"),
    "contragan": SMALL,
    "ctgan": (*TABLE, "generator.widths=[8]", "discriminator.widths=[8]", "pack=2"),
    "cut": (*TRANSLATION, "generator.blocks=1"),
    "cyclegan": (*TRANSLATION, "generator.blocks=1", "model.pool_size=3"),
    "dcgan": SMALL,
    "discogan": (*TRANSLATION, "generator.blocks=1"),
    "dualgan": TRANSLATION,
    "fastcut": (*TRANSLATION, "generator.blocks=1"),
    "esrgan": (*DERIVED, "generator.blocks=1", "loss=ragan"),
    "feature_matching": SMALL,
    "gan": ("data=ring", "metric=modes", "data.batch_size=4"),
    "gat": (*SMALL, "loss=rpgan", "generator.heads=2", "discriminator.heads=2"),
    "gat_conditional": (*SMALL, "loss=rpgan", "generator.heads=2", "discriminator.heads=2"),
    "hifigan": (
        *("data.length=256", "generator.width=16", "generator.kernels=[3]"),
        "discriminator.width=1",
    ),
    "infogan": SMALL,
    "infomax_gan": (*SMALL, "model.projection_dim=8"),
    "logan": SMALL,
    "mhgan": (*SMALL, "loss=multi_hinge"),
    "munit": (*TRANSLATION, "generator.blocks=1", "metric=translation"),
    "pggan": (*SMALL, "data.image_size=16", "model.stable_images=4", "model.fade_images=8"),
    "pix2pix": TRANSLATION,
    "pix2pixhd": (*TRANSLATION, "generator.width=4", "generator.blocks=1"),
    "reacgan": SMALL,
    "projected_gan": (*SMALL, "generator.width=4", "discriminator.features.image_size=32"),
    "r3gan": (*SMALL, "generator.width=16", "discriminator.width=16"),
    "sagan": (*SMALL, "generator.attention=8", "discriminator.attention=8"),
    "sgan": (*SMALL, "data.labeled=20", "metric=[images,class_accuracy]"),
    "sngan": SMALL,
    "sngan_projection": SMALL,
    "specgan": ("data.length=64", "generator.width=2", "discriminator.width=2"),
    "spade": (*TRANSLATION, "generator.hidden=4", "model.reconstruction_weight=0"),
    "srgan": (*DERIVED, "generator.blocks=1"),
    "ssgan": SMALL,
    "stargan": (*SMALL, "generator.blocks=1", "discriminator.layers=1"),
    "stargan_v2": (*SMALL, "model.mapping.hidden=8", "model.encoder.width=8"),
    "tacgan": SMALL,
    "stylegan2": (*SMALL, *(f"regularizer.{name}.every=2" for name in ("r1", "path_length"))),
    "tvae": TABLE,
    "unit": (*TRANSLATION, "generator.blocks=1"),
    "veegan": SMALL,
    "vae": ("data=digits", "generator.width=8", "data.batch_size=4"),
    "wavegan": ("data.length=64", "generator.width=2", "discriminator.width=2"),
    "vae_gan": SMALL,
}
SHARED = (
    *(
        "trainer=ddp_cpu",
        "trainer.max_steps=2",
        "loss.n_critic=1",
        "trainer.log_every_n_steps=1",
        "logger=none",
    ),
    *(
        "callbacks.progress=null",
        "callbacks.checkpoints=null",
        "callbacks.samples.count=4",
        "callbacks.doctor.count=16",
    ),
    *(
        "callbacks.doctor.every_images=8",
        "callbacks.evaluation.num_samples=8",
        "callbacks.evaluation.training_steps=2",
    ),
    "extractor.image_size=32",
)


def trained(model: str, folder: Path) -> GANModule:
    overrides = [
        f"model={model}",
        *MODELS[model],
        *SHARED,
        "data.batch_size=4",
        f"run_dir={folder / model}",
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        trainer, module, data = build(compose("config", overrides))
    trainer.fit(module, datamodule=data)
    assert trainer.world_size == 2
    assert module.global_step == 2
    return module


def fingerprint(module: GANModule) -> list[float]:
    """Sums over the whole state that differ if any number does."""
    values = [v.double().flatten() for v in module.state_dict().values() if torch.is_tensor(v)]
    flat = torch.cat(values)
    return [float(flat.sum()), float((flat * torch.arange(len(flat))).sum())]


def main(folder: Path, models: list[str]) -> None:
    torch.set_num_threads(1)
    outcome = {}
    for model in models:
        began = time.monotonic()
        try:
            prints = [None, None]
            dist_print = fingerprint(trained(model, folder))
            dist.all_gather_object(prints, dist_print)
            outcome[model] = (
                "" if prints[0] == prints[1] else f"weights differ between processes: {prints}"
            )
        except Exception:
            outcome[model] = traceback.format_exc()
        print(f"{model}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        if outcome[model]:
            break  # the other process waits for this one
    (folder / f"{dist.get_rank() if dist.is_initialized() else 'none'}.json").write_text(
        json.dumps(outcome), "utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
