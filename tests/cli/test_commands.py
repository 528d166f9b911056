"""What one does with a finished run: draw, translate, score."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from PIL import Image

from gan_zoo.config.allowlist import is_trusted
from gan_zoo.config.build import build_module
from gan_zoo.config.compose import compose_overrides, to_dict
from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.core.paths import CONF
from gan_zoo.inference import sampling
from gan_zoo.inference.evaluate_folders import random_subset
from gan_zoo.inference.latents import draw_latents, interpolate
from gan_zoo.inference.load import load_run
from gan_zoo.inference.model import LoadedModel, make_request
from gan_zoo.launch.train import train
from gan_zoo.visualization.image_grid import LINE
from tests.helpers import invoke, refused

DIGITS = ["data=digits", "generator.width=4", "discriminator.width=4"]


def test_a_run_comes_back_as_it_was_saved(trained) -> None:
    folder = trained(*DIGITS)
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    run = load_run(folder)
    state = run.module.state_dict()
    assert all(torch.equal(saved[key], state[key]) for key in saved)
    assert not run.module.training
    assert run.checkpoint.name == "last.ckpt", "nothing was scored, so there is no best.ckpt"
    assert len(run.source) == 1797


def test_the_same_seed_draws_the_same_images(trained, tmp_path: Path) -> None:
    folder = trained(*DIGITS)
    invoke("sample", folder, "--out", tmp_path / "a.png", "--size", 9)
    invoke("sample", folder, "--out", tmp_path / "b.png", "--size", 9)
    invoke("sample", folder, "--out", tmp_path / "c.png", "--size", 9, "--seed", 1)
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    assert Image.open(tmp_path / "a.png").size == (3 * 10 + 2, 3 * 10 + 2)


def test_a_folder_of_samples_begins_alike_whatever_its_length(trained, tmp_path: Path) -> None:
    folder = trained(*DIGITS)
    for count in (5, 70):
        invoke("sample", folder, "--out", tmp_path / str(count), "--count", count)
        assert len(list((tmp_path / str(count)).glob("*.png"))) == count
    for number in range(5):
        short, long = (tmp_path / folder / f"{number:06d}.png" for folder in ("5", "70"))
        assert short.read_bytes() == long.read_bytes()


def test_walks_end_where_they_should() -> None:
    a, b = torch.randn(2, 3, 50)
    for spherical in (True, False):
        path = interpolate(a, b, 7, spherical)
        torch.testing.assert_close(path[0], a)
        torch.testing.assert_close(path[-1], b)
    middle = interpolate(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 3)[1]
    torch.testing.assert_close(middle, torch.tensor([[0.5**0.5, 0.5**0.5]]))
    middle = interpolate(
        torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 3, spherical=False
    )[1]
    torch.testing.assert_close(middle, torch.tensor([[0.5, 0.5]]))


def test_truncated_latents_stay_inside(trained) -> None:
    module = load_run(trained(*DIGITS)).module
    latents = draw_latents(module, 200, 0, truncation=0.7)
    assert 0.69 < latents.abs().max() <= 0.7001
    whole = draw_latents(module, 200, 0)
    assert whole.std().item() == pytest.approx(1, abs=0.02)
    for prior, truncation in (("normal", -1), ("normal", math.nan), ("uniform", 0.0)):
        module.model.prior = prior
        with pytest.raises(DataError, match=f"truncation must be > 0, got {truncation}"):
            draw_latents(module, 2, 0, truncation=truncation)


def test_walks_sums_and_classes_become_images(trained, tmp_path: Path) -> None:
    folder = trained("model=cgan", *DIGITS)
    invoke("sample", folder, "--what", "walk", "--out", tmp_path / "walk.gif")
    with Image.open(tmp_path / "walk.gif") as walk:
        assert walk.n_frames == 16, "nine steps there and seven back"
    invoke(
        "sample",
        folder,
        "--what",
        "arithmetic",
        "--plus",
        "3,4",
        "--minus",
        "5",
        "--out",
        tmp_path / "sum.png",
    )
    assert Image.open(tmp_path / "sum.png").size[0] == 4 * 10 + 2
    invoke("sample", folder, "--out", tmp_path / "all.png", "--size", 25)
    cells = (
        10 * 10 + 2,
        2 * 10 + 2,
    )  # one column for each class, enlarged until their names fit above them
    assert Image.open(tmp_path / "all.png").size == (5 * cells[0], 5 * cells[1] + LINE)
    invoke("sample", folder, "--class", 3, "--size", 4, "--out", tmp_path / "threes.png")
    assert "class must be 0 to 9, got 10" in refused("sample", folder, "--class", 10)
    assert "takes no captions" in refused("sample", folder, "--caption", "seven")
    assert "takes no captions" in refused("sample", folder, "--class", 3, "--caption", "seven")
    assert "no continuous codes" in refused("sample", folder, "--what", "traverse")


def test_a_model_of_sentence_vectors_is_told_captions(tmp_path: Path, monkeypatch) -> None:
    """A stand-in for the encoder: every caption's vector is filled with its length."""
    monkeypatch.setattr(
        "gan_zoo.inference.model.embed",
        lambda captions: torch.tensor([[float(len(c))] * 384 for c in captions]),
    )
    overrides = [
        "model=cgan",
        "data=openmoji_captions",
        "data.text=minilm",
        "condition=vector",
        "run_dir=x",
    ]
    config = compose_overrides([*overrides, "generator.width=4", "discriminator.width=4"])
    run = LoadedModel(tmp_path, tmp_path, to_dict(config), build_module(config).eval())
    told = make_request(run, 3, 0, caption="a red car").request.condition
    assert torch.equal(told, torch.full((3, 384), 9.0))
    images = [
        run.sample(2, seed=0, caption=caption)
        for caption in ("a red car", "a red cap", "flag of France")
    ]
    assert torch.equal(images[0], images[1]), "vectors decide"
    assert not torch.equal(images[0], images[2])


def test_codes_are_traversed_one_at_a_time(trained) -> None:
    run = load_run(trained("model=infogan", *DIGITS))
    rows = sampling.traverse(run, seed=0, steps=5, reach=1.5)
    assert rows.shape == (2, 5, 1, 8, 8)
    torch.testing.assert_close(rows[0, 2], rows[1, 2], msg="both codes are 0 in the middle")
    assert not torch.allclose(rows[0, 0], rows[0, 4])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of images of several sizes and kinds, and one file that is none."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    Image.effect_noise((40, 24), 50).save(folder / "gray.png")
    Image.effect_noise((16, 16), 50).convert("RGBA").save(folder / "more" / "transparent.webp")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def test_a_folder_is_translated_names_kept_and_unreadable_files_listed(
    trained, images: Path, tmp_path: Path
) -> None:
    for domain in ("a", "b"):
        (tmp_path / domain).mkdir()
        for number in range(12):
            Image.effect_noise((16, 16), 10 * number + 5).convert("RGB").save(
                tmp_path / domain / f"{number}.png"
            )
    data = [
        f"data.root={tmp_path}",
        "data.source_folder=a",
        "data.target_folder=b",
        "data.image_size=16",
    ]
    small = [
        "generator.width=8",
        "generator.blocks=1",
        "discriminator.width=4",
        "discriminator.layers=1",
    ]
    folder = trained("model=cgan", *DIGITS)
    assert "CGAN does not translate images" in refused(
        "translate", folder, images, tmp_path / "out"
    )
    (folder / "checkpoints" / "last.ckpt").unlink()
    folder = trained("model=cyclegan", "data=paired_folder", *data, "data.batch_size=4", *small)
    for direction, options, sizes in (
        ("forward", ["--full-size"], ((40, 24), (16, 16))),
        ("backward", [], ((27, 16), (16, 16))),
    ):
        out = tmp_path / direction
        output = invoke(
            "translate", folder, images, out, "--direction", direction, *options, exit_code=1
        )
        assert "1 of 3 images could not be read" in output
        assert "broken.jpg" in output
        assert sorted(str(p.relative_to(out)) for p in out.rglob("*.png")) == [
            "gray.png",
            "more/transparent.png",
        ]
        assert (
            Image.open(out / "gray.png").size,
            Image.open(out / "more" / "transparent.png").size,
        ) == sizes
    invoke("translate", folder, images, out, "--target", tmp_path / "forward", exit_code=1)
    page = (out / "index.html").read_text()
    assert re.findall(r"<figcaption>(.+?)<", page) == ["input", "output 1", "target"] * 2
    links = [unquote(link) for link in re.findall(r'<img [^>]*src="([^"]+)"', page)]
    assert [Path(link).name for link in links[3:]] == ["transparent.webp", *["transparent.png"] * 2]
    assert all((out / link).is_file() for link in links)
    assert "--tile must be >= 128, got 64" in refused(
        "translate", folder, images, out, "--tile", "64"
    )
    assert "OUT must be another folder than IN" in refused("translate", folder, images, images)
    assert "which is not a folder" in refused(
        "translate", folder, tmp_path / "nowhere", tmp_path / "out"
    )


def test_a_finished_run_scores_as_it_did_in_training(composed, tmp_path: Path) -> None:
    scoring = ["extractor.image_size=32", "callbacks.evaluation.num_samples=70"]
    train(composed("trainer.max_steps=2", "data.batch_size=8", "logger=none", *DIGITS, *scoring))
    folder = tmp_path / "run"
    before = json.loads((folder / "metrics.json").read_text())
    invoke("evaluate", folder, "--checkpoint", "last", "--num-samples", 70)
    after = json.loads((folder / "metrics.json").read_text())
    assert after["images_seen"] == before["images_seen"] == 16
    assert len(after["metrics"]) == 6
    assert [entry["value"] for entry in after["metrics"][3:]] == [
        entry["value"] for entry in before["metrics"]
    ]
    invoke("evaluate", folder, "--checkpoint", "last", "--num-samples", 70)
    assert len(json.loads((folder / "metrics.json").read_text())["metrics"]) == 6, (
        "the same scores are kept once"
    )
    assert "must be one of" in refused("evaluate", folder, "metric=imges")


def test_two_folders_are_compared(images: Path, tmp_path: Path) -> None:
    (images / "broken.jpg").unlink()
    line = [
        "evaluate",
        "--folder",
        images,
        "--against",
        images,
        "--image-size",
        32,
        "extractor.image_size=32",
    ]
    output = invoke(*line)
    value = float(next(line for line in output.splitlines() if line.startswith("fd_")).split()[1])
    assert value < 1e-3, "a folder is at no distance from itself, but for the rounding of roots"
    assert "must be given together" in refused("evaluate", "--folder", images)


def test_a_part_of_a_folder_is_a_random_part() -> None:
    rows = random_subset(1000, 100)
    assert torch.equal(rows, random_subset(1000, 100))
    assert rows.unique().tolist() == rows.tolist()
    assert 400 < rows.float().mean() < 600
    assert random_subset(7, 7).tolist() == list(range(7))


def test_what_is_no_run_is_named(trained, tmp_path: Path) -> None:
    assert refused("evaluate") == "error: RUN, or --folder and --against, must be given"
    assert "which does not exist" in refused("sample", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no checkpoints/best.ckpt" in refused("sample", tmp_path / "empty")
    (tmp_path / "junk.ckpt").write_bytes(b"junk")
    assert "is damaged or no checkpoint of gan_zoo" in refused("sample", tmp_path / "junk.ckpt")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "gan_zoo.launch.train.os.system",
        "gan_zoo.data.files.cache.os.remove",
        "torch.load",
        3,
    ],
)
def test_code_from_outside_is_not_built(target: object, trained, tmp_path: Path) -> None:
    assert not is_trusted(target, CONF)
    saved = torch.load(trained(*DIGITS) / "checkpoints" / "last.ckpt", weights_only=True)
    saved["gan_zoo"]["config"]["model"]["_target_"] = target
    torch.save(saved, tmp_path / "foreign.ckpt")
    with pytest.raises(ConfigError, match=r"which is not part of gan_zoo: add --trust"):
        load_run(tmp_path / "foreign.ckpt")


def test_a_class_stays_the_same_along_a_walk_and_a_wish_is_granted(trained, monkeypatch) -> None:
    run = load_run(trained("model=cgan", *DIGITS))
    asked: list[list[int]] = []
    sample = run.module.model.sample

    def spy(batch, generators):
        asked.append(batch.label.tolist())
        return sample(batch, generators)

    monkeypatch.setattr(run.module.model, "sample", spy)
    sampling.interpolation_grid(run, seed=0, rows=3, steps=4)
    sampling.grid(run, 5, 0, label=7)
    sampling.arithmetic(run, [3, 14], [5], 0)
    assert asked == [[0] * 4 + [1] * 4 + [2] * 4, [7] * 5, [3, 4, 5, 3]]


def test_codes_stay_the_same_along_a_walk(trained, monkeypatch) -> None:
    run = load_run(trained("model=infogan", *DIGITS))
    seen: list[torch.Tensor] = []
    run.module.inference_generators["main"].register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[1])
    )
    sampling.interpolation_grid(run, seed=0, rows=2, steps=3)
    codes = seen[0].reshape(2, 3, 12)
    assert torch.equal(codes[:, 0], codes[:, 1])
    assert torch.equal(codes[:, 0], codes[:, 2])
    assert not torch.equal(codes[0], codes[1])


def test_images_of_the_training_size_are_translated_as_in_training(trained, tmp_path: Path) -> None:
    from gan_zoo.data.image_tensors import to_uint8, to_unit
    from gan_zoo.inference.translate import translator_of

    for domain in ("a", "b"):
        (tmp_path / domain).mkdir()
        for number in range(10):
            Image.effect_noise((32, 32), 10 * number + 5).convert("RGB").save(
                tmp_path / domain / f"{number}.png"
            )
    data = [
        "data=paired_folder",
        f"data.root={tmp_path}",
        "data.source_folder=a",
        "data.target_folder=b",
    ]
    small = ["generator.width=8", "discriminator.width=4", "data.batch_size=4"]
    for model in ("cut", "cyclegan", "pix2pix"):
        run = load_run(trained(f"model={model}", *data, *small))
        translator = translator_of(run)
        image = run.source.conditions[0]
        with torch.no_grad():
            direct = to_uint8(translator.network(to_unit(image)[None])[0])
        assert torch.equal(translator(image), direct)
        for name in ("last.ckpt",):
            (tmp_path / "run" / "checkpoints" / name).unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--what", "walks"],
            "--what must be one of grid, walk, traverse, arithmetic, mix, got 'walks'",
        ),
        (["--what", "walk", "--truncation", "0.5"], "--truncation goes with --what grid, --count"),
        (["--what", "arithmetic", "--class", "1"], "--class goes with --what grid, "),
        (
            ["--what", "arithmetic", "--plus", "a,b"],
            "--plus and --minus must be numbers like 3,7, got 'a,b'",
        ),
        (
            ["--what", "arithmetic", "--plus", "", "--minus", ""],
            "must be numbers of samples >= 0, got [] and []",
        ),
        (
            ["--what", "arithmetic", "--plus", "1", "--minus", "-1"],
            "must be numbers of samples >= 0",
        ),
        (["--count", "3", "--class", "99"], "class must be 0 to 9, got 99"),
    ],
)
def test_wishes_that_cannot_be_granted_are_refused(
    arguments: list[str], message: str, trained
) -> None:
    assert message in refused("sample", trained("model=cgan", *DIGITS), *arguments)


def test_packs_must_divide_the_batch(tiny) -> None:
    from gan_zoo.config.build import build

    with pytest.raises(ConfigError, match="pack=3 must divide the batch of each process, 8"):
        build(tiny("data=digits", "pack=3"))


def test_a_score_that_the_data_cannot_give_decides_nothing(composed, tmp_path: Path) -> None:
    for domain, count in (("a", 10), ("b", 12)):
        (tmp_path / domain).mkdir()
        for number in range(count):
            Image.effect_noise((16, 16), 10 * number + 5).convert("RGB").save(
                tmp_path / domain / f"{number}{domain}.png"
            )
    data = [
        "data=unpaired_folder",
        f"data.root={tmp_path}",
        "data.source_folder=a",
        "data.target_folder=b",
    ]
    small = [
        "generator.width=8",
        "generator.blocks=1",
        "discriminator.width=4",
        "discriminator.layers=1",
    ]
    quick = [
        "trainer.max_steps=1",
        "data.batch_size=4",
        "data.image_size=16",
        "logger=none",
        "metric=translation",
    ]
    scores = train(
        composed("model=cyclegan", *data, *small, *quick, "callbacks.evaluation.num_samples=4")
    )
    assert set(scores) == {"val/cycle_l1"}
