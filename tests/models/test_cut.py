"""CUT and FastCUT: the contrastive loss by hand, its negatives and gradients, mistaken twins, a run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.auxiliary_losses.patch_nce import PatchNCE
from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, SampleRequest, total_loss
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.models.translation.cut import CUT, PatchProjections, rows_at
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.translation.image_to_image import ResNetTranslator, UNetTranslator
from tests.helpers import invoke

from .playing import gradients, reaches, turns

SHAPE = [3, 8, 8]


def images(size: int, seed: int) -> Tensor:
    return torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(seed)).tanh()


def two_domains(size: int = 3) -> Batch:
    return Batch(size, StepRNG(0, 0), real=images(size, 0), condition=images(size, 1))


def cut(**options) -> CUT:
    options = {"a_shape": SHAPE, "b_shape": SHAPE, "embedding_dim": 5} | options
    return CUT(
        lambda in_shape, out_shape: ResNetTranslator(in_shape, out_shape, width=4, blocks=2),
        lambda: PatchGAN(SHAPE, layers=1, width=4),
        PatchNCE(),
        **options,
    )


def unit_rows(seed: int, *shape: int) -> Tensor:
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(rows, dim=-1)


def loops(q: Tensor, k: Tensor, t: float) -> float:
    """Equation 3, written as loops."""
    losses = []
    for image in range(len(q)):
        for i in range(q.shape[1]):
            likeness = [math.exp(float(q[image, i] @ key) / t) for key in k[image]]
            losses.append(-math.log(likeness[i] / sum(likeness)))
    return sum(losses) / len(losses)


class AcrossTheBatch(PatchNCE):
    """Has the patches of all images as negatives, as where a batch size is assumed."""

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        return super().forward(queries.flatten(0, 1)[None], keys.flatten(0, 1)[None])


class MovesTheKeys(PatchNCE):
    """Lets the input's patches come to the output's."""

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        similarities = queries @ keys.mT / self.temperature
        return (similarities.logsumexp(2) - similarities.diagonal(dim1=1, dim2=2)).mean()


# ------------------------------------------------------------------ the contrastive loss


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_patch_nce_by_loops(temperature: float) -> None:
    q, k = unit_rows(0, 2, 4, 3), unit_rows(1, 2, 4, 3)
    assert PatchNCE(temperature)(q, k).item() == pytest.approx(loops(q, k, temperature))


def test_patch_nce_and_its_gradient_by_hand() -> None:
    """One image of two positions: q1 = k1, q2 at right angles to both keys; t = 1.

    The loss is (log(1 + e^-1) + log 2) / 2, and its gradient for q_i is (sum_j p_ij k_j - k_i) / 2.
    """
    keys = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    queries = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]], requires_grad=True)
    loss = PatchNCE(1.0)(queries, keys)
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-1)) + math.log(2)) / 2)
    (gradient,) = torch.autograd.grad(loss, queries)
    p = math.exp(-1) / (1 + math.exp(-1))
    expected = torch.tensor([[[-p / 2, p / 2, 0.0], [0.25, -0.25, 0.0]]])
    torch.testing.assert_close(gradient, expected)


def moves_keys(contrast: PatchNCE) -> bool:
    q, k = unit_rows(0, 2, 4, 3).requires_grad_(), unit_rows(1, 2, 4, 3).requires_grad_()
    _, of_keys = torch.autograd.grad(contrast(q, k), [q, k], allow_unused=True)
    return of_keys is not None


def depends_on_others(contrast: PatchNCE) -> bool:
    """Whether the gradient of one image changes with the other image of the batch."""
    q, k, other = unit_rows(0, 2, 4, 3).requires_grad_(), unit_rows(1, 2, 4, 3), unit_rows(2, 4, 3)
    (before,) = torch.autograd.grad(contrast(q, k), q)
    (after,) = torch.autograd.grad(contrast(q, torch.stack([k[0], other])), q)
    return not torch.allclose(before[0], after[0])


def test_keys_are_constants_and_negatives_are_of_the_same_image() -> None:
    assert not moves_keys(PatchNCE())
    assert not depends_on_others(PatchNCE())
    assert moves_keys(MovesTheKeys())
    assert depends_on_others(AcrossTheBatch())


def test_what_the_contrastive_loss_refuses() -> None:
    with pytest.raises(ValueError, match="temperature must be > 0, got 0"):
        PatchNCE(0.0)
    with pytest.raises(ValueError, match=r"must both be \[B, P, F\], got \[2, 3\] and \[2, 3\]"):
        PatchNCE()(torch.ones(2, 3), torch.ones(2, 3))


# ------------------------------------------------------------------ activations and positions


def test_activations_are_those_on_the_way() -> None:
    network = ResNetTranslator(SHAPE, SHAPE, width=4, blocks=2)
    x = images(2, 0)
    pixels, first, second, *blocks = network.activations(x, [0, 1, 2, 3, 4])
    assert torch.equal(pixels, x)
    assert [a.shape[1] for a in (pixels, first, second, *blocks)] == network.stage_widths
    assert [a.shape[2] for a in (first, second, *blocks)] == [4, 2, 2, 2]
    torch.testing.assert_close(first, network.layers[:4](x))
    torch.testing.assert_close(network.layers[4:7](first), second)
    torch.testing.assert_close(network.layers[7:10](second), blocks[0])
    torch.testing.assert_close(network.layers[11:](blocks[1]), network(x))


def test_rows_are_the_channels_at_a_position() -> None:
    activation = torch.arange(24.0).view(2, 3, 2, 2)
    rows = rows_at(activation, torch.tensor([[3, 0], [1, 2]]))
    assert torch.equal(rows[0, 0], activation[0, :, 1, 1])
    assert torch.equal(rows[0, 1], activation[0, :, 0, 0])
    assert torch.equal(rows[1, 1], activation[1, :, 1, 0])


def test_each_image_has_positions_of_its_own_and_all_where_there_are_few() -> None:
    model, data = cut(positions=10), two_domains()
    places = model.draw_positions(data, data.real, "positions 0")
    assert places.shape == (3, 10)
    assert all(len(set(row.tolist())) == 10 for row in places)
    assert len({tuple(sorted(row.tolist())) for row in places}) == 3
    few = model.draw_positions(data, torch.zeros(3, 4, 2, 2), "positions 2")
    assert few.sort(1).values.tolist() == [[0, 1, 2, 3]] * 3


def test_positions_do_not_depend_on_the_number_of_processes() -> None:
    model, data = cut(positions=10), two_domains(4)
    whole = model.draw_positions(data, data.real, "positions 0")
    parts = [model.draw_positions(part, part.real, "positions 0") for part in data.split(2)]
    assert torch.equal(whole, torch.cat(parts))


def test_projections_have_length_one() -> None:
    heads = PatchProjections([3, 8], 5)
    for rows in heads([torch.randn(2, 7, 3), torch.randn(2, 4, 8)]):
        assert rows.shape[2] == 5
        torch.testing.assert_close(rows.norm(dim=2), torch.ones(rows.shape[:2]))


# ------------------------------------------------------------------ the models


def nce_by_hand(model: CUT, output: Tensor, source: Tensor) -> Tensor:
    """All positions of all stages, in order: their order does not matter to the loss."""
    translator, heads = model.generators["main"], model.generators["projections"]
    losses = []
    for q, k, head in zip(
        translator.activations(output, model.stages),
        translator.activations(source, model.stages),
        heads.heads,
        strict=True,
    ):
        rows = [F.normalize(head(a.flatten(2).mT), dim=2).detach() for a in (q, k)]
        losses.append(loops(*rows, 0.07))
    return torch.tensor(sum(losses) / len(losses))


def test_the_terms_of_cut_and_fastcut_by_hand() -> None:
    data = two_domains()
    a, b = data.condition, data.real
    model = cut(nce_weight=3.0)
    translated, kept = model.generators["main"](a), model.generators["main"](b)
    terms = model.generator_terms(data, model.generate(data), [])
    expected = {
        "nce": 1.5 * nce_by_hand(model, translated, a),
        "identity": 1.5 * nce_by_hand(model, kept, b),
    }
    torch.testing.assert_close(terms, expected)
    model.identity = False
    terms = model.generator_terms(data, model.generate(data), [])
    torch.testing.assert_close(terms, {"nce": 2 * expected["nce"]})


def test_another_image_of_the_batch_does_not_change_the_loss_of_an_image() -> None:
    model, data = cut(), two_domains(2)
    other = replace(data, condition=torch.stack([data.condition[0], images(1, 9)[0]]))
    of_first = []
    for given in (data, other):
        fake = model.generate(given)["fake"]
        (of_fake,) = torch.autograd.grad(model.nce(given, fake, given.condition, "p"), fake)
        of_first.append(of_fake[0])
    torch.testing.assert_close(*of_first)


def test_fastcut_translates_mirrored_images_and_compares_the_same_patches() -> None:
    """A translator that is symmetric gives the same loss with and without mirroring."""
    data = two_domains(6)
    model = cut(identity=False, stages=[0], flip_equivariance=True)
    flips = data.rng.uniform("flip", 6) < 0.5
    assert 0 < flips.sum() < 6
    mirrored = model.mirrored(data, data.condition)
    assert torch.equal(mirrored[flips], data.condition[flips].flip(3))
    assert torch.equal(mirrored[~flips], data.condition[~flips])
    model.generators["main"].forward = lambda x: 0.5 * x
    flipped = model.generator_terms(data, model.generate(data), [])["nce"]
    model.flip_equivariance = False
    torch.testing.assert_close(
        flipped, model.generator_terms(data, model.generate(data), [])["nce"]
    )


def test_who_is_trained_by_what() -> None:
    model, data = cut(), two_domains()
    on_critic, on_translator = turns(model, data, LeastSquares())
    assert set(on_critic) == {"d/realism"}
    assert set(on_translator) == {"g/realism", "g/nce", "g/identity"}
    assert not any(g.any() for g in gradients(on_critic["d/realism"], model.generators).values())
    assert reaches(on_translator["g/nce"], model.generators["projections"])
    assert reaches(on_translator["g/realism"], model.generators["main"].layers[-2])
    assert not reaches(on_translator["g/realism"], model.generators["projections"])
    total = gradients(total_loss(on_translator), model.generators)
    assert all(gradient.isfinite().all() for gradient in total.values())


def test_the_papers_stages() -> None:
    chosen = {}
    for blocks in (1, 2, 3, 6, 9):
        made = CUT(
            lambda in_shape, out_shape, n=blocks: ResNetTranslator(in_shape, out_shape, 4, n),
            lambda: nn.Identity(),
            PatchNCE(),
            SHAPE,
            SHAPE,
        )
        chosen[blocks] = made.stages
    assert chosen[9] == [0, 1, 2, 3, 7], "image, halvings, blocks 1 and 5"
    assert (chosen[1], chosen[3], chosen[6]) == ([0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "model=cut needs data of two domains of images"),
        ({"a_shape": [1, 8, 8]}, r"domains of one shape, got \[1, 8, 8\] and \[3, 8, 8\]"),
        ({"nce_weight": -1.0}, "nce_weight must be >= 0, .* got -1.0, 256 and 5"),
        ({"stages": [0, 5]}, r"stages must be .* from 0 to 4, got \[0, 5\]"),
        ({"stages": []}, r"stages must be at least one number from 0 to 4, got \[\]"),
    ],
)
def test_impossible_cuts(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cut(**options)


def test_a_translator_without_stages_is_refused() -> None:
    with pytest.raises(ValueError, match=r"generator=resnet_translator, got UNetTranslator"):
        CUT(
            lambda in_shape, out_shape: UNetTranslator(in_shape, out_shape, width=4),
            lambda: nn.Identity(),
            PatchNCE(),
            [3, 16, 16],
            [3, 16, 16],
        )


def test_what_a_viewer_sees() -> None:
    model, data = cut(), two_domains()
    a, b = data.condition, data.real
    known = SampleRequest(3, data.rng, condition=a, target=b)
    assert list(model.visuals(known, model.generators)) == ["input", "sample", "target"]
    unknown = SampleRequest(3, data.rng, condition=a, unrelated=b)
    views = model.visuals(unknown, model.generators)
    assert list(views) == ["input", "sample", "another B"]
    torch.testing.assert_close(views["sample"], model.generators["main"](a))


SMALL = ("generator.width=4", "generator.blocks=1", "discriminator.width=4", "data.batch_size=2")


@pytest.mark.parametrize(
    ("model", "weight", "identity", "flip"), [("cut", 1, True, False), ("fastcut", 10, False, True)]
)
def test_presets_have_the_papers_terms(model: str, weight, identity, flip, composed) -> None:
    config = composed(f"model={model}", *SMALL)
    _, module, _ = build(config)
    made = module.model
    assert (made.nce_weight, made.identity, made.flip_equivariance) == (weight, identity, flip)
    assert (made.contrast.temperature, made.positions) == (0.07, 256)
    assert config.optim.schedule.start == 0.5


def test_a_run_translates_a_folder(trained, tmp_path: Path) -> None:
    source = tmp_path / "images"
    source.mkdir()
    Image.effect_noise((40, 24), 90).convert("RGB").save(source / "one.png")
    run = trained("model=cut", *SMALL)
    invoke("translate", run, source, tmp_path / "out", "--full-size")
    assert Image.open(tmp_path / "out" / "one.png").size == (40, 24)
