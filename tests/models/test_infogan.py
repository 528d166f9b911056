"""InfoGAN: the codes, what Q says of them, and where the gradient goes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Normal
from torch.utils._python_dispatch import TorchDispatchMode

from gan_zoo.auxiliary_losses.classification import CrossEntropy, GaussianLikelihood
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    DiscriminatorOutput,
    SampleRequest,
    TermOutputs,
    total_loss,
)
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.infogan import InfoGAN

from .playing import CRITIC, GENERATOR, SHAPE, batch, gradients, reaches, turns


def infogan(**options) -> InfoGAN:
    options = {"categories": 3, "continuous": 2, "latent_dim": 4} | options
    return InfoGAN(GENERATOR, CRITIC, CrossEntropy(), GaussianLikelihood(), **options)


def said_of(model: InfoGAN, data: Batch, aux: Tensor) -> list[TermOutputs]:
    """A summary on the fakes with these outputs of Q."""
    fake = DiscriminatorOutput(torch.zeros(data.size), data.real, aux=aux)
    return [
        TermOutputs(
            AdversarialTerm("realism", model.discriminators["main"], data.real, data.real),
            fake,
            fake,
        )
    ]


def test_terms_by_hand() -> None:
    model, data = infogan(code_weight=2.0, continuous_weight=0.5), batch()
    aux = torch.randn(6, 3 + 2 * 2)
    request = model.request_for(data)
    code, values = model.requested_label(request), model.requested_codes(request)
    logits, mu, log_variance = aux[:, :3], aux[:, 3:5], aux[:, 5:]
    of_code = -Categorical(logits=logits).log_prob(code).mean()
    of_values = -Normal(mu, (log_variance / 2).exp()).log_prob(values).sum(1).mean()
    for terms in (
        model.discriminator_terms(data, {}, said_of(model, data, aux)),
        model.generator_terms(data, {}, said_of(model, data, aux)),
    ):
        torch.testing.assert_close(terms, {"code": 2 * of_code, "continuous": 0.5 * of_values})


def test_the_likelihood_of_three_numbers() -> None:
    """1/2 (log 2 pi + v + (c - mu)^2 / e^v): v = 0 and 1 apart; v = log 4 and 2 apart; and v is kept above -6."""
    mu, codes = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 3.0]])
    value = GaussianLikelihood()(mu, torch.tensor([[0.0, math.log(4)]]), codes)
    assert value.item() == pytest.approx(0.5 * (2 * math.log(2 * math.pi) + 1 + math.log(4) + 1))
    known = GaussianLikelihood()(codes, torch.full((1, 2), -99.0), codes)
    assert known.item() == pytest.approx(math.log(2 * math.pi) - 6)


@pytest.mark.parametrize(
    ("v", "slope"), [(-30.0, -math.exp(6) / 8), (-6.5, -math.exp(6) / 8), (40.0, 0.5)]
)
def test_a_variance_that_has_gone_too_far_is_pulled_back(v: float, slope: float) -> None:
    """An error of 1/2: the precision goes on along e^6 (1 - 6 - v), whose slope by v is -e^6, times 1/2 * 1/4."""
    log_variance = torch.tensor([[v]], requires_grad=True)
    loss = GaussianLikelihood()(torch.zeros(1, 1), log_variance, torch.full((1, 1), 0.5))
    (gradient,) = torch.autograd.grad(loss, log_variance)
    assert gradient.item() == pytest.approx(slope)


def test_the_likelihood_is_computed_without_waiting() -> None:
    """No number travels to the host, which would wait for the device in every step."""

    class NoSync(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            assert "_local_scalar_dense" not in str(function)
            return function(*args, **(kwargs or {}))

    with NoSync():
        GaussianLikelihood()(torch.randn(3, 2), torch.randn(3, 2), torch.randn(3, 2))


@pytest.mark.parametrize("head", ["code", "continuous"])
def test_gradients_of_information_are_those_of_the_log_likelihood(head: str) -> None:
    """Both for the generator and for Q: its layers and its head."""
    model, data = infogan(code_weight=1.0, continuous_weight=1.0), batch()
    discriminator, generator = model.discriminators["main"], model.generators["main"]
    (term,) = model.adversarial_terms(data, model.generate(data))
    ours = model.generator_terms(data, {}, [TermOutputs(term, None, term.discriminate_fake())])[
        head
    ]

    request = model.request_for(data)
    code, values = model.requested_label(request), model.requested_codes(request)
    inputs = torch.cat([data.rng.normal("latents", 6, 4), torch.eye(3)[code], values], 1)
    predicted = discriminator.heads.aux(discriminator.layers(generator.network(inputs)))
    if head == "code":
        by_hand = -predicted[:, :3].log_softmax(1)[range(6), code].mean()
    else:
        log_variance = predicted[:, 5:7]
        squared = (values - predicted[:, 3:5]).square()
        by_hand = (
            0.5
            * (math.log(2 * math.pi) + log_variance + squared / log_variance.exp()).sum(1).mean()
        )
    torch.testing.assert_close(ours, by_hand)
    for network in (generator, discriminator):
        torch.testing.assert_close(gradients(ours, network), gradients(by_hand, network))
    assert reaches(ours, generator)
    assert reaches(ours, discriminator.heads.aux)
    assert reaches(ours, discriminator.layers)


def test_each_turn_trains_its_own_player() -> None:
    model, data = infogan(), batch()
    on_critic, on_generator = turns(model, data, NonSaturating())
    assert set(on_critic) == {"d/realism", "d/code", "d/continuous"}
    assert set(on_generator) == {"g/realism", "g/code", "g/continuous"}
    assert reaches(
        on_critic["d/code"] + on_critic["d/continuous"], model.discriminators["main"].heads.aux
    )
    assert not any(g.any() for g in gradients(total_loss(on_critic), model.generators).values())
    assert reaches(on_generator["g/code"], model.generators)
    assert reaches(on_generator["g/continuous"], model.generators)


def test_both_turns_ask_for_the_codes_that_the_fakes_were_made_of() -> None:
    model, data, seen = infogan(), batch(), []
    model.generators["main"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    on_critic, on_generator = turns(model, data, NonSaturating())
    for name in ("code", "continuous"):
        torch.testing.assert_close(on_critic[f"d/{name}"], on_generator[f"g/{name}"])
    made_of = torch.cat(seen[0], 1)
    request = model.request_for(data)
    assert torch.equal(made_of[:, :4], data.rng.normal("latents", 6, 4))
    assert torch.equal(made_of[:, 4:7].argmax(1), model.requested_label(request))
    assert torch.equal(made_of[:, 4:7].sum(1), torch.ones(6))
    assert torch.equal(made_of[:, 7:], model.requested_codes(request))


def test_codes_are_uniform_and_change_with_the_step() -> None:
    model, many = infogan(categories=5), SampleRequest(10_000, StepRNG(0, 0))
    assert model.requested_label(many).bincount(minlength=5).tolist() == pytest.approx(
        [2000] * 5, rel=0.06
    )
    values = model.requested_codes(many)
    assert -1 <= values.min() < -0.99 < 0.99 < values.max() < 1
    assert values.mean(0).abs().max() < 0.02
    assert values.var(0).tolist() == pytest.approx([1 / 3] * 2, rel=0.03)
    assert abs(torch.corrcoef(values.T)[0, 1].item()) < 0.03
    later = SampleRequest(10_000, StepRNG(0, 1))
    assert not torch.equal(model.requested_label(many), model.requested_label(later))
    assert not torch.equal(model.requested_codes(many), model.requested_codes(later))


def test_labels_and_conditions_never_leak_into_training_but_codes_can_be_requested() -> None:
    model, labels, values = infogan(), torch.tensor([0, 1, 2, 3, 4, 5]), torch.rand(6, 2)
    data = batch(label=labels, condition=values)
    with_labels, without = model.request_for(data), model.request_for(batch())
    assert torch.equal(model.requested_label(with_labels), model.requested_label(without))
    assert torch.equal(model.requested_codes(with_labels), model.requested_codes(without))
    request = SampleRequest(6, StepRNG(0, 0), label=labels, codes=values)
    assert model.requested_label(request).tolist() == [0, 1, 2, 0, 1, 2]
    _, codes = model.generator_inputs(request, model.generators)
    assert torch.equal(codes[:, 3:], values)


@pytest.mark.parametrize(
    ("options", "terms"), [({"categories": 0}, {"continuous"}), ({"continuous": 0}, {"code"})]
)
def test_one_kind_of_code_is_enough(options: dict[str, int], terms: set[str]) -> None:
    model, data = infogan(**options), batch()
    on_critic, on_generator = turns(model, data, NonSaturating())
    assert set(on_critic) == {"d/realism", *(f"d/{term}" for term in terms)}
    assert reaches(total_loss(on_generator), model.generators)
    assert model.sample(SampleRequest(2, StepRNG(0, 0)), model.generators).shape == (2, *SHAPE)
    has_category = "code" in terms
    assert (
        model.num_requested_labels,
        model.requested_label(model.request_for(data)) is not None,
    ) == ((3, True) if has_category else (None, False))


@pytest.mark.parametrize("options", [{"categories": 1}, {"categories": -2}, {"continuous": -1}])
def test_impossible_codes(options: dict[str, int]) -> None:
    with pytest.raises(
        ValueError, match=r"categories must be 0 or >= 2 and continuous >= 0, not both 0, got"
    ):
        infogan(**options)
    with pytest.raises(ValueError, match="got categories=0, continuous=0"):
        infogan(categories=0, continuous=0)
