"""ClusterGAN: its terms by hand, its encoder, and the clusters' metric against counts by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.metrics.base import EvaluatedModel, Generated
from gan_zoo.metrics.clustering import Clustering
from gan_zoo.models.with_encoder.cluster_gan import ClusterGAN

from .playing import CRITIC, ENCODER, GENERATOR, SHAPE, batch, gradients, reaches, turns


def cluster_gan(**options) -> ClusterGAN:
    torch.manual_seed(0)
    return ClusterGAN(GENERATOR, ENCODER, CRITIC, categories=3, latent_dim=4, **options)


def test_terms_by_hand() -> None:
    model, data = cluster_gan(latent_weight=2.0, category_weight=3.0), batch()
    _, of_generators = turns(model, data, NonSaturating())
    z = 0.1 * data.rng.normal("latents", 6, 4)
    category = data.rng.randint("category", 6, 0, 3)
    fake = model.generators["main"](z, one_hot(category, 3).float())
    codes = model.generators["encoder"](fake)
    distance = ((codes[:, :4] - z) ** 2).sum() / 6
    torch.testing.assert_close(of_generators["g/latents"], 2 * distance)
    expected = 3 * cross_entropy(codes[:, 4:], category)
    torch.testing.assert_close(of_generators["g/category"], expected)
    for name in ("g/latents", "g/category"):
        assert reaches(of_generators[name], model.generators["main"])
        assert any(
            g.any() for g in gradients(of_generators[name], model.generators["encoder"]).values()
        )


def test_the_adversarial_term_does_not_reach_the_encoder() -> None:
    model = cluster_gan()
    of_discriminator, of_generators = turns(model, batch(), NonSaturating())
    assert reaches(of_generators["g/realism"], model.generators["main"])
    found = gradients(of_generators["g/realism"], model.generators["encoder"])
    assert not any(g.any() for g in found.values())
    assert set(of_discriminator) == {"d/realism"}


def test_requested_latents_are_scaled_like_drawn_ones() -> None:
    model, rng = cluster_gan(std=0.25), StepRNG(0, 0)
    latents, labels = torch.ones(2, 4), torch.tensor([2, 1])
    request = SampleRequest(2, rng, latents=latents, label=labels)
    given, category = model.generator_inputs(request, model.generators)
    assert given.tolist() == [[0.25] * 4] * 2
    assert category.argmax(1).tolist() == [2, 1]


def test_encoding_and_reconstruction() -> None:
    model, x = cluster_gan(), batch().real
    codes = model.encode(x, model.generators)
    assert codes.shape == (6, 7)
    torch.testing.assert_close(codes[:, 4:].sum(1), torch.ones(6))
    found = model.predict_category(x, model.generators)
    category = one_hot(found, 3).float()
    expected = model.generators["main"](codes[:, :4], category)
    torch.testing.assert_close(model.reconstruct(x, model.generators), expected)


class ByBrightness(ClusterGAN):
    """Clusters by the value of the first pixel: 0 for dark, 1 for bright, numbered the other way."""

    def predict_category(self, x, generators) -> torch.Tensor:
        return (x[:, 0, 0, 0] < 0).long()


def test_clustering_against_counts_by_hand() -> None:
    """9 of 10 samples agree under the best assignment, cluster 0 with class 1."""
    labels = torch.tensor([0] * 5 + [1] * 5)
    pixels = torch.where(labels == 1, 255, 0).to(torch.uint8)
    pixels[0] = 255
    samples = pixels[:, None, None, None].expand(-1, *SHAPE).contiguous()
    held_out = Source("toy", "test", samples, labels)
    source = Source("toy", "train", samples, labels, held_out=lambda: held_out)
    model = ByBrightness(GENERATOR, ENCODER, CRITIC, categories=2, latent_dim=4)
    metric = Clustering()
    metric.check(source, model)
    metric.prepare(source, torch.device("cpu"), EvaluatedModel(model, model.generators))
    for start in (0, 4, 8):
        generated = torch.zeros(min(4, 12 - start), *SHAPE)
        metric.update(
            Generated(
                {"sample": generated}, SampleRequest(len(generated), StepRNG(0, 0)), start=start
            )
        )
    accuracy, nmi = metric.compute()
    assert accuracy.value == pytest.approx(0.9)
    table = torch.tensor([[1.0, 5.0], [4.0, 0.0]]) / 10
    entropy = [-(p[p > 0] * p[p > 0].log()).sum() for p in (table, table.sum(0), table.sum(1))]
    information = entropy[1] + entropy[2] - entropy[0]
    assert nmi.value == pytest.approx(float(2 * information / (entropy[1] + entropy[2])))
    assert accuracy.protocol["num_real"] == 10


def test_clustering_needs_clusters_and_labels() -> None:
    source = Source("toy", "train", torch.zeros(4, *SHAPE, dtype=torch.uint8))
    with pytest.raises(DataError, match="needs a model that assigns samples to clusters"):
        Clustering().check(source, None)
    with pytest.raises(DataError, match="needs data with labels, data=toy has none"):
        Clustering().check(source, cluster_gan())


def test_there_must_be_two_categories() -> None:
    with pytest.raises(ValueError, match="categories must be >= 2, got 1"):
        ClusterGAN(GENERATOR, ENCODER, CRITIC, categories=1)
    assert isinstance(cluster_gan().generators["encoder"], nn.Module)
