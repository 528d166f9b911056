"""The sections and charts in which dashboards arrange what is logged: TensorBoard's layout and the
workspace in Weights & Biases have the same ones.

Patterns are regular expressions of Python, JavaScript and RE2 alike, so without lookahead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

IMAGES_SEEN = "train/images_seen"
IMAGES_PER_SECOND = "train/images_per_second"
SAMPLES = "samples"
"""The key that image grids are logged under."""
REAL = "real"
"""The key of the image grid of real samples."""
MEMORY = {
    "Memory of the process, MB": "system/proc.memory.rssMB",
    "Memory of the first GPU, bytes": "system/gpu.0.memoryAllocatedBytes",
}
"""What the client of Weights & Biases logs of its own accord, over time."""


@dataclass(frozen=True)
class Chart:
    """One chart of all keys that match a pattern.

    Attributes:
        title: of the chart.
        pattern: a regular expression of whole keys.
        log_scale: whether the values are drawn on a logarithmic axis, where that can be set.
    """

    title: str
    pattern: str
    log_scale: bool = False

    @property
    def regex(self) -> str:
        """The pattern between anchors."""
        return f"^({self.pattern})$"


def other_than(*words: str) -> str:
    """A pattern of the parts of a key, such as ``realism``, that are none of ``words``."""
    return f"({_other_than(words)})"


def _other_than(words: Iterable[str], first: bool = True) -> str:
    # The rests of the words by their first letter; an empty rest is a whole word.
    rests: dict[str, list[str]] = {}
    ends = False
    for word in words:
        if word:
            rests.setdefault(word[0], []).append(word[1:])
        else:
            ends = True
    if not rests:
        return "[^/]+"

    # Another letter and then anything, or the same letter and then the rest of no word.
    ways = [f"[^{''.join(rests)}/][^/]*"]
    ways += [f"{letter}{_other_than(rest, False)}" for letter, rest in rests.items()]
    return f"({'|'.join(ways)}){'' if first or ends else '?'}"


ACCURACIES = ("accuracy_real", "accuracy_fake")
TERM = other_than("grad_norm")
READING = "doctor/.+/"
"""A term of the model may have a name of several parts."""

SECTIONS: dict[str, tuple[Chart, ...]] = {
    "Training": (
        Chart("Discriminator losses", f"d/{TERM}"),
        Chart("Generator losses", f"g/{TERM}"),
        Chart("Discriminator accuracy", f"d/[^/]+/({'|'.join(ACCURACIES)})"),
        Chart("Penalties and values of the loss", f"[dg]/[^/]+/{other_than(*ACCURACIES)}"),
        Chart("Augmentation and states of regularizers", "[dg]/[^/]+/[^/]+/.+"),
        Chart("Sum of the totals", "train/total"),
        Chart("Learning rates", "lr/.+", log_scale=True),
    ),
    "Metrics": (
        Chart("Frechet distances", "val/(fid|fd_.+|intra_fid|intra_fd_.+)", log_scale=True),
        Chart("Kernel distance", "val/kid(_.+)?", log_scale=True),
        Chart("Inception score", "val/is(_.+)?"),
        Chart("Precision, recall, density, coverage", "val/(precision|recall|density|coverage).*"),
        Chart("Modes", "val/(modes|high_quality|reverse_kl).*"),
        Chart("Conditions and classes", "val/.*(match|retrieval|accuracy|neighbors).*"),
        Chart("Reconstruction and translation", "val/(.*(l1|psnr|ssim).*|reconstruction_.+)"),
        Chart("All metrics", "val/.+", log_scale=True),
    ),
    "Diagnosis": (
        Chart("Separation of reals and fakes", f"{READING}separation"),
        Chart("Scores: mean of reals less that of fakes", f"{READING}gap"),
        Chart("Scores of reals and fakes: percentiles 5, 50, 95", f"{READING}(real|fake)_p[0-9]+"),
        Chart("Memorization by the discriminator", f"{READING}memory"),
        Chart("Diversity of the fakes, relative to reals", f"{READING}(spread|nearest)"),
        Chart("Center of the fakes: offset and travel", f"{READING}(offset|travel)"),
        Chart("Gradient norms", "(doctor/)?[dg]/grad_norm", log_scale=True),
        Chart("Relative change of the weights", "doctor/[dg]/moved", log_scale=True),
    ),
    "Cost": (
        Chart("Images per second", IMAGES_PER_SECOND),
        Chart("Generator steps", "train/generator_steps"),
    ),
}
"""Charts by section, in the order in which they are shown."""
