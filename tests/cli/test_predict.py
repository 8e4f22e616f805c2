"""`hpsearch predict`: block after block as all at once, and refusals that say where."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hpsearch.cli import models
from hpsearch.data import reading
from hpsearch.data.reading import read_blocks, read_table
from hpsearch.errors import DataError


@pytest.fixture
def wine_files(tmp_path):
    table = read_table("wine")
    table.write_parquet(tmp_path / "wine.parquet", row_group_size=50)
    table.write_csv(tmp_path / "wine.csv")
    return table


@pytest.mark.parametrize("name", ["wine.parquet", "wine.csv"])
def test_blocks_are_the_table(wine_files, tmp_path, name):
    blocks = list(read_blocks(tmp_path / name, 30))
    assert max(block.height for block in blocks) <= 30
    assert pl.concat(blocks).equals(read_table(tmp_path / name))


def test_rows_to_predict_need_no_target_and_no_second_column(tmp_path):
    """Arrays that are called otherwise, too; a search still says what it misses."""
    X = np.arange(6.0).reshape(3, 2)
    for names in ({"X": X}, {"data": X}, {"rows": X, "note": np.array(["a"])}):
        np.savez(tmp_path / "x.npz", **names)
        (block,) = read_blocks(tmp_path / "x.npz", 10)
        assert block.to_dict(as_series=False) == {"x0": [0, 2, 4], "x1": [1, 3, 5]}
        with pytest.raises(DataError, match="and a 1-D array of equal length as y are needed"):
            read_table(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", X=X, y=np.arange(3))
    assert next(read_blocks(tmp_path / "x.npz", 10)).columns == ["x0", "x1", "y"]
    np.savez(tmp_path / "x.npz", y=np.arange(3))
    with pytest.raises(DataError, match="as X are needed; found 'y'"):
        next(read_blocks(tmp_path / "x.npz", 10))
    (tmp_path / "x.csv").write_text("size\n1.5\n2\n")
    assert next(read_blocks(tmp_path / "x.csv", 10)).to_dict(as_series=False) == {"size": [1.5, 2]}
    with pytest.raises(DataError, match="only one column found"):
        read_table(tmp_path / "x.csv")


def test_a_model_of_one_column_predicts_a_file_of_that_column(hpsearch, tmp_path, monkeypatch):
    rows = "\n".join(f"{i / 7},{'ab'[i % 3 == 0]}" for i in range(60))
    (tmp_path / "t.csv").write_text(f"size,y\n{rows}\n")
    search = ("random", "t.csv", "-n", 1, "--epochs", 1, "--finalists", 0, "-j", 1, "-q", "-o", "run")
    assert hpsearch(*search)[0] == 0
    (tmp_path / "new.csv").write_text("size\n1\n2\n")
    small = hpsearch("predict", "run", "new.csv")
    assert small[0] == 0
    assert small[1].count("\n") == 3
    monkeypatch.setattr(reading, "LARGE_BYTES", 0)
    assert hpsearch("predict", "run", "new.csv") == small


@pytest.mark.parametrize("name", ["wine.parquet", "wine.csv", "wine"])
def test_block_after_block_is_all_at_once(hpsearch, run_folder, wine_files, monkeypatch, name):
    assert hpsearch("predict", run_folder, name, "-o", "whole.csv")[0] == 0
    monkeypatch.setattr(models, "BLOCK_ROWS", 17)
    code, _, err = hpsearch("predict", run_folder, name, "-o", "blocks.csv")
    assert code == 0
    assert "blocks.csv: 178 predictions" in err
    assert Path("blocks.csv").read_bytes() == Path("whole.csv").read_bytes()
    code, out, _ = hpsearch("predict", run_folder, name)
    assert out.encode() == Path("whole.csv").read_bytes()


def test_shares_are_written_to_the_last_digit(hpsearch, run_folder, wine_files):
    assert hpsearch("predict", run_folder, "wine", "-o", "p.csv")[0] == 0
    shares = pl.read_csv("p.csv").select("^p_.*$").to_numpy()
    assert np.array_equal(shares, shares.astype(np.float32)), "they are the engine's own numbers"


def test_a_value_that_is_refused_says_in_which_rows_it_stands(hpsearch, run_folder, wine_files, monkeypatch):
    bad = wine_files.with_columns(alcohol=wine_files["alcohol"].cast(pl.String))
    bad = bad.with_columns(alcohol=pl.when(pl.int_range(178) == 100).then(pl.lit("much")).otherwise("alcohol"))
    bad.write_parquet("bad.parquet")
    monkeypatch.setattr(models, "BLOCK_ROWS", 50)
    code, _, err = hpsearch("predict", run_folder, "bad.parquet", "-o", "p.csv")
    assert code == 2
    assert "'much' is not allowed" in err
    assert "rows counted from row " in err
    assert not [path for path in Path().iterdir() if "p.csv" in path.name], "nothing is left half written"


def test_a_large_text_file_is_predicted_block_by_block(hpsearch, run_folder, wine_files, monkeypatch):
    """Blank lines, gaps and numbers that only some blocks write with a point."""
    lines = Path("wine.csv").read_text().splitlines()
    Path("wine.csv").write_text("\n".join([*lines[:60], "", *lines[60:], "", ""]))
    assert hpsearch("predict", run_folder, "wine.csv", "-o", "whole.csv")[0] == 0
    monkeypatch.setattr(reading, "LARGE_BYTES", 1)
    monkeypatch.setattr(models, "BLOCK_ROWS", 20)
    code, _, err = hpsearch("predict", run_folder, "wine.csv", "-o", "blocks.csv")
    assert code == 0, err
    assert Path("blocks.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_a_large_churn_table_of_every_kind(hpsearch, churn_csv, monkeypatch):
    words = ("-y", "churned", "-n", 1, "--epochs", 3, "-q", "--finalists", 0, "-o", "c")
    assert hpsearch("random", churn_csv, *words)[0] == 0
    assert hpsearch("predict", "c", churn_csv, "-o", "whole.csv")[0] == 0
    monkeypatch.setattr(reading, "LARGE_BYTES", 1)
    monkeypatch.setattr(models, "BLOCK_ROWS", 33)
    code, _, err = hpsearch("predict", "c", churn_csv, "-o", "blocks.csv")
    assert code == 0, err
    assert Path("blocks.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_a_short_line_of_a_large_file_is_named(hpsearch, run_folder, wine_files, monkeypatch):
    lines = Path("wine.csv").read_text().splitlines()
    Path("wine.csv").write_text("\n".join([*lines[:90], "1,2,3", *lines[90:]]))
    monkeypatch.setattr(reading, "LARGE_BYTES", 1)
    code, _, err = hpsearch("predict", run_folder, "wine.csv", "-o", "p.csv")
    assert code == 2
    assert "wine.csv: line 91 has 3 cells, the header has 14" in err


def test_a_table_without_rows_is_refused(hpsearch, run_folder, wine_files):
    wine_files.clear().write_parquet("none.parquet")
    code, out, err = hpsearch("predict", run_folder, "none.parquet")
    assert (code, out) == (2, "")
    assert "none.parquet: there is no row of data" in err


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing of the kind")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        list(read_blocks(tmp_path / "x.parquet", 10))


def test_a_place_that_cannot_be_written_to_is_named_as_it_was_given(hpsearch, run_folder):
    code, _, err = hpsearch("predict", run_folder, "wine", "-o", "nowhere/p.csv")
    assert code == 6
    assert err.endswith(f"{Path.cwd() / 'nowhere/p.csv'}: No such file or directory\n")
