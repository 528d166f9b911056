"""The sections of dashboards hold all that is logged, and TensorBoard has them as a layout."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import gan_zoo as gz
from gan_zoo.callbacks.diagnostics import Doctor
from gan_zoo.loggers.dispatch import log
from gan_zoo.loggers.sections import SECTIONS, Chart, other_than

CHARTS = {chart.title: chart for charts in SECTIONS.values() for chart in charts}
NOT_DRAWN = {"train/images_seen", "doctor/images_seen"}
"""The axis, which is logged, too."""


def charts_of(key: str) -> set[str]:
    return {title for title, chart in CHARTS.items() if re.match(chart.regex, key)}


@pytest.mark.parametrize(
    ("key", "titles"),
    [
        ("d/realism", {"Discriminator losses"}),
        ("d/grad_norm", {"Gradient norms"}),
        ("g/grad", {"Generator losses"}),
        ("g/cycle", {"Generator losses"}),
        ("d/match/accuracy_real", {"Discriminator accuracy"}),
        ("d/match/r1", {"Penalties and values of the loss"}),
        ("d/realism/augment/p", {"Augmentation and states of regularizers"}),
        ("lr/discriminator", {"Learning rates"}),
        ("train/images_per_second", {"Images per second"}),
        ("doctor/wrong/gap", {"Scores: mean of reals less that of fakes"}),
        ("doctor/g/grad_norm", {"Gradient norms"}),
        ("val/fd_efficientnet_lite0", {"Frechet distances", "All metrics"}),
        ("val/is_std", {"Inception score", "All metrics"}),
        ("val/column_shapes", {"All metrics"}),
        ("val/psnr_bicubic", {"Reconstruction and translation", "All metrics"}),
        ("train/images_seen", set()),
        ("x/d/realism", set()),
    ],
)
def test_keys_are_in_their_charts(key: str, titles: set[str]) -> None:
    assert charts_of(key) == titles


@pytest.mark.parametrize("words", [("ab",), ("a", "ab"), ("ab", "abc", "b")])
def test_other_words_are_those_that_are_none_of_the_given(words: tuple[str, ...]) -> None:
    pattern = re.compile(other_than(*words))
    some = ["a", "b", "c", "ab", "ba", "aa", "bb", "abc", "aba", "abcd", "x_y", "b2"]
    assert [one for one in some if pattern.fullmatch(one)] == [
        one for one in some if one not in words
    ]
    assert not pattern.fullmatch("")
    assert not pattern.fullmatch("c/d")


def test_patterns_are_those_that_every_engine_knows() -> None:
    assert len(CHARTS) == sum(map(len, SECTIONS.values())), "a title stands twice"
    for chart in CHARTS.values():
        assert "(?" not in chart.regex, "RE2 has no lookahead"
        assert "\\" not in chart.regex
    assert Chart("a", "b|c").regex == "^(b|c)$"


def test_every_key_of_a_run_is_in_a_chart() -> None:
    history, shape = gz.History(), [1, 8, 8]
    model = gz.CGAN(
        partial(gz.DCGANGenerator, sample_shape=shape, width=8),
        partial(gz.DCGANDiscriminator, sample_shape=shape, width=8, norm="none"),
        condition=partial(gz.ClassCondition, 10),
        latent_dim=4,
    )
    module = gz.GANModule(model, gz.NonSaturating(), {"r1": gz.R1()})
    gz.fit(
        module,
        gz.DataModule(gz.digits(), batch_size=16),
        2,
        logger=history,
        log_every_n_steps=1,
        progress=False,
        callbacks=[Doctor(every_images=16, count=32)],
    )
    logged = {name for name in history.names() if "/" in name}
    assert {"d/match/r1", "doctor/match/spread", "lr/generator"} <= logged
    assert {key for key in logged if not charts_of(key)} == NOT_DRAWN


def test_tensorboard_has_the_sections_as_a_layout_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    from gan_zoo.loggers.tensorboard import TensorBoardLog

    # A run, and the same one resumed.
    for step in (1, 2):
        logger = TensorBoardLog(str(tmp_path))
        trainer = SimpleNamespace(loggers=[logger], lightning_module=None, callback_metrics={})
        log(trainer, {"d/realism": 0.5, "val/fd": 3.0}, step)  # type: ignore[arg-type]
        logger.finalize("success")
    assert len(list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))) == 2

    # The numbers and the layout are read back.
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("d/realism")] == [1, 2]
    (found,) = events.Tensors("custom_scalars__config__")
    layout = Layout.FromString(found.tensor_proto.string_val[0])
    assert {
        category.title: [(chart.title, list(chart.multiline.tag)) for chart in category.chart]
        for category in layout.category
    } == {
        name: [(chart.title, [chart.regex]) for chart in charts]
        for name, charts in SECTIONS.items()
    }
    assert [category.title for category in layout.category] == list(SECTIONS)
