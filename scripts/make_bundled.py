"""Makes hpsearch/data/bundled/*.csv.gz from scikit-learn's copies; the bytes are the same on every run."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

from sklearn.datasets import load_breast_cancer, load_digits, load_wine

FOLDER = Path(__file__).parents[1] / "hpsearch" / "data" / "bundled"
SETS = {
    "digits": (load_digits, "digit"),
    "wine": (load_wine, "cultivar"),
    "breast_cancer": (load_breast_cancer, "diagnosis"),
}


def _cell(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def make(name: str) -> bytes:
    """Return one data set as gzipped CSV, the target last."""
    loader, target = SETS[name]
    data = loader()
    columns = [str(column).replace(" ", "_").replace("/", "_") for column in data.feature_names]
    labels = [str(label).removeprefix("class_") for label in data.target_names]
    text = io.StringIO(newline="")
    text.write(",".join([*columns, target]) + "\n")
    for row, label in zip(data.data, data.target, strict=True):
        text.write(",".join([*map(_cell, row), labels[label]]) + "\n")
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as stream:
        stream.write(text.getvalue().encode())
    return packed.getvalue()


if __name__ == "__main__":
    for name in SETS:
        (FOLDER / f"{name}.csv.gz").write_bytes(make(name))
