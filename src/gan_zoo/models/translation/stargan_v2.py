"""The translation model of many domains with many outputs for each input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import one_hot

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    SampleRequest,
    Shape,
    TermOutputs,
    Weight,
    at_least_float32,
)
from gan_zoo.models.base import Model, require_images
from gan_zoo.models.conditioning import accepts


class StarGANv2(Model):
    """One generator translates images x of any domain y to any domain y', in many styles (Choi et
    al. 2020, eq. 1 to 6).

    A style s of y' is F(z, y'), z ~ N(0, 1), or E(r, y') of a reference r of that domain. With s'
    another one, of new latents or of a second reference,

        L_D = adv(D_y(x), D_y'(G(x, s)))
        L_G = adv(D_y'(G(x, s))) + w_s |E(G(x, s), y') - s| - w_d |G(x, s) - G(x, s')|
            + w_c |G(G(x, s), E(x, y)) - x|,

    for latents and for references, whose losses are added in one step; the authors take two. As in
    their program, G(x, s') is a constant, and G alone is trained with references: their styles and
    E are constants there. w_d decays linearly to 0. A batch's conditions are its samples
    (``data/derive=copy``); a request's label is y'. References are other samples of the batch.
    Adversarial terms ``latent`` and ``reference``; loss terms ``style``, ``diversification`` and
    ``cycle``.

    Args:
        generator: makes a translator ``(image, style) -> image``, called with ``in_shape``,
            ``out_shape`` and ``latent_dim``, the size of styles.
        mapping: F, ``(latents, one-hot domains) -> style``, called with ``latent_dim``,
            ``outputs`` and ``num_classes``.
        encoder: E, ``(image, one-hot domains) -> style``, called with ``outputs`` and
            ``num_classes``.
        discriminator: makes a discriminator, called with ``condition_dim``, whose conditions are
            one-hot domains.
        reconstruction: distance ``(output, target) -> scalar``.
        num_classes: K >= 2 domains, as the data has them.
        a_shape, b_shape: ``[C, H, W]`` of conditions and samples, which must be equal.
        style_weight: w_s (1 in the paper).
        diversification_weight: w_d at the start (1 in the paper for faces, 2 for animals).
        diversification_images: images after which w_d is 0 (800,000 in the paper).
        cycle_weight: w_c (1 in the paper).
        style_dim: size of styles (64 in the paper).
        latent_dim: size of latents (16 in the paper).
    """

    term_names: ClassVar[tuple[str, ...]] = ("latent", "reference")
    needs = ("label", "image")
    mean_of_samples = False  # references are found in the batch

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        mapping: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        num_classes: Count | None,
        a_shape: Shape | None,
        b_shape: Shape,
        style_weight: Weight = 1.0,
        diversification_weight: Weight = 1.0,
        diversification_images: Count = 800_000,
        cycle_weight: Weight = 1.0,
        style_dim: Count = 64,
        latent_dim: Count = 16,
    ) -> None:
        super().__init__()
        a_shape = require_domains(num_classes, a_shape, b_shape)
        weights = (style_weight, diversification_weight, cycle_weight)
        if min(weights) < 0 or min(diversification_images, style_dim, latent_dim) < 1:
            raise ValueError(
                "style_weight, diversification_weight and cycle_weight must be >= 0,"
                " diversification_images, style_dim and latent_dim >= 1, got"
                f" {', '.join(map(str, weights))}, {diversification_images}, {style_dim} and"
                f" {latent_dim}"
            )
        if not accepts(generator, "latent_dim") or accepts(generator, "sample_shape"):
            raise ValueError(
                "model=stargan_v2 needs a translator with styles: use generator=adaptive_translator"
            )

        # Three networks that are trained and averaged as generators, and the discriminator.
        translator = generator(in_shape=a_shape, out_shape=b_shape, latent_dim=style_dim)
        of_latents = mapping(latent_dim=latent_dim, outputs=style_dim, num_classes=num_classes)
        of_images = encoder(outputs=style_dim, num_classes=num_classes)
        networks = {"main": translator, "mapping": of_latents, "encoder": of_images}
        self.generators = nn.ModuleDict(networks)
        self.discriminators = nn.ModuleDict({"main": discriminator(condition_dim=num_classes)})
        self.reconstruction = reconstruction
        self.num_requested_labels = num_classes
        self.style_weight = style_weight
        self.diversification_weight = diversification_weight
        self.diversification_images = diversification_images
        self.cycle_weight = cycle_weight
        self.latent_dim = latent_dim
        self.on_progress(0)

    @property
    def translates(self) -> bool:
        """To a domain, in the style of latents: the translator is convolutional."""
        return True

    def on_progress(self, images_seen: int) -> None:
        left = max(0.0, 1 - images_seen / self.diversification_images)
        self.diversification_now = self.diversification_weight * left

    def request_for(self, batch: Batch) -> SampleRequest:
        """In training domains are drawn uniformly."""
        return SampleRequest(batch.size, batch.rng, condition=batch.condition)

    def evaluation_request(self, request: SampleRequest) -> SampleRequest:
        """The images of data with other domains than their own: an image that is left as it is does
        not count as translated.
        """
        assert request.label is not None
        assert self.num_requested_labels is not None
        draws = request.rng.to(request.label.device)
        step = draws.randint("other domains", request.size, 1, self.num_requested_labels)
        return replace(request, label=(request.label + step) % self.num_requested_labels)

    def requested_label(self, request: SampleRequest) -> Tensor:
        """The domains y' of the samples, ``[B]``."""
        if request.label is not None:
            return request.label
        assert self.num_requested_labels is not None
        return request.rng.randint("domains", request.size, 0, self.num_requested_labels)

    def domains(self, label: Tensor | None, like: Tensor) -> Tensor:
        """Domains ``[B]`` as one-hot vectors ``[B, K]`` of the type of ``like``."""
        assert label is not None
        assert self.num_requested_labels is not None
        return one_hot(label, self.num_requested_labels).to(like)

    def style_of_latents(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        """F(z, y'), ``[B, style_dim]``; a step repeats its draws."""
        latents = self.latents(request)
        classes = self.domains(self.requested_label(request), latents)
        style: Tensor = generators["mapping"](latents, classes)
        return style

    def translated_like(
        self, images: Tensor, references: Tensor, label: Tensor, generators: nn.ModuleDict
    ) -> Tensor:
        """G(x, E(r, y')) of images x and references r ``[B, C, H, W]`` of domains ``[B]``."""
        style = generators["encoder"](references, self.domains(label, references))
        samples: Tensor = generators["main"](images, style)
        return samples

    def references(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """For each image another image of the batch, its domain ``[B]``, and a second image of that
        domain: the same one if the batch has no other.

        Raises:
            ValueError: if this process has a single image.
        """
        assert batch.label is not None
        if batch.size < 2:
            raise ValueError(
                "model=stargan_v2 takes its references from the batch, so every process needs at"
                " least 2 images of it, got 1: set a larger data.batch_size"
            )
        label = batch.label.roll(-1)
        places = torch.arange(batch.size, device=label.device)
        first = places.roll(-1)

        # Chance decides among those of the domain; the first reference comes after them.
        same = label[:, None] == batch.label[None]
        itself = first[:, None] == places[None]
        chance = batch.rng.uniform("references", batch.size, batch.size)
        second = (chance + 2.0 * same - 1.0 * itself).argmax(1)
        return batch.real[first], label, batch.real[second]

    def generate(self, batch: Batch) -> FakeSamples:
        assert batch.condition is not None
        references, label, _ = self.references(batch)
        with torch.no_grad():
            like = self.generators["encoder"](references, self.domains(label, references))
        style = self.style_of_latents(self.request_for(batch), self.generators)

        # Both kinds of styles in one pass.
        fakes = self.generators["main"](
            batch.condition.repeat(2, 1, 1, 1), torch.cat([style, like])
        )
        fake, reference = fakes.chunk(2)
        return {"fake": fake, "reference": reference, "style": style, "reference style": like}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        discriminator = self.discriminators["main"]
        # Reals count for their own domain, fakes for the one that they were translated to.
        own = self.domains(batch.label, batch.real)
        requested = self.requested_label(self.request_for(batch))
        domains = self.domains(requested, own), self.domains(self.references(batch)[1], own)
        return [
            AdversarialTerm(name, discriminator, batch.real, fake, own, domain)
            for name, fake, domain in zip(
                self.term_names, (fakes["fake"], fakes["reference"]), domains, strict=True
            )
        ]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        assert batch.condition is not None
        x = batch.condition
        fake, reference = fakes["fake"], fakes["reference"]
        encoder = self.generators["encoder"]
        of_latents, of_references = (output.term.fake_condition for output in outputs)

        # Styles are found again; with references, E is a constant function.
        found = encoder(fake, of_latents)
        constants = {name: p.detach() for name, p in encoder.named_parameters()}
        found_like = functional_call(encoder, constants, (reference, of_references))
        styles = away(found, fakes["style"]) + away(found_like, fakes["reference style"])

        # And so are images, in their own domain and style.
        own = encoder(x, self.domains(batch.label, x))
        own_styles = torch.cat([own, own.detach()])
        cycled = self.generators["main"](torch.cat([fake, reference]), own_styles)
        cycle = sum(self.reconstruction(images, x) for images in cycled.chunk(2))
        terms = {"style": self.style_weight * styles, "cycle": self.cycle_weight * cycle}

        # Images of other styles of the same domain are elsewhere.
        if self.diversification_now > 0:
            other, other_like = self.others(batch)
            distance = away(fake, other) + away(reference, other_like)
            terms["diversification"] = -self.diversification_now * distance
        return terms

    @torch.no_grad()
    def others(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Images ``[B, C, H, W]`` of new latents, and of second references, as constants."""
        assert batch.condition is not None
        # New latents in the domain that the batch asks for.
        request = self.request_for(batch)
        label = self.requested_label(request)
        new = replace(request, rng=batch.rng.derive("other latents"), label=label)
        style = self.style_of_latents(new, self.generators)

        # Styles of second references in theirs.
        _, label, references = self.references(batch)
        like = self.generators["encoder"](references, self.domains(label, references))

        # Both in one pass of the generator: ``[2 B, C, H, W]``.
        images = self.generators["main"](
            batch.condition.repeat(2, 1, 1, 1), torch.cat([style, like])
        )
        other, other_like = images.chunk(2)
        return other, other_like

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        style = self.style_of_latents(request, generators)
        samples: Tensor = generators["main"](request.condition, style)
        return samples

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Input and outputs of two latents in one domain; the target would be the input itself."""
        assert request.condition is not None
        label = self.requested_label(request)
        other_rng = request.rng.derive("other latents")
        other = replace(request, rng=other_rng, latents=None, label=label)
        return {
            "input": request.condition,
            "sample": self.sample(request, generators),
            "other latents": self.sample(other, generators),
        }


def require_domains(num_classes: int | None, a_shape: Shape | None, b_shape: Shape) -> Shape:
    """The shape of images that have at least two domains and are their own conditions.

    Raises:
        ValueError: for other data.
    """
    a_shape = require_images(a_shape, "model=stargan_v2")
    if num_classes is None or num_classes < 2:
        raise ValueError(
            "model=stargan_v2 needs data with labels: data.num_classes must be >= 2, got"
            f" {num_classes}"
        )
    if list(a_shape) != list(b_shape):
        raise ValueError(
            "model=stargan_v2 translates samples themselves (data/derive=copy), got conditions"
            f" {list(a_shape)} of samples {list(b_shape)}"
        )
    return a_shape


def away(found: Tensor, target: Tensor) -> Tensor:
    """The mean absolute difference."""
    return (at_least_float32(found) - at_least_float32(target)).abs().mean()
