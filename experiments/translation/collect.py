"""The table and the images of experiments/translation/run.sh: python experiments/translation/collect.py OUT

Writes the table into README.md beside this file, between its markers, and the last image grid of
each model's first seed, cut to a few rows of 256 colors.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from PIL import Image

from gan_zoo.core.provenance import hardware
from gan_zoo.launch.reproduce import mean_and_spread
from gan_zoo.runs.folder import RunFolder

HERE = Path(__file__).parent
COLUMNS = {
    "to the target": ("target_l1",),
    "unchanged": ("unchanged_l1",),
    "PSNR, dB": ("psnr",),
    "of the input": ("psnr_input", "psnr_bicubic"),
    "diversity": ("diversity",),
    "class match": ("condition_match",),
    "fd": ("fd_efficientnet_lite0",),
}
ROWS_OF_PIXELS = 300
TABLE = re.compile(r"(<!-- table -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def main() -> None:
    # The runs of each model, one for each seed.
    runs: dict[str, list[RunFolder]] = defaultdict(list)
    for run in RunFolder.find_below(Path(sys.argv[1])):
        if run.metrics():
            runs[run.path.name.rpartition("-s")[0]].append(run)

    # A row for each model.
    header = ["`model=`", "seeds", "images", "minutes", *COLUMNS, ""]
    rows = [header, ["---"] * len(header)]
    for name, of_model in sorted(runs.items()):
        contents = [run.metrics() for run in of_model]
        scores = [{m["name"]: m["value"] for m in content["metrics"]} for content in contents]
        cells = [f"`{name}`", str(len(of_model))]
        cells.append(f"{statistics.fmean(c['images_seen'] for c in contents):,.0f}")
        cells.append(f"{statistics.fmean(c['seconds'] for c in contents) / 60:.1f}")
        for metrics in COLUMNS.values():
            values = [score[m] for score in scores for m in metrics if m in score]
            cells.append(mean_and_spread(values, 3) if values else "")
        cells.append(f"[image]({name}.png)")
        rows.append(cells)

        # Its image.
        image = Image.open(of_model[0].sample_grids()[-1]).convert("RGB")
        image = image.crop((0, 0, image.width, min(image.height, ROWS_OF_PIXELS)))
        image.quantize(256).save(HERE / f"{name}.png", optimize=True)

    # Into the page.
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    page = HERE / "README.md"
    text = page.read_text(encoding="utf-8")
    found = f"\n{table}\n\n{hardware()}.\n\n"
    page.write_text(TABLE.sub(lambda match: match[1] + found + match[2], text), encoding="utf-8")


if __name__ == "__main__":
    main()
