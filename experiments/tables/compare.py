"""CTGAN here beside the ctgan package: python experiments/tables/compare.py

Both see the same training rows and as many of them; both samples are compared with the same held-out
rows, by metric=table and by SDMetrics. Needs ``pip install ctgan sdmetrics``. Runs in results.jsonl are
not repeated. Writes results.jsonl and the table in README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from gan_zoo.data.datasets.table import table
from gan_zoo.data.sample_kinds.table import Table
from gan_zoo.data.tables.columns import Category
from gan_zoo.data.tables.schema import Schema
from gan_zoo.metrics.table_quality import table_scores

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.jsonl"
SMALL = ("wine", "breast_cancer", "diabetes")
EPOCHS = {"wine": 300, "breast_cancer": 300, "diabetes": 300, "people": 20}


def people(path: Path, rows: int = 50_000) -> Path:
    """A table of made-up people, whose columns depend on each other."""
    rng = np.random.default_rng(0)
    age = rng.gamma(9, 4.5, rows).clip(17, 90).round()
    years = (8 + 8 * rng.beta(2, 2, rows) + (age > 30)).round()
    jobs = np.array(["craft", "office", "sales", "science", "service"])
    logits = np.stack([0 * years, years / 4 - 3, age / 40, years / 2 - 7, 3 - years / 4], 1)
    job = jobs[(logits + rng.gumbel(size=logits.shape)).argmax(1)]
    hours = np.where(rng.random(rows) < 0.6, 40, rng.normal(38, 11, rows).clip(1, 99)).round()
    wage = np.exp(rng.normal(0, 0.35, rows) + 1.2 + 0.07 * years + 0.3 * (job == "science"))
    gain = np.where(rng.random(rows) < 0.9, 0, rng.lognormal(8, 1, rows)).round(2)
    income = np.where(wage * hours * 50 + gain > 32_000, "high", "low")
    frame = pd.DataFrame(
        {"age": age, "years": years, "job": job, "hours": hours, "wage": wage.round(2)}
    )
    frame["gain"] = gain
    frame["income"] = income
    frame.to_csv(path, index=False)
    return path


def ours(root: str | None, name: str, epochs: int, seed: int, count: int) -> Any:
    """Rows of this package, and the seconds of training."""
    from gan_zoo.config.build import build
    from gan_zoo.config.compose import compose_overrides
    from gan_zoo.core.rng import StepRNG
    from gan_zoo.inference.sampling import SampleRequest

    place = f"data.bundled={name}" if root is None else f"data.root={root}"
    source = table(root, name)
    small = ["trainer=cpu", "metric=none", "callbacks=none", "logger=none", "run_dir=/tmp"]
    config = compose_overrides(["data=table", place, f"seed={seed}", *small])
    steps = epochs * max(1, len(source) // 500) * 500 // config.data.batch_size
    config = compose_overrides(
        ["data=table", place, f"seed={seed}", *small, f"trainer.max_steps={steps}"]
    )
    start = time.perf_counter()
    trainer, module, data = build(config)
    trainer.fit(module, data)
    seconds = time.perf_counter() - start
    blocks = [
        module.sample(SampleRequest(500, StepRNG(seed, block))) for block in range(-(-count // 500))
    ]
    assert isinstance(data.source.sample_kind, Table)
    return data.source.sample_kind.decode(torch.cat(blocks)[:count]), seconds, steps


def theirs(train: pd.DataFrame, schema: Schema, epochs: int, seed: int, count: int) -> Any:
    """Rows of the package, and the seconds of training."""
    from ctgan import CTGAN

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  the package draws from it
    start = time.perf_counter()
    model = CTGAN(epochs=epochs, enable_gpu=False)
    model.fit(train, discrete_columns=schema.categories)
    seconds = time.perf_counter() - start
    return model.sample(count), seconds, epochs * max(1, len(train) // 500)


def numbers_of_frame(schema: Schema, frame: pd.DataFrame) -> Any:
    """A table of numbers ``[N, K]``, as `gan_zoo.metrics.table_quality.numbers_of_rows`."""
    columns = [
        column.codes(frame[column.name]).astype(float)
        if isinstance(column, Category)
        else column.numbers(frame[column.name])
        for column in schema.columns
    ]
    return np.stack(columns, 1)


def sdmetrics_scores(schema: Schema, real: pd.DataFrame, fake: pd.DataFrame) -> dict[str, float]:
    """The two properties of SDMetrics' quality report."""
    from sdmetrics.reports.single_table import QualityReport

    types = {
        column.name: {"sdtype": "categorical" if isinstance(column, Category) else "numerical"}
        for column in schema.columns
    }
    report = QualityReport()
    report.generate(real, fake, {"columns": types}, verbose=False)
    scores = report.get_properties().set_index("Property")["Score"]
    return {
        "sdmetrics_shapes": float(scores["Column Shapes"]),
        "sdmetrics_trends": float(scores["Column Pair Trends"]),
    }


def finished() -> list[dict[str, Any]]:
    """The runs in results.jsonl."""
    return (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    )


def write_readme() -> None:
    """Write the table between the markers of README.md: means over seeds, and the smallest and
    largest value.
    """
    columns = {
        "column_shapes": "column shapes",
        "sdmetrics_shapes": "the same, SDMetrics",
        "pair_trends": "pair trends",
        "sdmetrics_trends": "the same, SDMetrics",
        "tstr": "TSTR",
        "trtr": "TRTR",
        "nearer_to_training": "nearer to training",
        "copies": "copies",
        "steps": "steps",
        "seconds": "seconds",
    }
    lines = [
        "| table | rows | program | seeds | " + " | ".join(columns.values()) + " |",
        "| --- " * (len(columns) + 4) + "|",
    ]
    for name in EPOCHS:
        for program in ("gan_zoo", "ctgan"):
            rows = [r for r in finished() if (r["table"], r["program"]) == (name, program)]
            if not rows:
                continue
            cells = [cell([row[key] for row in rows]) for key in columns]
            head = f"| `{name}` | {rows[0]['rows']:,} | {program} | {len(rows)} | "
            lines.append(head + " | ".join(cells) + " |")
    readme = HERE / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition("<!-- table -->")
    _, _, after = rest.partition("<!-- end -->")
    text = f"{before}<!-- table -->\n\n" + "\n".join(lines) + f"\n\n<!-- end -->{after}"
    readme.write_text(text, encoding="utf-8")


def cell(values: list[float]) -> str:
    """The mean over seeds, and the range if there is one."""
    mean = statistics.mean(values)
    if max(map(abs, values)) >= 10:
        spread = (
            f" ({min(values):,.0f} to {max(values):,.0f})" if min(values) != max(values) else ""
        )
        return f"{mean:,.0f}{spread}"
    spread = f" ({min(values):.2f} to {max(values):.2f})" if min(values) != max(values) else ""
    return f"{mean:.2f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", choices=EPOCHS, action="append")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    done = {(row["table"], row["seed"], row["program"]) for row in finished()}
    folder = Path(tempfile.mkdtemp())
    for name in arguments.table or EPOCHS:
        # The table, its training rows and the held-out ones.
        root = None if name in SMALL else str(people(folder / "people.csv"))
        source = table(root, name)
        kind = source.sample_kind
        assert isinstance(kind, Table)
        train, held_out = (
            kind.decode(source.samples),
            kind.decode(source.evaluation_split().samples),
        )
        schema = kind.schema
        count = min(len(train), 5_000)
        tables = [numbers_of_frame(schema, frame) for frame in (train, held_out)]

        # Both programs, seed by seed.
        for seed in range(arguments.seeds):
            for program in ("gan_zoo", "ctgan"):
                if (name, seed, program) in done:
                    continue
                if program == "ctgan":
                    fake, seconds, steps = theirs(train, schema, EPOCHS[name], seed, count)
                else:
                    fake, seconds, steps = ours(root, name, EPOCHS[name], seed, count)
                real, test = tables
                scores = table_scores(
                    schema, kind.target_column, real, numbers_of_frame(schema, fake), test
                )
                row = {"table": name, "seed": seed, "program": program, "rows": len(train)}
                row |= {"steps": steps, "seconds": round(seconds, 1), **scores}
                row |= sdmetrics_scores(schema, train, fake)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    write_readme()


if __name__ == "__main__":
    main()
