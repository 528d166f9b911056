"""How well samples match what was asked for: judges trained once on real data, tables, retrieval, translations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.digits import digits
from gan_zoo.data.datasets.gaussian_mixtures import ring
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics import reference_classifier as classifier_file
from gan_zoo.metrics import retrieval as retrieval_file
from gan_zoo.metrics.base import Generated, MetricResult, Samples, evaluate_all
from gan_zoo.metrics.condition_accuracy import ClassMatch, CodeMatch, ConditionMatch, Contingency
from gan_zoo.metrics.reference_classifier import SmallNet, classifier, fitted, split
from gan_zoo.metrics.retrieval import Retrieval, TwoTowers, condition_tower, equal_rows
from gan_zoo.metrics.translation import Translation, distance
from tests.helpers import model_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def shorter_training() -> Iterator[None]:
    """A quarter of the steps is enough for digits."""
    with pytest.MonkeyPatch.context() as patch:
        for file in (classifier_file, retrieval_file):
            patch.setattr(file, "fitted", lambda *args, steps: fitted(*args, steps=300))
        yield


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(torch.optim, "Adam", refuse)


def asked_for(
    images: Tensor,
    requested_label: Tensor | None,
    num_requested_labels: int | None = 10,
    size: int = 64,
):
    """Draws block k of ``images`` with what they were asked to be."""

    def block(k: int) -> Generated:
        part = slice(size * k, size * (k + 1))
        asked = SampleRequest(len(images[part]), StepRNG(0, k))
        return Generated(
            {"sample": images[part]},
            asked,
            None if requested_label is None else requested_label[part],
            num_requested_labels,
        )

    return block


def scored(
    evaluator,
    draw,
    source: Source,
    count: int,
    conditioning: str = "class",
    labels: int | None = 10,
):
    model = model_of(conditioning, labels)
    return evaluate_all({"evaluator": evaluator}, Samples(draw, count), source, CPU, model)[0]


# ------------------------------------------------------------------ the classifier


def test_the_classifier_knows_digits_that_it_has_not_seen() -> None:
    data = digits()
    network, accuracy = classifier(data)
    _, _, test, rows = split(data)
    assert len(rows) == len(data) // 10
    by_hand = (network(test.samples[rows]).argmax(1) == test.labels[rows]).float().mean()
    assert accuracy == pytest.approx(float(by_hand), abs=1e-6)
    assert accuracy >= 0.9
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_the_classifier_is_trained_once(no_training) -> None:
    (first, a), (second, b) = classifier(digits()), classifier(digits())
    assert a == b
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    relabelled = replace(digits(), labels=(digits().labels + 1) % 10)
    with pytest.raises(AssertionError, match="trained again"):
        classifier(relabelled)


def rows_seen(source: Source) -> set[int]:
    """Which rows of its training part a network of this source is fitted on."""
    seen: set[int] = set()

    def loss(network: nn.Module, data: Source, rows: Tensor, generator: torch.Generator) -> Tensor:
        assert data is split(source)[0]
        seen.update(rows.tolist())
        return sum(p.sum() for p in network.parameters())

    fitted("spy", source, lambda: nn.Linear(1, 1), loss, CPU, steps=300)
    return seen


def test_held_out_rows_are_never_trained_on() -> None:
    images = torch.randint(
        0, 256, (50, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    alone = Source("alone", "all", images[:40])
    _, _, test, rows = split(alone)
    assert test is alone
    assert len(rows) == 4
    assert rows_seen(alone) == set(range(40)) - set(rows.tolist())
    apart = replace(alone, name="apart", held_out=lambda: Source("apart", "test", images[40:]))
    train, _, test, rows = split(apart)
    assert (train is apart, test.split, rows.tolist()) == (True, "test", list(range(10)))
    assert rows_seen(apart) == set(range(40))


def test_fitting_leaves_random_numbers_and_gradient_mode_alone() -> None:
    data = Source("untouched", "all", torch.zeros(20, 1, 8, 8, dtype=torch.uint8))
    torch.manual_seed(123)
    before = torch.get_rng_state()
    with torch.no_grad():
        rows_seen(data)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_what_a_network_is_cached_by(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path))
    data = Source("keys", "all", torch.zeros(20, 1, 8, 8, dtype=torch.uint8), torch.arange(20) % 2)

    def fit(source: Source, kind: str = "spy", steps: int = 1, width: int = 1) -> int:
        fitted(
            kind,
            source,
            lambda: nn.Linear(width, 1),
            lambda n, *_: n(torch.ones(width)).sum(),
            CPU,
            steps,
        )
        return len(list((tmp_path / "networks").iterdir()))

    assert [fit(data), fit(data)] == [1, 1]
    assert fit(data, kind="other") == 2
    assert fit(data, steps=2) == 3
    assert fit(data, width=2) == 4
    assert fit(replace(data, samples=data.samples + 1, fingerprint="")) == 5
    assert fit(replace(data, labels=1 - data.labels)) == 6
    assert fit(replace(data, conditions=torch.ones(20, 3))) == 7
    assert fit(replace(data, conditions=torch.zeros(20, 3))) == 8


def test_a_corrupt_network_is_trained_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path))
    data = Source("corrupt", "all", torch.zeros(20, 1, 8, 8, dtype=torch.uint8))

    def fit() -> Tensor:
        return fitted(
            "spy", data, lambda: nn.Linear(2, 1), lambda n, *_: n(torch.ones(2)).sum(), CPU, 3
        ).weight

    good = fit()
    (path,) = (tmp_path / "networks").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(fit(), good)
    torch.save({"weight": torch.zeros(7)}, path)
    assert torch.equal(fit(), good)


@pytest.mark.parametrize("data", [ring(), replace(digits(), labels=None)])
def test_a_classifier_needs_labelled_images(data: Source) -> None:
    with pytest.raises(DataError, match=f"needs labelled images, data={data.name} has none"):
        classifier(data)


def test_large_images_are_judged_at_32_pixels() -> None:
    network, seen = SmallNet(3, 7).eval(), []
    network.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for size in (16, 32, 64):
        assert network(torch.full((2, 3, size, size), 255, dtype=torch.uint8)).shape == (2, 7)
    assert [x.shape[-1] for x in seen] == [16, 32, 32]
    assert all(x.max() == pytest.approx(1) for x in seen)


# ------------------------------------------------------------------ classes and codes


def test_a_table_of_pairs_by_hand() -> None:
    table = Contingency(3, 2)
    table.update(torch.tensor([0, 0, 2, 1]), torch.tensor([1, 1, 0, 1]))
    table.update(torch.tensor([0]), torch.tensor([0]))
    assert table.compute().tolist() == [[1, 2], [0, 1], [1, 0]]


def test_real_images_with_their_labels_match_as_often_as_the_judge_is_right() -> None:
    data = digits()
    _, _, _, rows = split(data)
    images, labels = to_unit(data.samples[rows]), data.labels[rows]
    score = scored(ClassMatch(len(rows)), asked_for(images, labels), data, len(rows))
    assert score.name == "condition_match"
    assert score.value == pytest.approx(score.protocol["classifier_accuracy_on_real"], abs=1e-6)
    assert score.protocol["num_generated"] == len(rows)
    assert score.protocol["data"] == "digits"


def test_images_of_other_classes_match_at_chance() -> None:
    data = digits()
    images = to_unit(data.samples[:1000])
    shuffled = torch.randint(0, 10, (1000,), generator=torch.Generator().manual_seed(0))
    assert scored(ClassMatch(1000), asked_for(images, shuffled), data, 1000).value == pytest.approx(
        0.1, abs=0.03
    )
    wrong = (data.labels[:1000] + 1) % 10
    assert scored(ClassMatch(1000), asked_for(images, wrong), data, 1000).value < 0.03


def test_codes_that_permute_the_classes_match_as_well_as_the_classes() -> None:
    data = digits()
    images, labels = to_unit(data.samples[:640]), data.labels[:640]
    codes = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])[labels]
    by_class = scored(ClassMatch(640), asked_for(images, labels), data, 640)
    by_code = scored(CodeMatch(640), asked_for(images, codes), data, 640)
    assert by_code.name == "code_match"
    assert by_code.value == pytest.approx(by_class.value)
    assert by_code.value > 0.9
    assert scored(ClassMatch(640), asked_for(images, codes), data, 640).value < 0.3


def test_hungarian_accuracy_by_hand() -> None:
    """The best assignment is not the greedy one: 9 and then 1 would be 10, 8 + 7 are 15."""
    match = CodeMatch()
    assert match.agreement(torch.tensor([[9, 8], [7, 1]])) == pytest.approx(15 / 25)
    assert match.agreement(torch.tensor([[0, 5, 0], [0, 0, 5], [5, 0, 0]])) == 1
    assert match.agreement(torch.tensor([[4, 0], [3, 0], [0, 2]])) == pytest.approx(6 / 9), (
        "a third code is nobody's"
    )
    assert ClassMatch().agreement(torch.tensor([[9, 8], [7, 1]])) == pytest.approx(10 / 25)


def test_there_may_be_more_codes_than_classes() -> None:
    data = digits()
    draw = asked_for(to_unit(data.samples[:64]), torch.arange(64) % 12, num_requested_labels=12)
    assert 0 < scored(CodeMatch(64), draw, data, 64, "none", 12).value < 0.5


def test_models_without_classes_cannot_match() -> None:
    data = digits()
    draw = asked_for(to_unit(data.samples[:64]), None, None)
    with pytest.raises(
        DataError, match="metric=condition_match needs a model with classes or a categorical code"
    ):
        scored(ClassMatch(64), draw, data, 64, "none", None)


def test_codes_are_no_classes_of_the_data() -> None:
    infogan = model_of("none", 10).model
    with pytest.raises(DataError, match=r"the codes of .* are its own: use metric=code_match"):
        ClassMatch().check(digits(), infogan)
    CodeMatch().check(digits(), infogan)
    ClassMatch().check(digits(), model_of("class", 10).model)


@pytest.mark.parametrize("make", [ClassMatch, CodeMatch, Retrieval, Translation])
def test_numbers_of_samples_are_positive(make) -> None:
    with pytest.raises(ValueError, match=r"num_samples must be >= 1.*got 0"):
        make(0)


# ------------------------------------------------------------------ retrieval


def described_digits(held_out: bool = False) -> Source:
    """Digits, each with its pixels seen from afar as a condition vector."""
    data = digits()
    vectors = avg_pool2d(to_unit(data.samples), 2).flatten(1)
    whole = Source("described", "all", data.samples, conditions=vectors)
    if not held_out:
        return whole
    test = replace(
        whole, split="test", samples=whole.samples[1500:], conditions=vectors[1500:], fingerprint=""
    )
    return replace(
        whole, samples=whole.samples[:1500], conditions=vectors[:1500], held_out=lambda: test
    )


def described(images: Tensor, conditions: Tensor, size: int = 64):
    def block(k: int) -> Generated:
        part = slice(size * k, size * (k + 1))
        return Generated(
            {"sample": images[part]},
            SampleRequest(len(images[part]), StepRNG(0, k), condition=conditions[part]),
        )

    return block


@pytest.mark.slow
def test_retrieval_finds_real_pairs_and_is_at_chance_for_shuffled_ones() -> None:
    data = described_digits()
    _, _, _, rows = split(data)
    images, conditions = to_unit(data.samples[rows]), data.conditions[rows]
    real = scored(
        Retrieval(len(rows)), described(images, conditions), data, len(rows), "vector", None
    )
    assert real.name == "retrieval"
    assert real.value > 0.7
    assert real.protocol["encoders_accuracy_on_real"] == pytest.approx(real.value, abs=0.1)
    assert (real.protocol["candidates"], real.protocol["chance"]) == (16, 1 / 16)
    shuffled = torch.randperm(1024, generator=torch.Generator().manual_seed(0))
    draw = described(to_unit(data.samples[:1024]), data.conditions[:1024][shuffled])
    assert scored(Retrieval(1024), draw, data, 1024, "vector", None).value == pytest.approx(
        1 / 16, abs=0.025
    )


class Fits(nn.Module):
    """Says how well images fit conditions by a table: row = an image's number, column = a condition's number."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        return self.table[images.flatten().long()][:, conditions.flatten().long()]


def judge_with(table: Tensor, spare: list[int], candidates: int) -> Retrieval:
    run_discriminator = Retrieval(1, candidates)
    run_discriminator.towers, run_discriminator.spare = Fits(table), torch.tensor(spare)[:, None]
    return run_discriminator


def test_a_hit_is_a_better_fit_than_the_next_conditions_that_differ() -> None:
    """With three candidates, an image is compared with the next two different conditions, around the end."""
    images, conditions = torch.arange(4)[:, None], torch.tensor([[0], [1], [1], [2]])
    fits = torch.tensor([[5.0, 4.0, 3.0], [4.0, 5.0, 6.0], [0.0, 5.0, 4.0], [9.0, 1.0, 5.0]])
    run_discriminator = judge_with(fits, [], 3)
    # 0: 5 against condition 1 twice; 1: 5 against 6 of condition 2, one after its equal; 2: against 2 and 0; 3: 0 wins.
    assert run_discriminator.hits(images, conditions).tolist() == [True, False, True, False]
    assert judge_with(fits, [], 2).hits(images, conditions).tolist() == [True, False, True, False]
    reordered = torch.tensor([[0], [2], [1], [1]])
    fits = torch.tensor([[5.0, 9.0, 3.0], [0.0, 0.0, 5.0], [0.0, 5.0, 0.0], [0.0, 5.0, 0.0]])
    assert judge_with(fits, [], 2).hits(images, reordered)[0], "only the next one is a candidate"
    assert not judge_with(fits, [], 3).hits(images, reordered)[0]


def test_a_tie_is_no_hit() -> None:
    images, conditions = torch.arange(2)[:, None], torch.tensor([[0], [1]])
    assert not judge_with(torch.ones(2, 2), [], 2).hits(images, conditions).any()


@pytest.mark.parametrize("size", [1, 3])
def test_small_batches_are_compared_with_held_out_conditions(size: int) -> None:
    """There are always as many candidates as the protocol says: chance stays 1 / candidates."""
    images, conditions = torch.zeros(size, 1), torch.zeros(size, 1)
    fits = torch.tensor([[5.0, 0.0, 1.0, 9.0]])
    assert judge_with(fits, [0, 1, 2, 3], 3).hits(images, conditions).tolist() == [True] * size
    assert judge_with(fits, [0, 1, 2, 3], 4).hits(images, conditions).tolist() == [False] * size


@pytest.mark.parametrize("count", [65, 72])
def test_any_number_of_samples_can_be_evaluated(count: int) -> None:
    data = described_digits()
    draw = described(to_unit(data.samples[:count]), data.conditions[:count])
    assert 0.5 < scored(Retrieval(count), draw, data, count, "vector", None).value <= 1


def test_retrieval_judges_by_held_out_pairs_where_there_are_any() -> None:
    data = described_digits(held_out=True)
    run_discriminator = Retrieval(64)
    run_discriminator.prepare(data, CPU, model_of("vector"))
    held_out = data.evaluation_split().conditions
    assert torch.equal(run_discriminator.spare, held_out[: len(run_discriminator.spare)])
    assert run_discriminator.on_real > 0.7


def test_equal_rows_are_equal_in_every_number() -> None:
    conditions = torch.tensor([[1, 2], [1, 3], [1, 2], [0, 2]])
    expected = [[True, False, True, False], [False, True, False, False], [True, False, True, False]]
    assert equal_rows(conditions).tolist()[:3] == expected
    images = torch.randn(5, 3, 2, 2)
    images[4] = images[1]
    assert torch.equal(equal_rows(images), (images[:, None] == images[None]).flatten(2).all(2))


def test_many_large_conditions_need_little_memory() -> None:
    """Comparing 1,024 images of 64x64x3 pixel by pixel at once would take 12.9 GB."""
    images = torch.zeros(1024, 3, 64, 64)
    images[0, 0, 0, 0] = 1
    assert equal_rows(images).sum() == 1023**2 + 1


def test_towers_give_cosines() -> None:
    towers = TwoTowers(1, nn.Flatten())
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    towers.eval()
    directions = towers.image(images)
    told = torch.cat([directions[:1] * 7, -directions[1:2]])
    cosines = towers(images, told)
    assert cosines.shape == (3, 2)
    assert cosines[0, 0].item() == pytest.approx(1, abs=1e-5)
    assert cosines[1, 1].item() == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize(
    ("conditions", "raw"),
    [
        (torch.arange(24).view(6, 4) % 9, torch.tensor([[0, 8, 1, 2], [3, 4, 5, 6]])),
        (torch.randn(6, 5), torch.randn(2, 5)),
        (torch.zeros(6, 3, 8, 8, dtype=torch.uint8), torch.randn(2, 3, 8, 8)),
    ],
    ids=["text", "vector", "image"],
)
def test_every_kind_of_condition_has_a_tower(conditions: Tensor, raw: Tensor) -> None:
    data = Source("test", "all", torch.zeros(6, 1, 8, 8, dtype=torch.uint8), conditions=conditions)
    assert condition_tower(data)(raw).shape == (2, 64)


def test_words_beyond_the_cut_of_training_captions_have_a_place() -> None:
    conditions = torch.arange(24).view(6, 4) % 9
    words = [f"word {number}" for number in range(20)]
    images = torch.zeros(6, 1, 8, 8, dtype=torch.uint8)
    data = Source("test", "all", images, conditions=conditions, vocabulary=words)
    assert condition_tower(data)(torch.tensor([[21, 9, 0, 0]])).shape == (1, 64)


@pytest.mark.parametrize(
    "data",
    [digits(), replace(digits(), conditions=torch.zeros(5, 3), aligned=False, unpaired=True)],
)
def test_retrieval_needs_pairs(data: Source) -> None:
    with pytest.raises(
        DataError, match="metric=retrieval needs images with their own conditions, data=digits has"
    ):
        Retrieval(4).check(data, model_of("vector").model)


def test_condition_match_asks_the_judge_that_suits_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared: list[type] = []
    for run_discriminator in (ClassMatch, Retrieval):
        monkeypatch.setattr(
            run_discriminator, "prepare", lambda self, *_: prepared.append(type(self))
        )
    for conditioning in ("class", "none", "text", "vector", "image"):
        ConditionMatch(4).prepare(digits(), CPU, model_of(conditioning))
    assert prepared == [ClassMatch] * 2 + [Retrieval] * 3


# ------------------------------------------------------------------ translations


def translated(views: dict[str, Tensor], size: int = 2):
    def block(k: int) -> Generated:
        part = {name: view[size * k : size * (k + 1)] for name, view in views.items()}
        return Generated(part, SampleRequest(len(part["sample"]), StepRNG(0, k)))

    return block


def two_domains(**options) -> Source:
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    return Source("pairs", "train", images, conditions=images, **options)


def flat(*values: float) -> Tensor:
    """Images of one gray value each."""
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def distances(views: dict[str, Tensor], count: int, source: Source) -> dict[str, MetricResult]:
    samples = Samples(translated(views), count, 2)
    return {
        score.name: score for score in evaluate_all({"t": Translation(count)}, samples, source, CPU)
    }


def test_distances_of_translations_by_hand() -> None:
    views = {
        "input": flat(0.0, 0.0, 0.5),
        "sample": flat(0.5, -1.0, 1.0),
        "target": flat(1.0, -1.0, 0.0),
        "cycled": flat(0.1, 0.0, 0.5),
        "reverse": flat(0.0, 0.3, 0.5),
    }
    scores = distances(views, 3, two_domains())
    expected = {
        "target_l1": 1.5 / 3,
        "unchanged_l1": 2.5 / 3,
        "reverse_l1": 0.3 / 3,
        "cycle_l1": 0.1 / 3,
    }
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected)
    protocol = {"data": "pairs", "split": "train", "num_generated": 3, "range": "[-1, 1]"}
    assert all(score.protocol == protocol for score in scores.values())
    halves = torch.tensor([[[[1.0, -1.0]]], [[[0.0, 0.5]]]])
    assert distance(halves, torch.zeros(2, 1, 1, 2)).tolist() == [1.0, 0.25]


def test_what_the_game_or_the_data_cannot_give_is_left_out() -> None:
    views = {"input": flat(0.0, 0.0), "sample": flat(0.5, -1.0)}
    assert distances(views, 2, two_domains()) == {}
    assert list(distances(views | {"target": flat(0.5, 0.0)}, 2, two_domains())) == [
        "target_l1",
        "unchanged_l1",
    ]
    color = flat(0.5, 0.0).expand(-1, 3, -1, -1)
    gray_to_color = {"input": flat(0.0, 0.0), "sample": color, "target": color}
    assert list(distances(gray_to_color, 2, two_domains())) == ["target_l1"], (
        "gray and color cannot be compared"
    )


def test_translations_are_of_the_split_that_training_does_not_see() -> None:
    data = two_domains(held_out=lambda: replace(two_domains(), split="test"))
    scores = distances({"sample": flat(0.0, 0.0), "target": flat(0.0, 1.0)}, 2, data)
    assert scores["target_l1"].protocol["split"] == "test"


def test_a_process_without_a_block_takes_part_in_every_sum() -> None:
    """Two blocks on three processes: what each adds up has the same shape, and together it is the whole."""
    views = {"sample": flat(0.0, 0.0, 0.0, 0.0), "target": flat(0.1, 0.2, 0.3, 0.4)}
    tallies = []
    for rank in range(3):
        evaluator = Translation(4)
        scores = evaluate_all(
            {"t": evaluator}, Samples(translated(views), 4, 2, rank, 3), two_domains(), CPU
        )
        assert len(scores) == (rank < 2)
        assert evaluator.distances.update_called
        tallies.append(evaluator.distances.tally)
    assert sum(tallies)[:, 0].tolist() == pytest.approx([1.0, 4.0])


def test_a_translation_that_is_not_a_number_is_not_scored() -> None:
    with pytest.raises(DataError, match="generated samples hold NaN or infinite numbers"):
        distances({"sample": flat(float("nan"), 0.0), "target": flat(0.0, 0.0)}, 2, two_domains())


def test_translation_needs_two_domains_of_images() -> None:
    with pytest.raises(
        DataError, match="metric=translation compares images with images, data=digits has one"
    ):
        Translation(2).check(digits())


def test_the_first_few_of_a_block_keep_what_they_were_asked_for() -> None:
    request = SampleRequest(
        4, StepRNG(0, 0), label=torch.arange(4), condition=torch.arange(8).view(4, 2)
    )
    whole = Generated(
        {"sample": flat(4, 5, 6, 7), "input": flat(8, 9, 10, 11)}, request, torch.arange(4) + 12, 20
    )
    two = whole.first(2)
    assert whole.first(4) is whole
    kept = (*two.visuals.values(), two.requested_label, two.request.label, two.request.condition)
    assert [len(tensor) for tensor in kept] == [2] * 5
    assert (two.request.size, two.num_requested_labels, two.requested_label.tolist()) == (
        2,
        20,
        [12, 13],
    )
    assert torch.equal(two.samples, flat(4, 5))
