"""Discriminators that know classes: their terms by hand, gradients, mistaken twins, and a run of each."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gan_zoo.auxiliary_losses.classification import CrossEntropy
from gan_zoo.auxiliary_losses.embeddings import ConditionalContrastive, DataToDataCrossEntropy
from gan_zoo.config.build import build
from gan_zoo.core.types import DiscriminatorOutput, TermOutputs
from gan_zoo.losses.hinge import Hinge
from gan_zoo.losses.multi_hinge import MultiHinge
from gan_zoo.models.class_heads.adcgan import ADCGAN
from gan_zoo.models.class_heads.contragan import ContraGAN
from gan_zoo.models.class_heads.mhgan import MHGAN
from gan_zoo.models.class_heads.tacgan import TACGAN

from .playing import CRITIC, GENERATOR, batch, reaches, turns

LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
H = F.normalize(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double(), dim=1)
PROXIES = F.normalize(torch.randn(3, 5, generator=torch.Generator().manual_seed(1)).double(), dim=1)


def loops_2c(h: np.ndarray, e: np.ndarray, y: list[int], t: float) -> float:
    """Equation 8 of ContraGAN, written as loops."""
    losses = []
    for i in range(len(h)):
        own = math.exp(h[i] @ e[y[i]] / t)
        others = [math.exp(h[i] @ h[k] / t) if k != i else 0.0 for k in range(len(h))]
        same = sum(value for k, value in enumerate(others) if y[k] == y[i])
        losses.append(-math.log((own + same) / (own + sum(others))))
    return float(np.mean(losses))


def loops_d2d(h: np.ndarray, e: np.ndarray, y: list[int], m: float, t: float) -> float:
    """Equation 6 of ReACGAN, written as loops: -log [exp(-a) / (exp(-a) + sum exp b)]."""
    losses = []
    for i in range(len(h)):
        positive = math.exp(min(h[i] @ e[y[i]] - m, 0.0) / t)
        negatives = [
            math.exp(max(h[i] @ h[k] - (1 - m), 0.0) / t) for k in range(len(h)) if y[k] != y[i]
        ]
        losses.append(-math.log(positive / (positive + sum(negatives))))
    return float(np.mean(losses))


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_contrastive_losses_by_loops(temperature: float) -> None:
    arguments = (H.numpy(), PROXIES.numpy(), LABELS.tolist())
    found = ConditionalContrastive(temperature)(H, PROXIES, LABELS)
    assert found.item() == pytest.approx(loops_2c(*arguments, temperature))
    found = DataToDataCrossEntropy(0.7, temperature)(H, PROXIES, LABELS)
    assert found.item() == pytest.approx(loops_d2d(*arguments, 0.7, temperature))


def test_easy_pairs_have_no_gradient_in_d2d() -> None:
    """Embeddings at their proxies, proxies orthogonal: nothing is left to learn."""
    proxies = torch.eye(3, 5).double()
    h = proxies[LABELS].clone().requires_grad_()
    loss = DataToDataCrossEntropy(0.98, 0.5)(h, proxies, LABELS)
    (gradient,) = torch.autograd.grad(loss, h)
    assert loss.item() == pytest.approx(math.log(1 + 4), abs=1e-9), "four others of other classes"
    assert gradient.abs().max() == 0
    loss = ConditionalContrastive(1.0)(h, proxies, LABELS)
    assert torch.autograd.grad(loss, h)[0].abs().max() > 0.01


def test_subtracting_a_maximum_from_one_side_alone_is_another_loss() -> None:
    """A public copy subtracts the row's largest b from b but not from -a."""

    def mistaken(h: Tensor, proxies: Tensor, labels: Tensor, m: float, t: float) -> Tensor:
        a = (m - (h * proxies[labels]).sum(1)).relu() / t
        b = ((h @ h.T) + m - 1).relu() / t
        b = b - b.max(1, keepdim=True).values
        others = (b.exp() * (labels[:, None] != labels)).sum(1)
        return (a + ((-a).exp() + others).log()).mean()

    right = DataToDataCrossEntropy(0.98, 0.5)(H, PROXIES, LABELS).item()
    assert abs(mistaken(H, PROXIES, LABELS, 0.98, 0.5).item() - right) > 0.1


def test_constants_and_order_change_nothing() -> None:
    for loss in (ConditionalContrastive(0.5), DataToDataCrossEntropy()):
        order = torch.tensor([3, 1, 5, 0, 2, 4])
        once = loss(H, PROXIES, LABELS)
        torch.testing.assert_close(loss(H[order], PROXIES, LABELS[order]), once)
        renamed = torch.tensor([1, 2, 0])  # class k is called renamed[k]
        torch.testing.assert_close(loss(H, PROXIES[[2, 0, 1]], renamed[LABELS]), once)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ConditionalContrastive(0.0), "temperature must be > 0, got 0.0"),
        (lambda: DataToDataCrossEntropy(1.5), r"margin must be in \[0, 1\], got 1.5"),
        (lambda: TACGAN(GENERATOR, CRITIC, CrossEntropy(), None), "TACGAN needs data with labels"),
        (lambda: MultiHinge().check(CRITIC()), "loss=multi_hinge needs a score for each class"),
    ],
)
def test_bad_arguments_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def outputs_of(aux: Tensor, fake_aux: Tensor, model) -> list[TermOutputs]:
    data = batch(label=LABELS)
    (term,) = model.adversarial_terms(data, model.generate(data))
    real = DiscriminatorOutput(torch.zeros(6), data.real, aux=aux)
    return [TermOutputs(term, real, DiscriminatorOutput(torch.zeros(6), data.real, aux=fake_aux))]


def log_loss(logits: Tensor, labels: Tensor) -> float:
    return -float(logits.log_softmax(1)[range(6), labels].mean())


def test_the_twin_classifiers_terms_by_hand() -> None:
    model = TACGAN(GENERATOR, CRITIC, CrossEntropy(), 3, class_weight=2.0, latent_dim=4)
    data, aux, fake_aux = batch(label=LABELS), torch.randn(6, 6), torch.randn(6, 6)
    labels = model.generated_labels(data)
    outputs = outputs_of(aux, fake_aux, model)
    of_critic = model.discriminator_terms(data, {}, outputs)
    of_generator = model.generator_terms(data, {}, outputs)
    assert float(of_critic["class"]) == pytest.approx(2 * log_loss(aux[:, :3], LABELS))
    assert float(of_critic["twin"]) == pytest.approx(2 * log_loss(fake_aux[:, 3:], labels))
    assert float(of_generator["class"]) == pytest.approx(2 * log_loss(fake_aux[:, :3], labels))
    assert float(of_generator["twin"]) == pytest.approx(-2 * log_loss(fake_aux[:, 3:], labels))


def test_the_discriminative_classifiers_terms_by_hand() -> None:
    model = ADCGAN(GENERATOR, CRITIC, CrossEntropy(), 3, class_weight=0.5, latent_dim=4)
    data, aux, fake_aux = batch(label=LABELS), torch.randn(6, 6), torch.randn(6, 6)
    labels = model.generated_labels(data)
    outputs = outputs_of(aux, fake_aux, model)
    of_critic = model.discriminator_terms(data, {}, outputs)
    of_generator = model.generator_terms(data, {}, outputs)
    assert float(of_critic["class"]) == pytest.approx(0.5 * log_loss(aux, 2 * LABELS))
    assert float(of_critic["as_fake"]) == pytest.approx(0.5 * log_loss(fake_aux, 2 * labels + 1))
    assert float(of_generator["class"]) == pytest.approx(0.5 * log_loss(fake_aux, 2 * labels))
    assert float(of_generator["as_fake"]) == pytest.approx(
        -0.5 * log_loss(fake_aux, 2 * labels + 1)
    )


def test_multi_hinge_by_hand() -> None:
    """Scores of classes 0 and 1 and of fakes."""
    scores = torch.tensor([[2.0, 0.5, 0.0], [0.0, 0.3, 1.0]])
    real = DiscriminatorOutput(
        torch.zeros(2), torch.zeros(2), aux=scores, condition=torch.tensor([0, 1])
    )
    fake = DiscriminatorOutput(
        torch.zeros(2), torch.zeros(2), aux=scores, condition=torch.tensor([1, 1])
    )
    loss = MultiHinge()
    # reals: 1 + 0.5 - 2 < 0, 1 + 1 - 0.3; fakes as fakes: 1 + 2 - 0, 1 + 0.3 - 1
    assert loss.discriminator(real, fake).item() == pytest.approx((0 + 1.7) / 2 + (3 + 0.3) / 2)
    # fakes as their classes: 1 + 2 - 0.5, 1 + 1 - 0.3
    assert loss.generator(fake).item() == pytest.approx((2.5 + 1.7) / 2)


MODELS = {
    "contragan": partial(ContraGAN, contrast=ConditionalContrastive(), embedding_dim=8),
    "reacgan": partial(ContraGAN, contrast=DataToDataCrossEntropy(), embedding_dim=8),
    "tacgan": partial(TACGAN, classification=CrossEntropy()),
    "adcgan": partial(ADCGAN, classification=CrossEntropy()),
    "mhgan": MHGAN,
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_stay_on_their_side(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name](GENERATOR, CRITIC, num_classes=3, latent_dim=4)
    of_critic, of_generator = turns(model, batch(label=LABELS), Hinge())
    assert sum(of_critic.values()).requires_grad
    for term in of_critic.values():
        assert not reaches(term, model.generators)
    assert reaches(sum(of_generator.values()), model.generators)
    for term in of_generator.values():
        gradients = torch.autograd.grad(
            term, list(model.generators.parameters()), retain_graph=True, allow_unused=True
        )
        assert any(gradient is not None for gradient in gradients)
    assert all(p.grad is None for p in model.discriminators.parameters())


def test_every_parameter_of_mhgan_is_trained_by_its_loss() -> None:
    torch.manual_seed(0)
    model = MHGAN(GENERATOR, CRITIC, num_classes=3, latent_dim=4)
    of_critic, of_generator = turns(model, batch(label=LABELS), MultiHinge())
    assert reaches(of_critic["d/realism"], model.discriminators)
    assert set(of_generator) == {"g/realism", "g/features"}
    output = model.discriminators["main"](batch().real, LABELS)
    torch.testing.assert_close(output.score, output.aux[:, :-1].max(1).values - output.aux[:, -1])


def test_the_generators_weight_of_mhgan() -> None:
    model = MHGAN(GENERATOR, CRITIC, num_classes=3, generator_weight=0.25, latent_dim=4)
    data = batch(label=LABELS)
    _, of_generator = turns(model, data, MultiHinge())
    fakes = model.generate(data)
    output = model.discriminators["main"](fakes["fake"], model.generated_labels(data))
    output.condition = model.generated_labels(data)
    torch.testing.assert_close(of_generator["g/realism"], 0.25 * MultiHinge().generator(output))


@pytest.mark.parametrize("name", ["contragan", "reacgan"])
def test_embeddings_and_proxies_have_length_one(name: str) -> None:
    model = MODELS[name](GENERATOR, CRITIC, num_classes=3, latent_dim=4)
    embeddings = model.discriminators["main"](batch().real).aux
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(model.proxies().norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("name", MODELS)
def test_two_steps_of_each(name: str, tiny) -> None:
    loss = "multi_hinge" if name == "mhgan" else "hinge"
    trainer, module, data = build(
        tiny(f"model={name}", f"loss={loss}", "data=digits", "trainer.max_steps=2")
    )
    trainer.fit(module, datamodule=data)
    assert module.clock.generator_steps == 2
    assert all(p.isfinite().all() for p in module.parameters())
    labels = torch.arange(10)
    request_labels = module.model.requested_label
    from gan_zoo.core.rng import StepRNG
    from gan_zoo.core.types import SampleRequest

    request = SampleRequest(10, StepRNG(0, 0), label=labels)
    assert torch.equal(request_labels(request), labels)
    assert module.sample(request).shape[0] == 10
