"""CycleGAN and pix2pix: terms by hand with translators of one number, domains, views, the pool."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.reconstruction import L1, L2
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, DiscriminatorOutput, SampleRequest, total_loss
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.data.loader import sample_request
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.translation import image_pool as pool_file
from gan_zoo.models.translation.cyclegan import CycleGAN
from gan_zoo.models.translation.image_pool import Pool
from gan_zoo.models.translation.pix2pix import Pix2Pix
from gan_zoo.networks.patchgan import PatchGAN

from .playing import SHAPE, gradients, random_images, reaches, turns


class Affine(nn.Module):
    """x -> scale x + shift, in every pixel."""

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.scale, self.shift = (
            nn.Parameter(torch.tensor(scale)),
            nn.Parameter(torch.tensor(shift)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x + self.shift


class Brightness(nn.Module):
    """Scores an image, and its condition if there is one, by a weighted mean."""

    def __init__(self, weight: float = 1.0, of_condition: float = 10.0) -> None:
        super().__init__()
        self.weight, self.of_condition = (
            nn.Parameter(torch.tensor(weight)),
            nn.Parameter(torch.tensor(of_condition)),
        )

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        score = self.weight * x.flatten(1).mean(1)
        if condition is not None:
            score = score + self.of_condition * condition.flatten(1).mean(1)
        return DiscriminatorOutput(score, x)


def translation(size: int = 4, step: int = 0) -> Batch:
    """Domain B as samples, domain A as conditions."""
    return Batch(
        size,
        StepRNG(0, step),
        real=random_images(size, 2 * step),
        condition=random_images(size, 2 * step + 1),
    )


def cyclegan(**options) -> CycleGAN:
    """F(a) = 2 a + 0.1 and G(b) = b / 4 - 0.3."""
    made = iter([Affine(2.0, 0.1), Affine(0.25, -0.3)])
    options = {"a_shape": SHAPE, "b_shape": SHAPE, "pool_size": 0} | options
    discriminators = iter([Brightness(1.0), Brightness(-2.0)])
    return CycleGAN(
        lambda in_shape, out_shape: next(made),
        lambda sample_shape: next(discriminators),
        L1(),
        L1(),
        **options,
    )


def pix2pix(**options) -> Pix2Pix:
    """G(a) = 2 a + 0.1."""
    options = {"a_shape": SHAPE, "b_shape": SHAPE} | options
    return Pix2Pix(
        lambda in_shape, out_shape: Affine(2.0, 0.1),
        lambda condition_channels: Brightness(),
        L1(),
        **options,
    )


# ------------------------------------------------------------------ CycleGAN


def test_cycle_and_identity_by_hand() -> None:
    model, data = cyclegan(cycle_weight=10.0, identity_weight=5.0), translation()
    a, b = data.condition, data.real
    f_of_a, g_of_b = 2 * a + 0.1, b / 4 - 0.3
    cycle = (f_of_a / 4 - 0.3 - a).abs().mean() + (2 * g_of_b + 0.1 - b).abs().mean()
    identity = (2 * b + 0.1 - b).abs().mean() + (a / 4 - 0.3 - a).abs().mean()
    terms = model.generator_terms(data, model.generate(data), [])
    torch.testing.assert_close(terms, {"cycle": 10 * cycle, "identity": 5 * identity})


def test_gradients_of_the_cycle_reach_both_translators_through_both() -> None:
    """d|G(F(a)) - a| by the chain rule: with s the sign, F's shift moves it by s/4, G's scale by s F(a)."""
    model, data = cyclegan(identity_weight=0.0, cycle_weight=1.0), translation()
    a, b = data.condition, data.real
    terms = model.generator_terms(data, model.generate(data), [])
    assert set(terms) == {"cycle"}
    f_of_a, g_of_b = 2 * a + 0.1, b / 4 - 0.3
    s_a, s_b = (f_of_a / 4 - 0.3 - a).sign(), (2 * g_of_b + 0.1 - b).sign()
    found = gradients(terms["cycle"], model.generators)
    expected = {
        "a_to_b.scale": (s_a * a / 4).mean() + (s_b * g_of_b).mean(),
        "a_to_b.shift": (s_a / 4).mean() + s_b.mean(),
        "b_to_a.scale": (s_a * f_of_a).mean() + (s_b * 2 * b).mean(),
        "b_to_a.shift": s_a.mean() + (2 * s_b).mean(),
    }
    torch.testing.assert_close(found, expected)


def test_distances_of_cycle_and_identity_are_pluggable() -> None:
    data, made = translation(), iter([Affine(2.0, 0.0), Affine(0.5, 0.0)])
    model = CycleGAN(
        lambda in_shape, out_shape: next(made),
        lambda sample_shape: Brightness(),
        L1(),
        L2(),
        SHAPE,
        SHAPE,
        3.0,
        7.0,
        0,
    )
    terms = model.generator_terms(data, model.generate(data), [])
    assert terms["cycle"].item() == 0, "they undo each other"
    identity = data.real.square().mean() + (0.5 * data.condition).square().mean()
    assert terms["identity"].item() == pytest.approx(7 * identity.item(), rel=1e-5)


def test_each_critic_sees_its_own_domain() -> None:
    model, data = cyclegan(), translation()
    on_b, on_a = model.adversarial_terms(data, model.generate(data))
    assert (on_b.name, on_a.name) == model.term_names == ("b", "a")
    assert on_b.discriminator is model.discriminators["b"]
    assert on_a.discriminator is model.discriminators["a"]
    assert on_b.real is data.real
    assert on_a.real is data.condition
    torch.testing.assert_close(on_b.fake, 2 * data.condition + 0.1)
    torch.testing.assert_close(on_a.fake, data.real / 4 - 0.3)
    assert (on_b.real_condition, on_b.fake_condition, on_a.real_condition, on_a.fake_condition) == (
        None,
    ) * 4
    assert (
        {d.discriminator_weight for d in (on_b, on_a)}
        == {d.generator_weight for d in (on_b, on_a)}
        == {1.0}
    )


def test_both_turns_by_hand() -> None:
    """Least squares of the discriminators D_B(x) = mean x and D_A(x) = -2 mean x."""
    model, data = cyclegan(), translation()

    def mean(x: Tensor) -> Tensor:
        return x.flatten(1).mean(1)

    a, b = data.condition, data.real
    real_b, fake_b, real_a, fake_a = (
        mean(b),
        mean(2 * a + 0.1),
        -2 * mean(a),
        -2 * mean(b / 4 - 0.3),
    )
    on_critics, on_translators = turns(model, data, LeastSquares())
    expected = {
        "d/b": 0.5 * ((real_b - 1).square() + fake_b.square()).mean(),
        "d/a": 0.5 * ((real_a - 1).square() + fake_a.square()).mean(),
    }
    torch.testing.assert_close(on_critics, expected)
    assert set(on_translators) == {"g/b", "g/a", "g/cycle", "g/identity"}
    torch.testing.assert_close(on_translators["g/b"], 0.5 * (fake_b - 1).square().mean())
    torch.testing.assert_close(on_translators["g/a"], 0.5 * (fake_a - 1).square().mean())
    assert reaches(total_loss(on_translators), model.generators)
    assert reaches(on_translators["g/b"], model.generators["a_to_b"])
    assert not reaches(on_translators["g/b"], model.generators["b_to_a"])
    assert not any(g.any() for g in gradients(total_loss(on_critics), model.generators).values())


def test_critics_see_the_pools_fakes_and_translators_their_own() -> None:
    model = cyclegan(pool_size=2)
    for step in range(8):
        data = translation(step=step)
        fakes = model.generate(data)
        shown = model.replay(data, {name: fake.detach() for name, fake in fakes.items()})
        if step == 0:
            torch.testing.assert_close(shown["b"][:2], fakes["b"][:2])
        on_b, on_a = model.adversarial_terms(data, shown)
        assert on_b.fake is shown["b"]
        assert on_a.fake is shown["a"]
    own = (shown["b"] == fakes["b"]).flatten(1).all(1)
    assert not own.all()
    assert model.pools["b"].count == model.pools["a"].count == 2
    assert not torch.equal(model.pools["a"].images, model.pools["b"].images)
    names = {name for name, _ in model.named_parameters()}
    assert not any("pool" in name for name in names)


def test_what_a_viewer_sees() -> None:
    model, data = cyclegan(), translation()
    a, b = data.condition, data.real
    request = SampleRequest(4, data.rng, condition=a, target=b)
    views = model.visuals(request, model.generators)
    expected = {
        "input": a,
        "sample": 2 * a + 0.1,
        "cycled": a / 2 + 0.025 - 0.3,
        "target": b,
        "reverse": b / 4 - 0.3,
    }
    expected["recycled"] = 2 * expected["reverse"] + 0.1
    assert list(views) == list(expected)
    torch.testing.assert_close(views, expected)
    torch.testing.assert_close(model.sample(request, model.generators), 2 * a + 0.1)
    alone = SampleRequest(4, StepRNG(0, 0), condition=a)
    assert list(model.visuals(alone, model.generators)) == ["input", "sample", "cycled"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"a_shape": None},
            r"model=cyclegan needs data of two domains .*data.condition_shape must be .*, got None",
        ),
        ({"a_shape": [5]}, r"model=cyclegan .*data.condition_shape must be \[C, H, W\], got \[5\]"),
        ({"cycle_weight": -1.0}, "cycle_weight and identity_weight must be >= 0, got -1.0 and 5.0"),
        (
            {"identity_weight": -2.0},
            "cycle_weight and identity_weight must be >= 0, got 10.0 and -2.0",
        ),
        ({"pool_size": -1}, "pool_size must be >= 0, got -1"),
        (
            {"a_shape": [3, 4, 4]},
            r"identity_weight > 0 needs domains of one shape, got \[3, 4, 4\] and \[1, 4, 4\]",
        ),
    ],
)
def test_impossible_cyclegans(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cyclegan(**options)


def test_without_identity_domains_may_differ_in_channels() -> None:
    made: list[tuple[list[int], list[int]]] = []

    def translator(in_shape, out_shape) -> nn.Module:
        made.append((in_shape, out_shape))
        return nn.Conv2d(in_shape[0], out_shape[0], 1)

    model = CycleGAN(
        translator,
        lambda sample_shape: PatchGAN(sample_shape, layers=1, width=4),
        L1(),
        L1(),
        a_shape=[3, 8, 8],
        b_shape=[1, 8, 8],
        identity_weight=0.0,
        pool_size=3,
    )
    assert made == [([3, 8, 8], [1, 8, 8]), ([1, 8, 8], [3, 8, 8])]
    data = Batch(2, StepRNG(0, 0), real=torch.randn(2, 1, 8, 8), condition=torch.randn(2, 3, 8, 8))
    on_critics, on_translators = turns(model, data, NonSaturating())
    assert set(on_critics) == {"d/b", "d/a"}
    assert set(on_translators) == {"g/b", "g/a", "g/cycle"}
    assert model.pools["a"].images.shape == (3, 3, 8, 8)


# ------------------------------------------------------------------ pix2pix


def test_pix2pix_by_hand() -> None:
    """The discriminator's score is mean x + 10 mean a: it is told the input, of reals and of fakes."""
    model, data = pix2pix(reconstruction_weight=100.0), translation()
    a, b = data.condition, data.real
    told, real, fake = (x.flatten(1).mean(1) for x in (10 * a, b, 2 * a + 0.1))
    (term,) = model.adversarial_terms(data, model.generate(data))
    assert term.name == "realism"
    assert term.real_condition is term.fake_condition is a
    on_critic, on_translator = turns(model, data, LeastSquares())
    expected = 0.5 * ((real + told - 1).square() + (fake + told).square()).mean()
    torch.testing.assert_close(on_critic, {"d/realism": expected})
    adversarial = 0.5 * (fake + told - 1).square().mean()
    distance = 100 * (2 * a + 0.1 - b).abs().mean()
    torch.testing.assert_close(
        on_translator, {"g/realism": adversarial, "g/reconstruction": distance}
    )
    assert reaches(on_translator["g/reconstruction"], model.generators)
    assert reaches(on_translator["g/realism"], model.generators)


def test_what_a_viewer_sees_of_pix2pix() -> None:
    model, data = pix2pix(), translation()
    expected = {"input": data.condition, "sample": 2 * data.condition + 0.1, "target": data.real}
    request = SampleRequest(4, data.rng, condition=data.condition, target=data.real)
    torch.testing.assert_close(model.visuals(request, model.generators), expected)
    alone = SampleRequest(4, StepRNG(0, 0), condition=data.condition)
    assert list(model.visuals(alone, model.generators)) == ["input", "sample"]


def test_a_patch_critic_is_told_the_input_beside_the_sample() -> None:
    channels: list[int] = []

    def discriminator(condition_channels: int) -> nn.Module:
        channels.append(condition_channels)
        return PatchGAN([1, 8, 8], condition_channels, layers=1, width=4)

    model = Pix2Pix(
        lambda in_shape, out_shape: nn.Conv2d(3, 1, 1),
        discriminator,
        L1(),
        a_shape=[3, 8, 8],
        b_shape=[1, 8, 8],
    )
    assert channels == [3]
    data = Batch(2, StepRNG(0, 0), real=torch.randn(2, 1, 8, 8), condition=torch.randn(2, 3, 8, 8))
    (term,) = model.adversarial_terms(data, model.generate(data))
    output = term.discriminate_real()
    expected = model.discriminators["main"].score(
        model.discriminators["main"].layers(torch.cat([data.real, data.condition], 1))
    )
    torch.testing.assert_close(output.score, expected)
    other = Batch(2, StepRNG(0, 0), real=data.real, condition=data.condition.flip(0))
    (term,) = model.adversarial_terms(other, {"fake": data.real})
    assert not torch.allclose(term.discriminate_real().score, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, r"model=pix2pix needs data of two domains of images .*, got None"),
        ({"reconstruction_weight": -1.0}, "reconstruction_weight must be >= 0, got -1.0"),
    ],
)
def test_impossible_pix2pixes(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pix2pix(**options)


# ------------------------------------------------------------------ the pool


def numbered(first: int, count: int) -> Tensor:
    """FakeSamples that are their number in every pixel."""
    return (
        torch.arange(first, first + count).float().view(-1, 1, 1, 1).expand(-1, *SHAPE).contiguous()
    )


def numbers(fakes: Tensor) -> list[int]:
    return fakes[:, 0, 0, 0].long().tolist()


def test_the_first_fifty_fakes_are_shown_and_stored() -> None:
    pool = Pool(50, SHAPE)
    for step in range(5):
        fakes = numbered(10 * step, 10)
        assert torch.equal(pool(fakes, StepRNG(0, step), "b"), fakes)
    assert numbers(pool.images) == list(range(50))
    assert pool.count == 50


def test_a_full_pool_replaces_with_probability_one_half_and_what_it_shows_is_gone() -> None:
    pool, replaced = Pool(50, SHAPE), 0
    pool(numbered(0, 50), StepRNG(0, 0), "b")
    kept = set(range(50))
    for step in range(1, 201):
        first = 1000 * step
        shown = numbers(pool(numbered(first, 20), StepRNG(0, step), "b"))
        for i, number in enumerate(shown):
            if number != first + i:
                assert number in kept, "a past fake, one of the pool"
                kept = kept - {number} | {first + i}
                replaced += 1
        assert kept == set(numbers(pool.images))
    assert replaced / 4000 == pytest.approx(0.5, abs=0.03)


def test_all_places_are_replaced_equally_often() -> None:
    pool, counts = Pool(4, SHAPE), torch.zeros(4)
    pool(numbered(0, 4), StepRNG(0, 0), "b")
    for step in range(1, 2001):
        before = pool.images.clone()
        pool(numbered(10 * step, 1), StepRNG(0, step), "b")
        counts += (pool.images != before).flatten(1).any(1)
    assert counts.tolist() == pytest.approx([250] * 4, rel=0.2)


@pytest.mark.parametrize("parts", [2, 4])
def test_the_parts_of_a_batch_are_shown_what_the_whole_is(parts: int) -> None:
    whole, in_parts = Pool(10, SHAPE), Pool(10, SHAPE)
    for step in range(20):
        fakes, rng = numbered(10 * step, 8), StepRNG(0, step)
        shown = [
            in_parts(part, rng.part(number, parts), "b")
            for number, part in enumerate(fakes.chunk(parts))
        ]
        assert torch.equal(torch.cat(shown), whole(fakes, rng, "b"))


def test_a_pool_is_never_asked_with_a_gradient() -> None:
    pool = Pool(2, SHAPE)
    with pytest.raises(AssertionError, match="never be consulted with a gradient"):
        pool(numbered(0, 1).requires_grad_(), StepRNG(0, 0), "b")
    assert not pool(numbered(0, 1), StepRNG(0, 0), "b").requires_grad


def test_what_is_shown_does_not_change_with_the_pool_or_the_fakes() -> None:
    pool, fakes = Pool(3, SHAPE), numbered(0, 3)
    shown = pool(fakes, StepRNG(0, 0), "b")
    fakes.fill_(-1.0)
    for step in range(1, 9):
        pool(numbered(10 * step, 3), StepRNG(0, step), "b")
    assert numbers(shown) == [0, 1, 2]


def test_a_saved_pool_goes_on_as_if_nothing_had_been() -> None:
    def steps(pool: Pool, first: int, last: int) -> list[list[int]]:
        return [
            numbers(pool(numbered(10 * step, 4), StepRNG(0, step), "b"))
            for step in range(first, last)
        ]

    pool, restored, empty = Pool(6, SHAPE), Pool(6, SHAPE), Pool(6, SHAPE)
    steps(pool, 0, 1)
    restored.load_state_dict(pool.state_dict())
    assert restored.count == pool.count == 4
    assert torch.equal(restored.images, pool.images)
    expected = steps(pool, 1, 9)
    assert steps(restored, 1, 9) == expected
    assert torch.equal(restored.images, pool.images)
    assert steps(empty, 1, 9) != expected


def test_a_pool_survives_a_safe_load(tmp_path) -> None:
    pool = Pool(3, SHAPE)
    pool(numbered(0, 2), StepRNG(0, 0), "b")
    torch.save(pool.state_dict(), tmp_path / "pool.pt")
    restored = Pool(3, SHAPE)
    restored.load_state_dict(torch.load(tmp_path / "pool.pt", weights_only=True))
    assert (restored.count, numbers(restored.images)) == (2, [0, 1, 0])


def test_without_a_pool_fakes_stay_as_they_are() -> None:
    pool, fakes = Pool(0, SHAPE), numbered(0, 3)
    assert pool(fakes, StepRNG(0, 0), "b") is fakes
    assert pool.count == 0


def test_two_processes_have_the_pool_of_one(monkeypatch) -> None:
    """Each of two processes sees its half of what one process would see, and both keep the same fakes."""
    alone, ranks = Pool(5, SHAPE), [Pool(5, SHAPE), Pool(5, SHAPE)]
    for step in range(12):
        fakes = numbered(10 * step, 4)
        expected = alone(fakes, StepRNG(0, step), "b")
        with monkeypatch.context() as patch:
            patch.setattr(pool_file, "world_size", lambda: 2)
            patch.setattr(pool_file, "gather_over_ranks", lambda mine, fakes=fakes: fakes)
            halves = []
            for rank, pool in enumerate(ranks):
                patch.setattr(pool_file, "rank", lambda rank=rank: rank)
                halves.append(pool(fakes[2 * rank : 2 * rank + 2], StepRNG(0, step, rank, 2), "b"))
        assert torch.equal(torch.cat(halves), expected)
        assert all(torch.equal(pool.images, alone.images) for pool in ranks)


def test_both_directions_and_both_cycles_are_shown() -> None:
    """From the true partner where it is known, else from another sample of the second domain."""
    model = cyclegan()
    generators = model.generators
    a, b = random_images(3, 1), random_images(3, 2)
    known = model.visuals(SampleRequest(3, StepRNG(0, 0), condition=a, target=b), generators)
    assert list(known) == ["input", "sample", "cycled", "target", "reverse", "recycled"]
    torch.testing.assert_close(known["recycled"], generators["a_to_b"](generators["b_to_a"](b)))
    unknown = model.visuals(SampleRequest(3, StepRNG(0, 0), condition=a, unrelated=b), generators)
    assert list(unknown) == ["input", "sample", "cycled", "input B", "B to A", "B cycled"]
    torch.testing.assert_close(unknown["B to A"], generators["b_to_a"](b))
    torch.testing.assert_close(unknown["B cycled"], known["recycled"])


def test_unpaired_data_bring_unrelated_samples() -> None:
    samples, conditions = (torch.randint(0, 256, (n, 1, 4, 4), dtype=torch.uint8) for n in (5, 7))
    source = Source("x", "all", samples, conditions=conditions, aligned=False)
    request = sample_request(source, 3, StepRNG(0, 0))
    assert request.target is None
    assert request.unrelated.shape == (3, 1, 4, 4)
    assert all(
        any(torch.equal(one, to_unit(other)) for other in samples) for one in request.unrelated
    )
