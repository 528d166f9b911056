"""The semi-supervised GAN: its terms by hand, its labeled samples, and the metric against counts by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax, softplus

from gan_zoo.auxiliary_losses.classification import CrossEntropy
from gan_zoo.config.build import build
from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, SampleRequest
from gan_zoo.data.batch_order import BatchSampler
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.digits import digits
from gan_zoo.data.few_labels import with_few_labels
from gan_zoo.data.loader import InfiniteLoader, fixed_batch
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.metrics.base import EvaluatedModel, Generated
from gan_zoo.metrics.class_accuracy import ClassAccuracy
from gan_zoo.models.class_heads.sgan import SemiSupervisedGAN
from gan_zoo.models.gan import GAN

from .playing import CRITIC, GENERATOR, SHAPE, batch, gradients, random_images, reaches, turns

LABELS = torch.tensor([2, 0, 1, 1, 0, 2])


def sgan(**options) -> SemiSupervisedGAN:
    torch.manual_seed(0)
    return SemiSupervisedGAN(
        GENERATOR, CRITIC, CrossEntropy(), num_classes=3, latent_dim=4, **options
    )


def with_labels(size: int = 6) -> Batch:
    return batch(size, labeled_real=random_images(size, 7), labeled_label=LABELS[:size])


def test_the_discriminator_minimizes_the_cross_entropy_of_k_plus_one_classes() -> None:
    """Salimans et al. 2016, section 5, with the logit of fakes at 0."""
    model, data = sgan(class_weight=0.5), with_labels()
    of_discriminator, _ = turns(model, data, NonSaturating())
    fake = model.generate(data)["fake"]
    real, fake, labeled = (model.class_logits(x) for x in (data.real, fake, data.labeled_real))

    # Probabilities of K + 1 classes, the last of which is that of fakes.
    zero = torch.zeros(6, 1)
    of_real, of_fake = (log_softmax(torch.cat([x, zero], 1), 1) for x in (real, fake))
    expected = -torch.log1p(-of_real[:, 3].exp()).mean() - of_fake[:, 3].mean()
    torch.testing.assert_close(of_discriminator["d/realism"], expected)
    torch.testing.assert_close(
        of_discriminator["d/class"], 0.5 * cross_entropy(labeled, data.labeled_label)
    )


def test_the_score_is_the_log_sum_exp_of_the_logits() -> None:
    model, x = sgan(), random_images(6)
    output = model.discriminators["main"](x)
    torch.testing.assert_close(output.score, output.aux.exp().sum(1).log())
    inner = model.discriminators["main"].discriminator(x)
    torch.testing.assert_close(
        output.aux.softmax(1), inner.aux.softmax(1), msg="the shift changes no class"
    )
    torch.testing.assert_close(softplus(-output.score), -(output.score.sigmoid().log()))


def test_the_generator_matches_features_and_sees_no_class() -> None:
    model, data = sgan(feature_weight=2.0), with_labels()
    _, of_generator = turns(model, data, NonSaturating())
    assert [name for name, term in of_generator.items() if term != 0] == ["g/features"]
    discriminator = model.discriminators["main"]
    real, fake = (discriminator(x).features[0] for x in (data.real, model.generate(data)["fake"]))
    expected = 2 * (real.mean(0) - fake.mean(0)).square().sum()
    torch.testing.assert_close(of_generator["g/features"], expected)
    assert reaches(of_generator["g/features"], model.generators["main"])


def test_the_class_term_does_not_see_fakes_or_unlabeled_samples() -> None:
    model, data = sgan(), with_labels()
    of_discriminator, _ = turns(model, data, NonSaturating())
    other = Batch(
        6, data.rng, random_images(6, 99), labeled_real=data.labeled_real, labeled_label=LABELS
    )
    changed, _ = turns(model, other, NonSaturating())
    assert torch.equal(of_discriminator["d/class"], changed["d/class"])
    assert of_discriminator["d/realism"] != changed["d/realism"]
    found = gradients(of_discriminator["d/class"], model.generators["main"])
    assert not any(g.any() for g in found.values())


def test_labeled_samples_are_an_independent_draw_of_those_with_a_label() -> None:
    data = with_few_labels(digits(), 20)
    rng = StepRNG(3, 0)
    loader = InfiniteLoader(
        data, BatchSampler(data, 8, rng, needs=["labeled"]), rng, start=lambda: 0
    )
    plain = InfiniteLoader(data, BatchSampler(data, 8, rng), rng, start=lambda: 0)
    chosen = (data.samples[data.labeled].float() / 127.5 - 1).flatten(1)
    labels = data.labels[data.labeled]
    counts = torch.zeros(20, dtype=torch.int64)
    for _, found, without in zip(range(5), loader, plain, strict=False):
        assert torch.equal(found.real, without.real), "the order of all samples is as it was"
        assert without.labeled_real is None
        distances = torch.cdist(found.labeled_real.flatten(1), chosen)
        rows = distances.argmin(1)
        assert distances.min(1).values.max() < 1e-3
        assert torch.equal(found.labeled_label, labels[rows])
        counts += torch.bincount(rows, minlength=20)
    assert counts.tolist() == [2] * 20, "five batches of 8 are two passes over 20"


def test_processes_share_the_labeled_samples_of_a_batch() -> None:
    data = with_few_labels(digits(), 20)
    whole = BatchSampler(data, 8, StepRNG(0, 0), needs=["labeled"])
    parts = [BatchSampler(data, 8, StepRNG(0, 0, rank, 2), needs=["labeled"]) for rank in range(2)]
    for step in (0, 1, 5):
        expected = whole.indices(step).labeled
        assert torch.equal(torch.cat([part.indices(step).labeled for part in parts]), expected)


def test_a_batch_is_split_with_its_labeled_samples() -> None:
    first, second = with_labels().split(2)
    assert torch.equal(torch.cat([first.labeled_label, second.labeled_label]), LABELS)
    assert torch.equal(second.labeled_real, random_images(6, 7)[3:])
    assert first.condition is None


def test_without_data_labeled_all_labels_count() -> None:
    found = fixed_batch(digits(), 12, StepRNG(0, 0), needs=["labeled"])
    assert len(found.labeled_label) == 12
    assert (found.labeled_label >= 0).all()


class ByBrightness(SemiSupervisedGAN):
    """Class 1 for bright first pixels, class 0 for dark ones."""

    def class_logits(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([-x[:, 0, 0, 0], x[:, 0, 0, 0]], 1)


def scored(source: Source, block: int = 4) -> tuple[float, dict[str, object]]:
    model = ByBrightness(GENERATOR, CRITIC, CrossEntropy(), num_classes=2, latent_dim=4)
    metric = ClassAccuracy()
    metric.check(source, model)
    metric.prepare(source, torch.device("cpu"), EvaluatedModel(model, model.generators))
    for start in range(0, 12, block):
        sample = torch.zeros(min(block, 12 - start), *SHAPE)
        request = SampleRequest(len(sample), StepRNG(0, 0))
        metric.update(Generated({"sample": sample}, request, start=start))
    (result,) = metric.compute()
    return result.value, result.protocol


def brightness(wrong: int, split: str, **options) -> Source:
    """Ten samples, the first ``wrong`` of which have the other class's brightness."""
    labels = torch.tensor([0] * 5 + [1] * 5)
    pixels = torch.where(labels == 1, 255, 0).to(torch.uint8)
    pixels[:wrong] = 255 - pixels[:wrong]
    samples = pixels[:, None, None, None].expand(-1, *SHAPE).contiguous()
    return Source("toy", split, samples, labels, **options)


def test_accuracy_on_held_out_samples_by_hand() -> None:
    held_out = brightness(3, "test")
    value, protocol = scored(brightness(0, "train", held_out=lambda: held_out))
    assert value == pytest.approx(0.7)
    assert protocol["split"] == "test"
    assert protocol["num_real"] == 10
    assert scored(brightness(0, "train", held_out=lambda: held_out), block=5)[0] == value


def test_without_a_held_out_part_labels_of_training_do_not_count() -> None:
    known = torch.tensor([True, True] + [False] * 8)
    value, protocol = scored(brightness(3, "all", labeled=known))
    assert value == pytest.approx(7 / 8)
    assert protocol["num_labels"] == 2
    assert protocol["split"] == "samples of training without a label"
    value, protocol = scored(brightness(3, "all"))
    assert value == pytest.approx(0.7)
    assert "the model was trained on these labels" in str(protocol["warning"])


def test_the_discriminator_is_scored_in_evaluation_mode_and_left_as_it_was(tiny) -> None:
    from gan_zoo.training.scoring import evaluate_generator

    small = ["data=digits", "generator.width=4", "discriminator.width=4", "data.labeled=100"]
    trainer, module, data = build(tiny("model=sgan", *small, "trainer.max_steps=2"))
    trainer.fit(module, datamodule=data)
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    scores = [
        evaluate_generator(module, data.source, {"it": ClassAccuracy(300)}, 0)[0].value
        for _ in range(2)
    ]
    assert scores[0] == scores[1]
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert module.model.discriminators.training


def test_what_cannot_work_is_refused(tiny) -> None:
    with pytest.raises(ValueError, match=r"model=sgan needs data with labels: .* got None"):
        SemiSupervisedGAN(GENERATOR, CRITIC, CrossEntropy(), num_classes=None)
    source = brightness(0, "all")
    with pytest.raises(DataError, match=r"needs a model whose discriminator classifies.*got GAN"):
        ClassAccuracy().check(source, GAN(GENERATOR, CRITIC, latent_dim=4))
    with pytest.raises(DataError, match="needs data with labels, data=toy has none"):
        ClassAccuracy().check(Source("toy", "all", source.samples), sgan())
    with pytest.raises(ValueError, match="model=sgan needs data with labels"):
        build(tiny("model=sgan", "data=openmoji"))
