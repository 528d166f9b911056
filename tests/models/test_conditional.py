"""Conditional models: who is told what, wrong conditions that are wrong, scores by hand."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from gan_zoo.augmentation.ada import ADAugment
from gan_zoo.augmentation.base import AugmentedDiscriminator, augmentations
from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, DiscriminatorOutput, SampleRequest, total_loss
from gan_zoo.data.batch_order import BatchSampler, MismatchSampler
from gan_zoo.data.dataset import Source
from gan_zoo.data.loader import InfiniteLoader
from gan_zoo.losses.hinge import Hinge
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.cgan import CGAN
from gan_zoo.models.conditional_gan import ConditionalGAN
from gan_zoo.networks.condition_encoders import (
    BagOfWords,
    ClassCondition,
    ImageCondition,
    VectorCondition,
)
from gan_zoo.networks.layers.heads import Heads

from .playing import CRITIC, GENERATOR, SHAPE, batch, gradients, reaches, turns

CLASSES = partial(ClassCondition, num_classes=3, outputs=5)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def cgan(condition=CLASSES, **options) -> CGAN:
    return CGAN(GENERATOR, CRITIC, condition, latent_dim=4, **options)


def single(fusion: str = "projection") -> ConditionalGAN:
    return ConditionalGAN(GENERATOR, CRITIC, CLASSES, fusion, latent_dim=4)


def chi_squared(counts: Tensor) -> float:
    """Of counts that should be equal; its mean is their number minus 1."""
    expected = counts.double().mean()
    return float(((counts - expected).square() / expected).sum())


# ------------------------------------------------------------------ the three terms


def test_the_three_duels_and_what_critics_are_told() -> None:
    model, data = (
        cgan(realism_weight=2.0, match_weight=3.0, mismatch_fraction=0.25),
        batch(label=LABELS),
    )
    fake = model.generate(data)["fake"]
    realism, match, wrong = model.adversarial_terms(data, {"fake": fake})
    assert tuple(term.name for term in (realism, match, wrong)) == model.term_names
    assert [d.discriminator_weight for d in (realism, match, wrong)] == pytest.approx(
        [2.0, 3 * 0.75, 3 * 0.25]
    )
    assert [d.generator_weight for d in (realism, match, wrong)] == [2.0, 3.0, 0.0]
    assert realism.discriminator is model.discriminators["realism"]
    assert match.discriminator is wrong.discriminator is model.discriminators["match"]
    assert (realism.real_condition, realism.fake_condition) == (None, None)
    assert torch.equal(match.real_condition, LABELS)
    assert torch.equal(match.fake_condition, LABELS)
    assert torch.equal(wrong.real_condition, LABELS)
    assert (wrong.fake_condition != LABELS).all()
    assert wrong.real is wrong.fake is data.real
    assert realism.fake is match.fake is fake


def test_the_critics_loss_by_hand() -> None:
    """L_D = [realism] + real + 1/2 fake + 1/2 wrong, with the default weights."""
    model, data = cgan(), batch(label=LABELS)
    fake, wrong = model.generate(data)["fake"].detach(), model.mismatched_conditions(data)
    realism, match = model.discriminators["realism"], model.discriminators["match"]
    on_real, on_fake = (
        (1 - realism(data.real).score).relu().mean(),
        (1 + realism(fake).score).relu().mean(),
    )
    real = (1 - match(data.real, LABELS).score).relu().mean()
    fakes = (1 + match(fake, LABELS).score).relu().mean()
    wrongs = (1 + match(data.real, wrong).score).relu().mean()
    terms, _ = turns(model, data, Hinge())
    assert set(terms) == {"d/realism", "d/match", "d/wrong"}
    torch.testing.assert_close(terms["d/realism"], on_real + on_fake)
    torch.testing.assert_close(
        terms["d/match"] + terms["d/wrong"], real + 0.5 * fakes + 0.5 * wrongs
    )


def test_the_generators_loss_by_hand_and_nothing_of_wrong_pairs() -> None:
    model, data = cgan(realism_weight=2.0, match_weight=3.0), batch(label=LABELS)
    _, terms = turns(model, data, Hinge())
    fake = model.generate(data)["fake"]
    assert set(terms) == {"g/realism", "g/match"}
    torch.testing.assert_close(
        terms["g/realism"], -2 * model.discriminators["realism"](fake).score.mean()
    )
    torch.testing.assert_close(
        terms["g/match"], -3 * model.discriminators["match"](fake, LABELS).score.mean()
    )


def test_the_match_critic_judges_reals_once_for_both_its_duels() -> None:
    model, data, seen = cgan(), batch(label=LABELS), []
    fake, wrong = model.generate(data)["fake"].detach(), model.mismatched_conditions(data)
    model.discriminators["match"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    turns(model, data, Hinge())
    expected = [(data.real, LABELS), (fake, LABELS), (data.real, wrong), (fake, LABELS)]
    assert all(
        torch.equal(x, y) and torch.equal(c, d)
        for (x, c), (y, d) in zip(seen, expected, strict=True)
    )


def test_with_no_mismatch_fraction_wrong_pairs_cost_nothing() -> None:
    model, data = cgan(mismatch_fraction=0.0), batch(label=LABELS)
    terms, _ = turns(model, data, Hinge())
    assert terms["d/wrong"].item() == 0
    fake, match = model.generate(data)["fake"], model.discriminators["match"]
    plain = (1 - match(data.real, LABELS).score).relu().mean() + (
        1 + match(fake, LABELS).score
    ).relu().mean()
    torch.testing.assert_close(terms["d/match"], plain)


def test_gradients_reach_both_encoders_and_no_others() -> None:
    model, data = cgan(), batch(label=LABELS)
    of_critic, of_generator = (total_loss(terms) for terms in turns(model, data, NonSaturating()))
    told = model.discriminators["match"].condition
    assert told.embedding.weight is not model.generators["condition"].embedding.weight
    assert reaches(of_critic, told)
    assert not any(g.any() for g in gradients(of_critic, model.generators).values())
    assert reaches(of_generator, model.generators)
    assert reaches(of_critic, model.discriminators["realism"])
    assert "condition" not in dict(model.discriminators["realism"].named_modules())


def test_an_embedding_learns_from_its_own_class_alone() -> None:
    model, data = cgan(), batch(4, label=torch.tensor([0, 0, 2, 2]))
    _, terms = turns(model, data, Hinge())
    gradient = gradients(total_loss(terms), model.generators["condition"])["embedding.weight"]
    assert gradient.abs().sum(1).gt(0).tolist() == [True, False, True]


# ------------------------------------------------------------------ what the generator is told


@pytest.mark.parametrize("make", [cgan, single])
def test_the_condition_reaches_the_sample(make) -> None:
    model = make()
    request = SampleRequest(6, StepRNG(0, 0), label=LABELS, latents=torch.zeros(6, 4))
    samples = model.sample(request, model.generators)
    equal = (samples[:, None] - samples[None]).flatten(2).abs().amax(2) < 1e-6
    assert torch.equal(equal, LABELS[:, None] == LABELS[None])
    assert torch.equal(
        model.generate(batch(label=LABELS))["fake"],
        model.sample(model.request_for(batch(label=LABELS)), model.generators),
    )


def test_classes_are_drawn_where_a_batch_has_none() -> None:
    model = single()
    drawn = model.requested_label(SampleRequest(9000, StepRNG(0, 0)))
    assert torch.equal(drawn, model.conditions(SampleRequest(9000, StepRNG(0, 0))))
    assert chi_squared(drawn.bincount(minlength=3)) < 13.8
    assert torch.equal(model.requested_label(model.request_for(batch(label=LABELS))), LABELS)
    assert model.num_requested_labels == 3


# ------------------------------------------------------------------ wrong classes


@pytest.mark.parametrize("classes", [2, 10])
def test_wrong_classes_are_never_right_and_every_other_comes_equally_often(classes: int) -> None:
    condition, draws = ClassCondition(classes), 900 * classes
    label = torch.arange(draws) % classes
    table = torch.zeros(classes, classes, dtype=torch.int64)
    for step in range(10):
        wrong = condition.mismatched(labelled(draws, StepRNG(0, step), label=label))
        table += torch.bincount(label * classes + wrong, minlength=classes**2).view(
            classes, classes
        )
    assert table.diagonal().sum() == 0
    others = table[~torch.eye(classes, dtype=torch.bool)].view(classes, classes - 1)
    assert others.sum() == 10 * draws
    # Every row is a multinomial of its own: K (K - 2) degrees of freedom, 80 for 10 classes.
    freedom = classes * (classes - 2)
    assert sum(map(chi_squared, others)) <= freedom + 4 * (2 * freedom) ** 0.5


def labelled(size: int, rng: StepRNG, label: Tensor) -> Batch:
    return Batch(size, rng, real=torch.empty(size, 0), label=label)


def test_wrong_classes_are_those_of_the_batch_and_change_with_the_step() -> None:
    condition, label = ClassCondition(10), torch.arange(20) % 10
    first, again, later = (
        condition.mismatched(labelled(20, StepRNG(0, step), label=label)) for step in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


# ------------------------------------------------------------------ wrong captions, vectors, images


def captions() -> Tensor:
    """Five captions, the first of them three times and the second twice."""
    return torch.tensor(
        [[2, 3, 0], [4, 5, 6], [2, 3, 0], [3, 2, 0], [4, 5, 6], [2, 0, 0], [2, 3, 0], [9, 9, 9]]
    )


CONDITIONS = {
    "captions": captions(),
    "vectors": captions().float().sqrt(),
    "images": captions().to(torch.uint8)[:, :, None, None].expand(-1, -1, 2, 2).contiguous(),
    "two kinds, one of them once": torch.tensor([[1.0], [1.0], [1.0], [0.0], [1.0]]),
    "all different": torch.arange(7)[:, None],
}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_wrong_conditions_are_never_equal_and_uniform_over_the_others(kind: str) -> None:
    conditions = CONDITIONS[kind]
    others, count, draws = MismatchSampler(conditions), len(conditions), 4000
    equal = (conditions[:, None] == conditions[None]).flatten(2).all(2)
    for row in range(count):
        picked = others.sample(torch.full((draws,), row), StepRNG(0, row))
        counts = torch.bincount(picked, minlength=count)
        assert counts[equal[row]].sum() == 0
        among = counts[~equal[row]]
        freedom = len(among) - 1
        assert chi_squared(among) <= freedom + 5 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("conditions", [torch.ones(5, 3), torch.zeros(1, 4, dtype=torch.int64)])
def test_data_without_a_wrong_condition_say_so(conditions: Tensor) -> None:
    with pytest.raises(DataError, match=f"all {len(conditions)} conditions of the data are equal"):
        MismatchSampler(conditions)


@pytest.mark.parametrize("world_size", [1, 2])
def test_batches_bring_the_right_and_a_wrong_caption_on_any_number_of_processes(
    world_size: int,
) -> None:
    samples = torch.arange(8).to(torch.uint8).view(8, 1, 1, 1).expand(8, 1, 4, 4).contiguous()
    data = Source("test", "all", samples, conditions=captions())

    def first(rank: int, ranks: int) -> Batch:
        rng = StepRNG(3, 0, rank, ranks)
        return next(
            iter(
                InfiniteLoader(
                    data,
                    BatchSampler(data, 4, rng, needs=["mismatched"]),
                    rng,
                    start=lambda: 5,
                )
            )
        )

    parts = [first(rank, world_size) for rank in range(world_size)]
    whole = first(0, 1)
    wrong = torch.cat([part.mismatched_condition for part in parts])
    assert torch.equal(wrong, whole.mismatched_condition)
    rows = ((whole.real[:, 0, 0, 0] + 1) * 127.5).round().long()
    assert torch.equal(whole.condition, captions()[rows])
    assert (whole.mismatched_condition != whole.condition).any(1).all()


KINDS = {
    "captions": (partial(BagOfWords, 12, 5), captions()[:6], "text"),
    "vectors": (partial(VectorCondition, [3], 5), torch.randn(6, 3), "vector"),
    "images": (partial(ImageCondition, [1, 8, 8], 5, width=4), torch.randn(6, 1, 8, 8), "image"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_captions_vectors_and_images_as_conditions(kind: str) -> None:
    condition, right, need = KINDS[kind]
    model = cgan(condition)
    data = batch(condition=right, mismatched_condition=right.roll(1, 0))
    assert model.needs == (need, "mismatched")
    assert (model.num_requested_labels, model.requested_label(model.request_for(data))) == (
        None,
        None,
    )
    _, match, wrong = model.adversarial_terms(data, model.generate(data))
    assert match.real_condition is match.fake_condition is wrong.real_condition is right
    assert wrong.fake_condition is data.mismatched_condition
    of_critic, of_generator = (total_loss(terms) for terms in turns(model, data, Hinge()))
    assert reaches(of_critic, model.discriminators["match"].condition)
    assert reaches(of_generator, model.generators["condition"])
    with pytest.raises(ValueError, match="needs batches with mismatched conditions"):
        model.adversarial_terms(batch(condition=right), {"fake": data.real})
    with pytest.raises(ValueError, match="needs batches with a condition"):
        model.generate(batch())


# ------------------------------------------------------------------ one discriminator


def test_one_critic_judges_pairs() -> None:
    model, data = single(), batch(label=LABELS)
    fake = model.generate(data)["fake"]
    (term,) = model.adversarial_terms(data, {"fake": fake})
    assert (term.name, term.discriminator_weight, term.generator_weight) == ("match", 1.0, 1.0)
    assert torch.equal(term.real_condition, LABELS)
    assert torch.equal(term.fake_condition, LABELS)
    assert model.needs == ("label",)
    on_critic, on_generator = turns(model, data, Hinge())
    discriminator = model.discriminators["main"]
    expected = (1 - discriminator(data.real, LABELS).score).relu().mean() + (
        1 + discriminator(fake, LABELS).score
    ).relu().mean()
    torch.testing.assert_close(on_critic, {"d/match": expected})
    torch.testing.assert_close(on_generator, {"g/match": -discriminator(fake, LABELS).score.mean()})


@pytest.mark.parametrize("fusion", ["projection", "concat"])
def test_scores_of_pairs_by_hand(fusion: str) -> None:
    discriminator, x = single(fusion).discriminators["main"], batch().real
    network, heads = discriminator.discriminator, discriminator.discriminator.heads
    h, c = network.layers(x), discriminator.condition.embedding.weight[LABELS]
    assert isinstance(heads, Heads)
    if fusion == "projection":
        score = (h @ heads.score.weight[0] + heads.score.bias) + (
            (c @ heads.project.weight.T) * h
        ).sum(1)
    else:
        mixed = leaky_relu(torch.cat([h, c], 1) @ heads.mix.weight.T + heads.mix.bias, 0.2)
        score = mixed @ heads.score.weight[0] + heads.score.bias
    torch.testing.assert_close(discriminator(x, LABELS).score, score)
    assert not torch.allclose(
        discriminator(x, LABELS).score, discriminator(x, (LABELS + 1) % 3).score
    )


# ------------------------------------------------------------------ what cannot be


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: cgan(realism_weight=0.0),
            "realism_weight and match_weight must be > 0, got 0.0 and 1.0: .*cgan_sing",
        ),
        (
            lambda: cgan(match_weight=-1.0),
            "realism_weight and match_weight must be > 0, got 1.0 and -1.0",
        ),
        (lambda: cgan(mismatch_fraction=1.0), r"mismatch_fraction must be in \[0, 1\), got 1.0"),
        (lambda: cgan(mismatch_fraction=-0.1), r"mismatch_fraction must be in \[0, 1\), got -0.1"),
        (lambda: cgan(fusion="sum"), "fusion must be one of projection, concat, got 'sum'"),
        (lambda: cgan(partial(ClassCondition, None)), "data.num_classes must be >= 2, got None"),
        (lambda: cgan(partial(ClassCondition, 1)), "data.num_classes must be >= 2, got 1"),
        (lambda: cgan(partial(BagOfWords, None)), "data.vocabulary_size must be >= 3, got None"),
        (lambda: cgan(partial(VectorCondition, None)), r"data.condition_shape=\[D\], got None"),
        (
            lambda: cgan(partial(VectorCondition, SHAPE)),
            r"data.condition_shape=\[D\], got \[1, 4, 4\]",
        ),
        (
            lambda: cgan(partial(ImageCondition, [7])),
            r"data.condition_shape=\[C, S, S\], got \[7\]",
        ),
        (
            lambda: cgan(partial(ImageCondition, [3, 48, 48])),
            "condition=image works on square images of .*got 48x48",
        ),
    ],
)
def test_impossible_games_name_the_argument(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_adaptive_augmentation_behind_a_condition_is_found_and_moved_once() -> None:
    def discriminator(**options) -> nn.Module:
        return AugmentedDiscriminator(
            CRITIC(**options), ADAugment(p=0.5, images_to_full=100, interval=1)
        )

    model, data = CGAN(GENERATOR, discriminator, CLASSES, latent_dim=4), batch(label=LABELS)
    _, match, mismatched = model.adversarial_terms(data, model.generate(data))
    (ada,) = augmentations(match.discriminator)
    sure = DiscriminatorOutput(torch.ones(6), data.real)
    for term, expected in ((match, 0.56), (mismatched, 0.56), (match, 0.62)):
        ada.update(term, sure, sure.score, 1)
        assert ada.p.item() == pytest.approx(expected), (
            "6 images of 100; pairings that only teach do not count"
        )
    assert not augmentations(cgan().discriminators["match"])
