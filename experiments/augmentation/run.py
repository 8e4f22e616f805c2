"""Runs the study with several seeds and writes the means over seeds and widths for each policy to results.md."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
SEEDS = range(5)


def trials_of(seed: int, folder: Path) -> pl.DataFrame:
    """The trials of one search; `data.split.seed` stays, so all are judged on the same dev rows."""
    command = [sys.executable, "-m", "hpsearch", "grid", str(HERE / "study.yaml"), "--seed", str(seed), "-q"]
    command += ["--no-prune", "--finalists", "0"]
    subprocess.run([*command, "-o", str(folder / str(seed))], check=True, stdout=subprocess.DEVNULL)
    return pl.read_csv(folder / str(seed) / "trials.csv").with_columns(seed=pl.lit(seed))


def main() -> None:
    """Search, average, report."""
    with tempfile.TemporaryDirectory() as folder:
        trials = pl.concat([trials_of(seed, Path(folder)) for seed in SEEDS])
    plain = trials.filter(augment="none").select("seed", "units", plain="dev_log_loss")
    means = (
        trials.join(plain, on=["seed", "units"])
        .group_by("augment")
        .agg(
            pl.col("dev_log_loss").mean().round(4),
            (1 - pl.col("dev_accuracy")).mean().mul(100).round(2).alias("dev_error_percent"),
            (pl.col("dev_log_loss") < pl.col("plain")).sum().alias("better_than_plain"),
            pl.len().alias("trials"),
            pl.col("best_epoch").mean().round(0).cast(pl.Int64),
        )
        .sort("dev_log_loss")
    )
    lines = ["| " + " | ".join(means.columns) + " |", "|" + "---|" * means.width]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in means.rows()]
    table = "\n".join(lines)
    (HERE / "results.md").write_text(f"# Augmentation of digits\n\n{table}\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
