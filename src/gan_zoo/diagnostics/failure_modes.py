"""From readings to findings: what goes wrong, since when, and what to try."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

Measurement = dict[str, float]
"""What was read at one look, by name, with ``images_seen``."""
History = list[Measurement]
"""All looks of a run, in order."""

MIN_CHECKS = 10  # checks before a run is expected to have learned anything


@dataclass(frozen=True, slots=True)
class TermHistory:
    """One term as it was known after look ``now`` (counted from 0)."""

    history: Sequence[Measurement]
    term: str
    now: int

    def last(self, name: str, looks: int) -> list[float]:
        """The last ``looks`` values of a reading of the term, or of a player (``g/...``); [] if
        there are fewer.
        """
        key = name if name[:2] in ("d/", "g/") else f"{self.term}/{name}"
        rows = self.history[max(0, self.now + 1 - looks) : self.now + 1]
        values = [row[key] for row in rows if key in row]
        return values if len(values) == looks else []

    def full(self, name: str) -> list[float]:
        """All values up to now."""
        key = name if name[:2] in ("d/", "g/") else f"{self.term}/{name}"
        return [row[key] for row in self.history[: self.now + 1] if key in row]


@dataclass(frozen=True, slots=True)
class FailureMode:
    """A way of failing.

    Attributes:
        name: as in docs/troubleshooting.md.
        sign: what is seen in a view, in a few words; empty if nothing is.
        remedies: overrides to try, the first one first.
    """

    name: str
    evidence: Callable[[TermHistory], str]
    suggestions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a run.

    Attributes:
        name: of the failure mode.
        term: where it was seen.
        sign: what was seen when it was first seen.
        since: images seen then.
        lasting: whether it is still so at the last look.
        remedies: overrides to try.
    """

    name: str
    term: str
    evidence: str
    since: int
    ongoing: bool
    suggestions: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.name} in {self.term} at {self.since:,} images: {self.evidence}; try"
            f" {' or '.join(self.suggestions)}"
        )


def collapse(view: TermHistory) -> str:
    """Samples are alike: all of them, or pairs of them to the pixel; and not because nothing was
    learnt yet.
    """
    spread, travel, twins = (view.last(name, 5) for name in ("spread", "travel", "nearest"))
    if not spread:
        return ""

    # At the start samples are alike because nothing was learned yet.
    was_diverse, moves = max(view.full("spread")) > 0.5, max(travel) > 0.03
    alike = max(spread) < 0.2 and spread[-1] < 1.05 * spread[0]
    if alike and (was_diverse or (view.now >= MIN_CHECKS and (moves or max(spread) < 0.02))):
        return f"samples spread {spread[-1]:.2g} times as far as reals"

    # Pairs of samples may be alike although the whole is diverse.
    if max(twins) < 0.03 and view.now >= MIN_CHECKS:
        return f"each sample has a twin {twins[-1]:.2g} times as far away as reals have"
    return ""


def saturation(view: TermHistory) -> str:
    """The discriminator recognizes all fakes, and samples do not improve."""
    roc_auc, offset = view.last("separation", 6), view.last("offset", 6)
    spread = view.last("spread", 6)
    if not roc_auc or view.now < MIN_CHECKS or min(roc_auc) < 0.995:
        return ""

    # Samples improve if they come closer to the reals or spread out.
    better = offset[-1] < 0.95 * offset[0] or spread[-1] > 1.1 * spread[0]
    return "" if better else "it recognizes all fakes, and samples do not improve"


def overfitting(view: TermHistory) -> str:
    """The discriminator takes held-out reals for fakes."""
    known, roc_auc = view.last("memory", 5), view.last("separation", 5)
    if not known or min(roc_auc) < 0.8 or median(known) < 0.5:
        return ""
    return f"held-out reals are scored {median(known):.0%} of the way from training reals to fakes"


def vanishing(view: TermHistory) -> str:
    """The generator's gradient is next to nothing."""
    norms = view.last("g/grad_norm", 4)
    if not norms or max(norms) > max(1e-5, 0.01 * max(view.full("g/grad_norm"))):
        return ""
    return f"its norm is {norms[-1]:.2g}"


def explosion(view: TermHistory) -> str:
    """Gradients or scores grow without end."""
    for name in ("d/grad_norm", "g/grad_norm", "gap"):
        sizes = [abs(value) for value in view.full(name)]
        if len(sizes) < 3:
            continue

        # Beyond any sensible size, or far beyond the start and still growing.
        start, now = median(sizes[:3]), min(sizes[-3:])
        if now > 1e5 or (now > 100 * max(start, 0.1) and sizes[-1] > 1.5 * max(sizes[-6:-3])):
            return f"{name} is {sizes[-1]:.3g}, and was {start:.2g}"
    return ""


def oscillation(view: TermHistory) -> str:
    """Samples wander, all of them together."""
    travel, offset = view.last("travel", 6), view.last("offset", 6)
    if not travel or median(travel) < 1.0 or median(offset) < 0.6:
        return ""
    return (
        f"the center of the samples moves by {median(travel):.2g} spreads of the reals from look to"
        " look"
    )


FAILURE_MODES = (
    FailureMode(
        "mode collapse", collapse, ("loss=r3gan", "pack=2", "discriminator.minibatch=stddev")
    ),
    FailureMode(
        "saturated discriminator",
        saturation,
        (
            "regularizer=[r1] discriminator.norm=none",
            "optim.discriminator.lr=1e-4",
            "optim.generator.lr=4e-4",
        ),
    ),
    FailureMode(
        "overfitting discriminator",
        overfitting,
        ("augment=diffaugment", "augment=ada", "data.flip=true"),
    ),
    FailureMode(
        "vanishing generator gradient",
        vanishing,
        ("loss=nonsaturating", "loss=wgan_gp", "loss=rpgan"),
    ),
    FailureMode(
        "explosion",
        explosion,
        ("optim.clip_grad_norm=1", "regularizer=[r1] discriminator.norm=none"),
    ),
    FailureMode(
        "oscillation", oscillation, ("regularizer=[r1] discriminator.norm=none", "optim=adam_beta0")
    ),
)
SUGGESTIONS = {mode.name: mode.suggestions for mode in FAILURE_MODES}


def findings_at(history: Sequence[Measurement], now: int) -> list[Finding]:
    """What is seen at look ``now``, from it and the looks before it."""
    adversarial_terms = [
        name.removesuffix("/separation") for name in history[now] if name.endswith("/separation")
    ]
    images = int(history[now]["images_seen"])
    return [
        Finding(mode.name, term, evidence, images, True, mode.suggestions)
        for term in adversarial_terms
        for mode in FAILURE_MODES
        if (evidence := mode.evidence(TermHistory(history, term, now)))
    ]


def diagnose(history: Sequence[Measurement]) -> list[Finding]:
    """What was seen at any look, each failure mode of each term once: as it was first seen, and
    whether it lasts.
    """
    findings: dict[tuple[str, str], Finding] = {}
    for now in range(len(history)):
        seen = {(finding.name, finding.term): finding for finding in findings_at(history, now)}
        # A finding stays as it was first seen, except for whether it lasts.
        findings = {
            key: replace(finding, ongoing=key in seen) for key, finding in (seen | findings).items()
        }
    return list(findings.values())
