"""InfoGAN: the codes, what Q says of them, and where the gradient goes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Normal
from torch.utils._python_dispatch import TorchDispatchMode

from gan_zoo.auxiliary_losses.classification import CrossEntropy, GaussianLikelihood
from gan_zoo.core.rng import Noise
from gan_zoo.core.types import Batch, Critique, Duel, Verdict, sum_of
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.infogan import InfoGAN

from .playing import CRITIC, GENERATOR, SHAPE, batch, gradients, reaches, turns


def infogan(**options) -> InfoGAN:
    options = {"categories": 3, "continuous": 2, "latent_dim": 4} | options
    return InfoGAN(GENERATOR, CRITIC, CrossEntropy(), GaussianLikelihood(), **options)


def said_of(game: InfoGAN, data: Batch, aux: Tensor) -> list[Verdict]:
    """A verdict on the fakes with these outputs of Q."""
    fake = Critique(torch.zeros(data.size), data.real, aux=aux)
    return [Verdict(Duel("realism", game.discriminators["main"], data.real, data.real), fake, fake)]


def test_terms_by_hand() -> None:
    game, data = infogan(code_weight=2.0, continuous_weight=0.5), batch()
    aux = torch.randn(6, 3 + 2 * 2)
    code, values = game.intent(data), game.values(data)
    logits, mu, log_variance = aux[:, :3], aux[:, 3:5], aux[:, 5:]
    of_code = -Categorical(logits=logits).log_prob(code).mean()
    of_values = -Normal(mu, (log_variance / 2).exp()).log_prob(values).sum(1).mean()
    for terms in (
        game.discriminator_terms(data, {}, said_of(game, data, aux)),
        game.generator_terms(data, {}, said_of(game, data, aux)),
    ):
        torch.testing.assert_close(terms, {"code": 2 * of_code, "continuous": 0.5 * of_values})


def test_the_likelihood_of_three_numbers() -> None:
    """1/2 (log 2 pi + v + (c - mu)^2 / e^v): v = 0 and 1 apart; v = log 4 and 2 apart; and v is kept above -6."""
    mu, codes = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 3.0]])
    value = GaussianLikelihood()(mu, torch.tensor([[0.0, math.log(4)]]), codes)
    assert value.item() == pytest.approx(0.5 * (2 * math.log(2 * math.pi) + 1 + math.log(4) + 1))
    known = GaussianLikelihood()(codes, torch.full((1, 2), -99.0), codes)
    assert known.item() == pytest.approx(math.log(2 * math.pi) - 6)


@pytest.mark.parametrize(("v", "slope"), [(-30.0, -math.exp(6) / 8), (-6.5, -math.exp(6) / 8), (40.0, 0.5)])
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
    game, data = infogan(code_weight=1.0, continuous_weight=1.0), batch()
    critic, generator = game.discriminators["main"], game.generators["main"]
    (duel,) = game.duels(data, game.generate(data))
    ours = game.generator_terms(data, {}, [Verdict(duel, None, duel.judge_fake())])[head]

    code, values = game.codes(data), game.values(data)
    inputs = torch.cat([data.noise.normal("latents", 6, 4), torch.eye(3)[code], values], 1)
    said = critic.heads.aux(critic.layers(generator(inputs)))
    if head == "code":
        by_hand = -said[:, :3].log_softmax(1)[range(6), code].mean()
    else:
        log_variance = said[:, 5:7]
        squared = (values - said[:, 3:5]).square()
        by_hand = 0.5 * (math.log(2 * math.pi) + log_variance + squared / log_variance.exp()).sum(1).mean()
    torch.testing.assert_close(ours, by_hand)
    for network in (generator, critic):
        torch.testing.assert_close(gradients(ours, network), gradients(by_hand, network))
    assert reaches(ours, generator)
    assert reaches(ours, critic.heads.aux)
    assert reaches(ours, critic.layers)


def test_each_turn_trains_its_own_player() -> None:
    game, data = infogan(), batch()
    on_critic, on_generator = turns(game, data, NonSaturating())
    assert set(on_critic) == {"d/realism", "d/code", "d/continuous"}
    assert set(on_generator) == {"g/realism", "g/code", "g/continuous"}
    assert reaches(on_critic["d/code"] + on_critic["d/continuous"], game.discriminators["main"].heads.aux)
    assert not any(g.any() for g in gradients(sum_of(on_critic), game.generators).values())
    assert reaches(on_generator["g/code"], game.generators)
    assert reaches(on_generator["g/continuous"], game.generators)


def test_both_turns_ask_for_the_codes_that_the_fakes_were_made_of() -> None:
    game, data, seen = infogan(), batch(), []
    game.generators["main"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    on_critic, on_generator = turns(game, data, NonSaturating())
    for name in ("code", "continuous"):
        torch.testing.assert_close(on_critic[f"d/{name}"], on_generator[f"g/{name}"])
    made_of = seen[0]
    assert torch.equal(made_of[:, :4], data.noise.normal("latents", 6, 4))
    assert torch.equal(made_of[:, 4:7].argmax(1), game.codes(data))
    assert torch.equal(made_of[:, 4:7].sum(1), torch.ones(6))
    assert torch.equal(made_of[:, 7:], game.values(data))


def test_codes_are_uniform_and_change_with_the_step() -> None:
    game, many = infogan(categories=5), Batch(10_000, Noise(0, 0))
    assert game.codes(many).bincount(minlength=5).tolist() == pytest.approx([2000] * 5, rel=0.06)
    values = game.values(many)
    assert -1 <= values.min() < -0.99 < 0.99 < values.max() < 1
    assert values.mean(0).abs().max() < 0.02
    assert values.var(0).tolist() == pytest.approx([1 / 3] * 2, rel=0.03)
    assert abs(torch.corrcoef(values.T)[0, 1].item()) < 0.03
    later = Batch(10_000, Noise(0, 1))
    assert not torch.equal(game.codes(many), game.codes(later))
    assert not torch.equal(game.values(many), game.values(later))


def test_labels_and_conditions_never_leak_into_training_but_codes_can_be_asked_for() -> None:
    game, labels, values = infogan(), torch.tensor([0, 1, 2, 3, 4, 5]), torch.rand(6, 2)
    data = batch(label=labels, condition=values)
    assert torch.equal(game.codes(data), game.codes(batch()))
    assert torch.equal(game.values(data), game.values(batch()))
    asked = Batch(6, Noise(0, 0), label=labels, condition=values)
    assert game.intent(asked).tolist() == [0, 1, 2, 0, 1, 2]
    assert torch.equal(game.inputs(asked)[:, 7:], values)


@pytest.mark.parametrize(("options", "terms"), [({"categories": 0}, {"continuous"}), ({"continuous": 0}, {"code"})])
def test_one_kind_of_code_is_enough(options: dict[str, int], terms: set[str]) -> None:
    game, data = infogan(**options), batch()
    on_critic, on_generator = turns(game, data, NonSaturating())
    assert set(on_critic) == {"d/realism", *(f"d/{term}" for term in terms)}
    assert reaches(sum_of(on_generator), game.generators)
    assert game.sample(Batch(2, Noise(0, 0)), game.generators).shape == (2, *SHAPE)
    has_category = "code" in terms
    assert (game.num_intents, game.intent(data) is not None) == ((3, True) if has_category else (None, False))


@pytest.mark.parametrize("options", [{"categories": 1}, {"categories": -2}, {"continuous": -1}])
def test_impossible_codes(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"categories must be 0 or >= 2 and continuous >= 0, not both 0, got"):
        infogan(**options)
    with pytest.raises(ValueError, match="got categories=0, continuous=0"):
        infogan(categories=0, continuous=0)
