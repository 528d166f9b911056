"""The tables and the images of a comparison: python experiments/collect.py NAME OUT

NAME is a folder beside this file: few_shot, synthesis or translation. OUT holds the run folders of
its `run.sh`, MODEL-sSEED. The tables go into the folder's README.md, between its markers:
`<!-- table -->` has every run, `<!-- table DATA -->` those on DATA. Beside it goes the last image
grid of each model's first seed, cut to a few rows of 256 colors.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gan_zoo.core.provenance import hardware
from gan_zoo.launch.reproduce import mean_and_spread
from gan_zoo.runs.folder import RunFolder

TABLE = re.compile(r"(<!-- table ?(\w*) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """What an experiment's tables show.

    Attributes:
        columns: metrics by title; of several, those that a run has.
        height: pixels of its image grid that are kept.
        first: the metric by which rows are sorted, lowest first; None: by name.
    """

    columns: Mapping[str, Sequence[str]]
    height: int
    first: str | None = None


PAGES = {
    "translation": Page(
        {
            "to the target": ("target_l1",),
            "unchanged": ("unchanged_l1",),
            "PSNR, dB": ("psnr",),
            "of the input": ("psnr_input", "psnr_bicubic"),
            "diversity": ("diversity",),
            "class match": ("condition_match",),
            "fd": ("fd_efficientnet_lite0",),
        },
        height=300,
    ),
    "synthesis": Page(
        {
            "fd": ("fd_efficientnet_lite0",),
            "precision": ("precision_efficientnet_lite0",),
            "recall": ("recall_efficientnet_lite0",),
            "class match": ("condition_match",),
        },
        height=70,
        first="fd_efficientnet_lite0",
    ),
    "few_shot": Page(
        {
            "fd": ("fd_efficientnet_lite0",),
            "kid": ("kid_efficientnet_lite0",),
            "precision": ("precision_efficientnet_lite0",),
            "coverage": ("coverage_efficientnet_lite0",),
            "memorization": ("memorization_efficientnet_lite0",),
        },
        height=134,
        first="fd_efficientnet_lite0",
    ),
}


class Row:
    """The runs of one model, one for each seed."""

    def __init__(self, name: str, runs: Sequence[RunFolder]) -> None:
        self.name = name
        self.runs = runs
        self.contents = [run.metrics() for run in runs]

    def values(self, metrics: Sequence[str]) -> list[float]:
        """The values of these metrics, of every run."""
        found = [entry for content in self.contents for entry in content["metrics"]]
        return [entry["value"] for entry in found if entry["name"] in metrics]

    def is_on(self, data: str) -> bool:
        """Whether the runs are on this data; any for an empty name."""
        return data in ("", self.contents[0]["metrics"][0]["protocol"]["data"])

    def cells(self, columns: Mapping[str, Sequence[str]]) -> list[str]:
        """Its cells of the table."""
        images = statistics.fmean(content["images_seen"] for content in self.contents)
        seconds = statistics.fmean(content["seconds"] for content in self.contents)
        scores = [self.values(metrics) for metrics in columns.values()]
        return [
            f"`{self.name}`",
            str(len(self.runs)),
            f"{images:,.0f}",
            f"{seconds / 60:.1f}",
            *(mean_and_spread(values, 3) if values else "" for values in scores),
            f"[image]({self.name}.png)",
        ]


def table(rows: Sequence[Row], page: Page) -> str:
    """A table of these rows."""
    empty = [column for column, of in page.columns.items() if not any(r.values(of) for r in rows)]
    columns = {title: of for title, of in page.columns.items() if title not in empty}
    header = ["run", "seeds", "images", "minutes", *columns, ""]
    if page.first is not None:
        rows = sorted(rows, key=lambda row: statistics.fmean(row.values([page.first or ""])))
    lines = [header, ["---"] * len(header), *(row.cells(columns) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    name, out = sys.argv[1:]
    page = PAGES[name]
    folder = Path(__file__).parent / name

    # A row for each model.
    runs: dict[str, list[RunFolder]] = defaultdict(list)
    for run in RunFolder.find_below(Path(out)):
        if run.metrics():
            runs[run.path.name.rpartition("-s")[0]].append(run)
    rows = [Row(model, of_model) for model, of_model in sorted(runs.items())]

    # Its image.
    for row in rows:
        image = Image.open(row.runs[0].sample_grids()[-1]).convert("RGB")
        image = image.crop((0, 0, image.width, min(image.height, page.height)))
        image.quantize(256).save(folder / f"{row.name}.png", optimize=True)

    # The tables into the page.
    def filled(marker: re.Match[str]) -> str:
        shown = table([row for row in rows if row.is_on(marker[2])], page)
        return f"{marker[1]}\n{shown}\n\n{hardware()}.\n\n{marker[3]}"

    readme = folder / "README.md"
    readme.write_text(TABLE.sub(filled, readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
