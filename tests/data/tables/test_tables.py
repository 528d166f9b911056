"""Tables: columns typed by their values, rows encoded and decoded, rows drawn by value."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gan_zoo.config import resolvers
from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.data.datasets.table import table
from gan_zoo.data.sample_kinds.table import Table
from gan_zoo.data.tables.columns import Category, Continuous
from gan_zoo.data.tables.files import read_table
from gan_zoo.data.tables.row_draws import RowDraws
from gan_zoo.data.tables.schema import Schema, schema_of
from gan_zoo.inference.rows_on_request import parse_condition
from tests import processes

ROWS = 60


def frame(rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = {
        "price": rng.normal(100, 20, rows).round(2),
        "count": rng.integers(0, 500, rows),
        "stars": rng.integers(1, 6, rows),
        "city": rng.choice(["Bern", "Oslo", "Rome"], rows, p=[0.7, 0.25, 0.05]),
        "member": rng.random(rows) < 0.3,
        "since": pd.date_range("2020-02-01", periods=rows).strftime("%Y-%m-%d"),
        "text_number": [str(value) for value in rng.normal(0, 1, rows).round(3)],
        "name": [f"name-{row}" for row in range(rows)],
        "empty": [None] * rows,
        "always": [7] * rows,
    }
    found = pd.DataFrame(columns)
    found.loc[found.index % 5 == 0, "price"] = np.nan
    found.loc[found.index % 7 == 0, "city"] = None
    return found


def test_columns_are_typed_by_their_values() -> None:
    schema = schema_of(frame())
    kinds = {column.name: type(column) for column in schema.columns}
    assert kinds == {
        "price": Continuous,
        "count": Continuous,
        "stars": Category,
        "city": Category,
        "member": Category,
        "since": Continuous,
        "text_number": Continuous,
        "always": Category,
    }
    assert schema.left_out == ("name", "empty")
    by_name = {column.name: column for column in schema.columns}
    assert by_name["city"].values == ("Bern", "Oslo", "Rome", None)
    assert by_name["stars"].values == (1, 2, 3, 4, 5)
    assert (by_name["price"].decimals, by_name["count"].decimals) == (2, 0)
    assert by_name["price"].missing == pytest.approx(0.2)
    assert by_name["since"].date_format == "%Y-%m-%d"


def test_tiny_numbers_are_no_zeros() -> None:
    tiny = np.random.default_rng(0).lognormal(size=50) * 1e-11
    (column,) = schema_of(pd.DataFrame({"current": tiny})).columns
    assert column.decimals is None


def test_the_kind_of_a_column_can_be_said() -> None:
    schema = schema_of(frame(), discrete=["count"], continuous=["stars"])
    kinds = {column.name: column.kind for column in schema.columns}
    assert (kinds["count"], kinds["stars"]) == ("category", "continuous")
    with pytest.raises(DataError, match="must name columns, size is not one of price"):
        schema_of(frame(), discrete=["size"])
    with pytest.raises(DataError, match="column city holds values that are not numbers"):
        schema_of(frame(), continuous=["city"])


def test_what_is_encoded_is_decoded_to_the_same_table() -> None:
    """Also after the schema has been through a config, and for missing values."""
    given = frame()
    schema = Schema.from_json(schema_of(given).to_json())
    found = schema.decode(schema.encode(given))
    for name in ("count", "stars", "member", "since", "always"):
        assert found[name].tolist() == given[name].tolist(), name
    assert found["city"].isna().tolist() == given["city"].isna().tolist()
    assert found["city"].dropna().tolist() == given["city"].dropna().tolist()
    np.testing.assert_allclose(found["price"].astype(float), given["price"])
    np.testing.assert_allclose(found["text_number"], given["text_number"].astype(float))


def test_a_value_is_relative_to_its_mode_by_hand() -> None:
    """(x - mean) / (4 std), for two modes so far apart that there is no doubt whose a value is."""
    column = Continuous("x", (0.0, 100.0), (1.0, 2.0), (0.5, 0.5), -3.0, 108.0)
    encoded = column.encode(pd.Series([2.0, 104.0, -50.0]))
    np.testing.assert_allclose(encoded[:2], [[0.5, 1, 0], [0.5, 0, 1]])
    assert encoded[2, 0] == -0.99  # too far from any mode
    np.testing.assert_allclose(column.decode_numbers(encoded[:2]), [2, 104])
    assert column.decode_numbers(np.array([[1.0, 0, 1]])) == [108.0]  # within the data's range


def test_modes_are_drawn_from_their_posterior() -> None:
    column = Continuous("x", (-1.0, 1.0), (1.0, 1.0), (0.5, 0.5), -9.0, 9.0)
    chosen = column.encode(pd.Series([0.5] * 4000))[:, 2].mean()
    assert chosen == pytest.approx(1 / (1 + np.exp(-1)), abs=0.02)  # exp(2 x m / s^2), x = m / 2


def test_rows_are_drawn_by_the_logarithm_of_frequencies() -> None:
    """A mistaken twin would draw by the frequency, or address the first column alone."""
    schema = schema_of(frame()[["stars", "city", "member"]])
    rows = torch.from_numpy(schema.encode(frame())).float()
    drawn, values = RowDraws(rows, schema.spans)(30_000, StepRNG(0, 3))
    assert (rows[drawn].gather(1, values[:, None]) == 1).all()  # all columns are categories

    counts = [np.array(column.counts) for column in schema.columns]
    logs = [np.log1p(part) for part in counts]
    expected = np.concatenate([part / part.sum() / 3 for part in logs])
    shares = torch.bincount(values, minlength=len(expected)) / len(values)
    np.testing.assert_allclose(shares, expected, atol=0.01)

    # Within a value all rows are equally likely.
    first = drawn[values == 0].bincount(minlength=ROWS)
    assert (first > 0).sum() == counts[0][0]


def test_draws_are_the_same_on_two_processes() -> None:
    schema = schema_of(frame())
    rows = torch.from_numpy(schema.encode(frame())).float()
    draws = RowDraws(rows, schema.spans)
    whole = draws(8, StepRNG(0, 5))
    parts = [draws(4, StepRNG(0, 5, rank, 2)) for rank in range(2)]
    for all_rows, own in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(all_rows, torch.cat(own))


def test_the_held_out_part_and_the_target(tmp_path: Path) -> None:
    root = tmp_path / "a.csv"
    frame().to_csv(root, index=False)
    data = table(str(root), target="city")
    rest = data.evaluation_split()
    assert len(data) + len(rest) == ROWS
    assert (data.split, rest.split) == ("train", "test")
    assert data.available_fields == {"category"}
    assert data.sample_kind.target_column == "city"
    with pytest.raises(DataError, match=r"data\.target must be one of price"):
        table(str(root), target="town")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_files_of_every_kind(suffix: str, tmp_path: Path) -> None:
    root, given = tmp_path / f"a{suffix}", frame()[["price", "city"]]
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
        given.to_parquet(root)
    else:
        given.to_csv(root, index=False, sep="\t" if suffix == ".tsv" else ";")
    pd.testing.assert_frame_equal(read_table(str(root)), given, check_dtype=False)


def test_dates_of_a_table_are_those_of_its_text() -> None:
    """Columns of datetimes, of dates as objects, and of durations, some missing, as in Parquet."""
    rng = np.random.default_rng(0)
    days = pd.to_timedelta(rng.integers(0, 900, 100), "D")
    when = pd.Series(pd.Timestamp("2020-01-01") + days)
    when[:5] = pd.NaT
    given = pd.DataFrame({"when": when, "day": when.dt.date, "took": when - when.min()})
    text = given[["when", "day"]].astype(str).replace("NaT", None)
    schema = schema_of(given)
    assert schema.columns[:2] == schema_of(text).columns
    assert schema.columns[0].date_format == "%Y-%m-%d"
    assert schema.columns[2].high == (when.max() - when.min()).total_seconds()
    rebuilt = schema.decode(schema.encode(given))
    assert rebuilt["when"].isna().sum() == rebuilt["took"].isna().sum() == 5
    assert set(rebuilt["when"].dropna()) <= set(text["when"].dropna())


BAD = {
    "empty file": (b"", "cannot be read as a table"),
    "no rows": (b"a,b\n", "must have at least 2 rows, it has 0"),
    "one row": (b"a,b\n1,2\n", "must have at least 2 rows, it has 1"),
    "bytes": (bytes(range(256)), "cannot be read as a table"),
    "ragged": (b"a,b\n1,2\n1,2,3,4\n", "cannot be read as a table"),
    "all missing": (b"a,b\n,\n,\n", "no column that can be modeled"),
    "names alone": (b"a\nx\ny\nz\nu\nv\nw\n", "no column that can be modeled"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    content, message = BAD[name]
    root = tmp_path / "a.csv"
    root.write_bytes(content)
    with pytest.raises(DataError, match=message):
        table(str(root))


def test_odd_tables_work(tmp_path: Path) -> None:
    """One column, a column of one number, mixed types, infinite numbers, two rows."""
    root = tmp_path / "a.csv"
    for content in (
        "a\n1.5\n2.5\n",
        "a,b\n1,x\n1,y\n",
        "a,b\n1.25,x\nword,y\n1.25,x\nword,y\n",
        "a,b\n1.5,1\ninf,2\n2.5,3\n-inf,1\n",
        "a,a\n1.5,1\n2.5,2\n",
    ):
        root.write_text(content)
        data = table(str(root), test_share=0.0)
        assert bool(data.samples.isfinite().all()), content
        assert len(data.sample_kind.decode(data.samples)) == len(data)


def test_too_many_columns_are_refused() -> None:
    wide = pd.DataFrame(np.zeros((3, 10_000)))
    with pytest.raises(DataError, match="at most 1,000 columns, this one has 10,000"):
        schema_of(wide)


def test_conditions_of_a_request() -> None:
    kind = Table(schema_of(frame()).to_json())
    condition = parse_condition("city = Oslo", kind)
    assert (condition.column, condition.value) == ("city", "Oslo")
    assert condition.category == 5 + 1  # after the five stars
    assert parse_condition("price>=10", kind).meets(frame()).sum() == (frame()["price"] >= 10).sum()
    assert parse_condition("city=", kind).meets(frame()).sum() == frame()["city"].isna().sum()
    assert parse_condition("price=", kind).meets(frame()).sum() == frame()["price"].isna().sum()
    early = parse_condition("since<2020-02-11", kind)
    assert early.meets(frame()).sum() == 10
    for text, message in {
        "town=Oslo": "with a column of price, count",
        "city=Paris": "city= must be one of Bern, Oslo, Rome, , got =Paris",
        "city<Oslo": "city= must be one of",
        "price>much": "price> needs a number, got 'much'",
        "since>often": "since> needs a date such as 2024-12-31, got 'often'",
        "price>=900": "is met by no row: the values are 53.5 to 139.21",
        "count=3.5": "is met by no row: the values are whole numbers",
        "count=": "count= needs a number, got ''",
        "name=name-3": "this column is not generated; left out were name, empty",
    }.items():
        with pytest.raises(ConfigError, match=message):
            parse_condition(text, kind)


def test_the_drawing_has_one_plot_a_column() -> None:
    schema = schema_of(frame())
    kind = Table(schema.to_json())
    data = table(None, "iris")
    drawing = data.sample_kind.draw(data.samples[:50], data)
    assert drawing.size == (5 * 170, 128)
    assert len({drawing.getpixel((x, 100)) for x in range(drawing.width)}) > 1
    assert kind.schema.names == schema.names


def test_a_run_of_a_file_ends_with_rows_on_request(tmp_path: Path) -> None:
    """``data=table`` chooses model, loss and metric; the CSV has what was asked for."""
    frame(120).to_csv(tmp_path / "shop.csv", index=False)
    small = ["generator.widths=[8]", "discriminator.widths=[8]", "trainer.max_steps=3"]
    small += ["metric.table.num_samples=64", "hydra.run.dir=run", "trainer=cpu"]
    ran = processes.train("data=table", "data.root=shop.csv", *small, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "left out: name, empty" in ran.stdout + ran.stderr
    for name in ("column_shapes", "pair_trends", "tstr"):
        assert name in ran.stdout

    asked = ["--count", "20", "--where", "city=Oslo", "--where", "count<400", "--out", "rows.csv"]
    drawn = processes.gan_zoo("sample", "run", *asked, cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    found = pd.read_csv(tmp_path / "rows.csv")
    assert len(found) == 20
    assert set(found["city"]) == {"Oslo"}
    assert found["count"].max() < 400
    assert found["price"].dropna().between(frame(120)["price"].min(), 200).all()
    refused = processes.gan_zoo("sample", "run", "--count", "2", "--where", "a=b", cwd=tmp_path)
    assert refused.returncode == 1
    assert "error: --where must be COLUMN=VALUE" in refused.stderr


def test_without_pandas_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gan_zoo.data.tables", None)
    with pytest.raises(ConfigError, match=r"needs pandas: pip install 'gan-zoo\[tables\]'"):
        resolvers.table_batch_size(None, "wine", 0.2)
