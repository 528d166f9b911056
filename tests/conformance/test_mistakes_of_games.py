"""Mistakes of widely copied code in models and scores: a check that ours passes and the mistaken way fails."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.auxiliary_losses.classification import CrossEntropy, GaussianLikelihood
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, LossTerms, SampleRequest, TermOutputs, total_loss
from gan_zoo.data.batch_order import MismatchSampler
from gan_zoo.data.dataset import Source
from gan_zoo.data.datasets.digits import digits
from gan_zoo.data.image_tensors import to_uint8
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.metrics.base import Generated, MetricResult, Samples, evaluate_all
from gan_zoo.metrics.extractors.base import Extractor
from gan_zoo.metrics.image_quality import ImageScores
from gan_zoo.models.gan import GAN
from gan_zoo.models.infogan import InfoGAN
from gan_zoo.networks.condition_encoders import ClassCondition
from gan_zoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_zoo.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_zoo.training.module import GANModule

CPU = torch.device("cpu")


# ------------------------------------------------------------------ 3. InfoGAN's term rebuilt from numbers

SHAPE = [1, 4, 4]


class OneHotOfArgmax(InfoGAN):
    """Compares the code with the class that Q found, which is a number."""

    def information(self, batch: Batch, outputs: Sequence[TermOutputs]) -> LossTerms:
        found = F.one_hot(
            outputs[0].fake.aux[:, : self.categories].argmax(1), self.categories
        ).float()
        return {
            "code": F.mse_loss(
                found,
                F.one_hot(self.requested_label(self.request_for(batch)), self.categories).float(),
            )
        }


class ThroughNumpy(InfoGAN):
    """Takes Q's word out of the graph and puts it back in as a new tensor, one that even requires grad."""

    def information(self, batch: Batch, outputs: Sequence[TermOutputs]) -> LossTerms:
        aux = torch.tensor(outputs[0].fake.aux.detach().numpy(), requires_grad=True)
        return super().information(
            batch, [replace(outputs[0], fake=replace(outputs[0].fake, aux=aux))]
        )


class AsANumber(InfoGAN):
    """Wraps the finished terms in new tensors."""

    def information(self, batch: Batch, outputs: Sequence[TermOutputs]) -> LossTerms:
        terms = super().information(batch, outputs)
        return {name: torch.tensor(term.item(), requires_grad=True) for name, term in terms.items()}


class OnDetachedFakes(InfoGAN):
    """Gives Q detached fakes, also in the generator step."""

    def information(self, batch: Batch, outputs: Sequence[TermOutputs]) -> LossTerms:
        predicted = outputs[0].term.discriminator(outputs[0].term.fake.detach())
        return super().information(batch, [replace(outputs[0], fake=predicted)])


def check_information(kind: type[InfoGAN]) -> None:
    """The generator's gradient is that of the log-likelihood of the codes, and it is not zero; so is Q's."""
    torch.manual_seed(0)
    generator, discriminator = (
        partial(MLPGenerator, sample_shape=SHAPE, width=8),
        partial(MLPDiscriminator, SHAPE, width=8),
    )
    model = kind(
        generator, discriminator, CrossEntropy(), GaussianLikelihood(), 3, 1, 1.0, 1.0, latent_dim=2
    )
    data = Batch(6, StepRNG(0, 0), real=torch.randn(6, *SHAPE))
    (term,) = model.adversarial_terms(data, model.generate(data))
    ours = total_loss(
        model.generator_terms(data, {}, [TermOutputs(term, None, term.discriminate_fake())])
    )
    assert ours.requires_grad

    predicted, values = (
        critic_says(model, data),
        model.requested_codes(model.request_for(data))[:, 0],
    )
    log_of_code = predicted[:, :3].log_softmax(1)[
        range(6), model.requested_label(model.request_for(data))
    ]
    log_of_value = torch.distributions.Normal(
        predicted[:, 3], (predicted[:, 4] / 2).exp()
    ).log_prob(values)
    by_hand = -(log_of_code + log_of_value).mean()
    for network in (model.generators["main"], model.discriminators["main"].heads.aux):
        parameters = list(network.parameters())
        found = gradients_kept(ours, parameters)
        assert all(gradient.abs().sum() > 0 for gradient in found)
        torch.testing.assert_close(found, gradients_kept(by_hand, parameters))


def critic_says(model: InfoGAN, data: Batch) -> Tensor:
    return model.discriminators["main"](model.generate(data)["fake"]).aux


def gradients_kept(loss: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Gradients of a loss that is used more than once; zero where it does not depend on a parameter."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def test_information() -> None:
    check_information(InfoGAN)


@pytest.mark.parametrize("mistaken", [OneHotOfArgmax, ThroughNumpy, AsANumber, OnDetachedFakes])
def test_mistaken_information(mistaken: type[InfoGAN]) -> None:
    with pytest.raises(AssertionError):
        check_information(mistaken)


# ------------------------------------------------------------------ 8. wrong pairs by shifting the batch

Wrong = Callable[[Tensor, int, int], Tensor]
"""Wrong conditions for a batch's right ones ``[B]``, at a step, with so many classes."""


def our_wrong_classes(right: Tensor, step: int, classes: int) -> Tensor:
    return ClassCondition(classes).mismatched(
        SampleRequest(len(right), StepRNG(0, step), label=right)
    )


def our_wrong_conditions(right: Tensor, step: int, classes: int) -> Tensor:
    """As for captions: the data's rows are the conditions of one sample for each entry of ``right``."""
    data = right[:, None].float()
    return data[MismatchSampler(data).sample(torch.arange(len(right)), StepRNG(0, step))][
        :, 0
    ].long()


def shifted_by_one(right: Tensor, step: int, classes: int) -> Tensor:
    return right.roll(1)


def drawn_anew(right: Tensor, step: int, classes: int) -> Tensor:
    return torch.randint(0, classes, right.shape, generator=torch.Generator().manual_seed(step))


def always_the_next_class(right: Tensor, step: int, classes: int) -> Tensor:
    return (right + 1) % classes


def hits(wrong: Wrong, classes: int) -> Tensor:
    """How often each class meets each as its wrong one, ``[K, K]``, in 200 batches of random classes."""
    table = torch.zeros(classes, classes, dtype=torch.int64)
    for step in range(200):
        right = torch.randint(
            0, classes, (128,), generator=torch.Generator().manual_seed(10_000 + step)
        )
        pairs = right * classes + wrong(right, step, classes)
        table += torch.bincount(pairs, minlength=classes**2).view(classes, classes)
    return table


def check_wrong(wrong: Wrong, classes: int) -> None:
    """Never the right one, and every other about equally often."""
    table = hits(wrong, classes)
    assert table.diagonal().sum() == 0
    fractions = table / table.sum(1, keepdim=True)
    others = fractions[~torch.eye(classes, dtype=torch.bool)]
    assert others.tolist() == pytest.approx([1 / (classes - 1)] * len(others), rel=0.2)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("wrong", [our_wrong_classes, our_wrong_conditions])
def test_wrong_pairs(wrong: Wrong, classes: int) -> None:
    check_wrong(wrong, classes)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("mistaken", [shifted_by_one, drawn_anew])
def test_mistaken_wrong_pairs_are_right_one_time_in_k(mistaken: Wrong, classes: int) -> None:
    with pytest.raises(AssertionError):
        check_wrong(mistaken, classes)
    table = hits(mistaken, classes)
    assert float(table.diagonal().sum() / table.sum()) == pytest.approx(1 / classes, rel=0.1)


def test_mistaken_wrong_pairs_that_leave_classes_out() -> None:
    with pytest.raises(AssertionError):
        check_wrong(always_the_next_class, 10)


# ------------------------------------------------------------------ 9. FID of other images than reported

Evaluation = Callable[[GANModule, Source, int], MetricResult]
"""The Frechet distance of so many samples of a module's generator to a dataset, with its protocol."""


class EightNumbers(Extractor):
    """Means of rows: eight features of an 8x8 image."""

    name, num_features, num_classes = "rows", 8, 2

    def __init__(self) -> None:
        super().__init__()
        self.protocol = {"extractor": self.name}

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        rows = images.float().mean((1, 3)) / 255
        return rows, rows[:, :2]


def barely_trained() -> GANModule:
    """A module in training whose batch norms have seen a few batches."""
    torch.manual_seed(0)
    model = GAN(
        partial(DCGANGenerator, sample_shape=[1, 8, 8], width=8),
        partial(DCGANDiscriminator, [1, 8, 8], 8),
        4,
    )
    make = partial(torch.optim.SGD, lr=0.1)
    module = GANModule(
        model, NonSaturating(), generator_optimizer=make, discriminator_optimizer=make, ema=None
    )
    module.train()
    for step in range(3):
        model.generate(SampleRequest(16, StepRNG(1, step)))
    return module


def halves() -> Source:
    """The digits' first half, which is trained on; as many others are held out."""
    complete = digits()
    test = replace(
        complete, split="test", samples=complete.samples[890:1780], labels=None, fingerprint=""
    )
    train = replace(
        complete, split="train", samples=complete.samples[:890], labels=None, fingerprint=""
    )
    return replace(train, held_out=lambda: test)


def scored(draw: Callable[[int], Tensor], source: Source, count: int) -> MetricResult:
    def block(number: int) -> Generated:
        return Generated({"sample": draw(number)}, SampleRequest(64, StepRNG(5, number)))

    return evaluate_all(
        {"images": ImageScores(EightNumbers(), count)}, Samples(block, count), source, CPU
    )[0]


def our_evaluation(module: GANModule, source: Source, count: int) -> MetricResult:
    return scored(
        lambda number: module.sample(SampleRequest(64, StepRNG(5, number))), source, count
    )


def in_training_mode(module: GANModule, source: Source, count: int) -> MetricResult:
    """Batch norms use the batch and learn from it."""
    with torch.no_grad():
        return scored(
            lambda k: module.model.sample(
                SampleRequest(64, StepRNG(5, k)), module.model.generators
            ),
            source,
            count,
        )


def left_in_evaluation_mode(module: GANModule, source: Source, count: int) -> MetricResult:
    """The right score, but training continues with frozen batch norms."""
    score = our_evaluation(module, source, count)
    module.eval()
    return score


def of_another_split(module: GANModule, source: Source, count: int) -> MetricResult:
    """Says the training half and means the held-out one."""
    score = our_evaluation(module, source.evaluation_split(), count)
    return MetricResult(score.name, score.value, score.protocol | {"split": source.split})


def of_fewer_samples(module: GANModule, source: Source, count: int) -> MetricResult:
    """Stops early and reports the requested number."""
    score = our_evaluation(module, source, count // 2)
    return MetricResult(score.name, score.value, score.protocol | {"num_generated": count})


def by_hand(generator: nn.Module, source: Source, count: int) -> float:
    """The distance of the first ``count`` samples in evaluation mode, by plain matrix algebra."""
    generator = copy.deepcopy(generator).eval()
    with torch.no_grad():
        latents = torch.cat(
            [StepRNG(5, k).normal("latents", 64, 4) for k in range(-(-count // 64))]
        )[:count]
        fakes = to_uint8(generator(latents))
    fake, real = (EightNumbers()(images)[0].double() for images in (fakes, source.samples))
    covariances = fake.T.cov(), real.T.cov()
    cross = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(min=0).sqrt().sum()
    shift = (fake.mean(0) - real.mean(0)).square().sum()
    return float(shift + covariances[0].trace() + covariances[1].trace() - 2 * cross)


def state_of(module: GANModule) -> list[Tensor]:
    flags = [torch.tensor(float(part.training)) for part in module.modules()]
    return [tensor.clone() for tensor in module.state_dict().values()] + flags


def check_evaluation(evaluate: Evaluation) -> None:
    """The score is that of the reported number of samples and split, and training continues unchanged."""
    module, source = barely_trained(), halves()
    before = state_of(module)
    score = evaluate(module, source, 200)
    torch.testing.assert_close(state_of(module), before, rtol=0, atol=0)
    assert (score.protocol["num_generated"], score.protocol["num_real"]) == (200, 890)
    named = {"train": source, "test": source.evaluation_split()}[score.protocol["split"]]
    assert score.value == pytest.approx(
        by_hand(module.model.generators["main"], named, 200), rel=1e-4
    )


def test_evaluation() -> None:
    check_evaluation(our_evaluation)


@pytest.mark.parametrize(
    "mistaken", [in_training_mode, left_in_evaluation_mode, of_another_split, of_fewer_samples]
)
def test_mistaken_evaluation(mistaken: Evaluation) -> None:
    with pytest.raises(AssertionError):
        check_evaluation(mistaken)


def test_training_mode_would_have_given_another_score_and_other_statistics() -> None:
    module, source = barely_trained(), halves()
    ours = our_evaluation(module, source, 200).value
    before = state_of(module)
    assert in_training_mode(module, source, 200).value != pytest.approx(ours, rel=0.01)
    assert any(not torch.equal(a, b) for a, b in zip(state_of(module), before, strict=True))


def test_shown_generators_are_in_evaluation_mode_and_come_back_even_after_an_exception() -> None:
    module = barely_trained()
    before = state_of(module)
    with module.inference_mode() as generators:
        assert not any(part.training for part in generators.modules())
        assert not torch.is_grad_enabled()
        assert generators is module.model.generators
    with pytest.raises(RuntimeError, match="on purpose"), module.inference_mode():
        raise RuntimeError("on purpose")
    torch.testing.assert_close(state_of(module), before, rtol=0, atol=0)
    assert all(part.training for part in module.modules())


def test_shown_generators_are_the_averaged_ones_if_there_are_any() -> None:
    model = barely_trained().model
    make = partial(torch.optim.SGD, lr=0.1)
    module = GANModule(
        model,
        NonSaturating(),
        generator_optimizer=make,
        discriminator_optimizer=make,
        ema={"half_life": 10.0},
    )
    module.train()
    with module.inference_mode() as generators:
        assert generators is module.ema.generators
    assert not any(part.training for part in module.ema.generators.modules())
    assert all(part.training for part in module.model.modules())
