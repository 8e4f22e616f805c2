"""A source (a data file or the name of a bundled data set) becomes a polars frame."""

from __future__ import annotations

import difflib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from hpsearch.data.csv_files import read_csv, read_csv_blocks
from hpsearch.data.npz_files import read_npz
from hpsearch.data.plain import show
from hpsearch.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLED = ("breast_cancer", "digits", "wine")
_IMAGES = {"digits": (8, 8)}
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".npz")
_FOLDER = Path(__file__).parent / "bundled"
_HELP = {
    ".xlsx": "save it as CSV first",
    ".xls": "save it as CSV first",
    ".ods": "save it as CSV first",
    ".pkl": "pickles are never read; save it as CSV or Parquet",
    ".pickle": "pickles are never read; save it as CSV or Parquet",
    ".npy": "save inputs and target together: np.savez('data.npz', X=X, y=y)",
}
LARGE_BYTES = 200_000_000  # a smaller text file is read as a whole, and what its columns hold judged by all rows


def bundled_path(name: str) -> Path:
    """Return the file of a bundled data set. Raises DataError when there is none of that name."""
    if name not in BUNDLED:
        raise DataError(f"{show(name)}: no such bundled data set; {did_you_mean(name, BUNDLED)}")
    return _FOLDER / f"{name}.csv.gz"


def resolve(source: str | Path) -> Path:
    """Return the file that `source` stands for; a bundled name wins over a file without an extension.

    Raises:
        DataError: there is no such file.
    """
    path = Path(source)
    if str(source) in BUNDLED:
        return bundled_path(str(source))
    if not str(source).isprintable() or not str(source):
        raise DataError(f"{show(str(source))}: not the name of a file")
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a directory; a data file is needed ({', '.join(SUFFIXES)})")
        if not path.exists():
            raise DataError(f"{path}: no such file{_nearby(path)}")
        if not path.is_file():
            raise DataError(f"{path}: not a regular file; save the data to a file first")
    except (OSError, ValueError) as error:  # a name that is too long, or with a NUL in it
        raise DataError(f"{show(str(source), 80)}: no such file ({show(str(error), 80)})") from None
    return path


def _nearby(path: Path) -> str:
    """The nearest data file of the same folder, or the bundled names for a bare name."""
    try:
        files = [entry.name for entry in os.scandir(path.parent) if entry.name.lower().endswith(SUFFIXES)]
    except OSError:
        files = []
    bare = not path.suffix and path.parent == Path()
    near = difflib.get_close_matches(path.name, files, n=1)
    if near and not (bare and difflib.get_close_matches(path.name, BUNDLED, n=1)):
        return f"; did you mean {str(path.with_name(near[0]))!r}?"
    return f", and no bundled data set; {did_you_mean(path.name, BUNDLED)}" if bare else ""


def sha256(source: str | Path) -> str:
    """Return the SHA-256 of the file's bytes, in hexadecimal. Raises DataError when it cannot be read."""
    path = resolve(source)
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def check_same_file(source: str | Path, checksum: str) -> None:
    """Raise DataError where `checksum` is not the SHA-256 of the file's bytes."""
    if sha256(source) != checksum:
        raise DataError(f"{source}: not the file that the search used; its checksum has changed")


def read_table(source: str | Path) -> pl.DataFrame:
    """Read a data file or a bundled data set.

    Args:
        source: a `.csv`, `.tsv` (each perhaps `.gz`), `.parquet` or `.npz` file, or a name of `BUNDLED`.

    Returns:
        A frame with at least one row and two columns; NaN is null in it, exotic number types are Float64.

    Raises:
        DataError: the file is missing, unreadable, or no table.
    """
    return read_images(source)[0]


def read_blocks(source: str | Path, rows: int) -> Iterator[pl.DataFrame]:
    """Read as `read_table`, some `rows` rows at a time; inputs alone, in one column or more, will do.

    Of a Parquet file and of a large plain text file (LARGE_BYTES) no more than that is held in memory.
    """
    path = resolve(source)
    if path.name.lower().endswith((".csv", ".tsv")) and path.stat().st_size >= LARGE_BYTES:
        yield from map(_plain, read_csv_blocks(path, rows))
        return
    if not path.name.lower().endswith(".parquet"):
        frame = _read(source, labelled=False)[0]
        yield from (frame[start : start + rows] for start in range(0, frame.height, rows))
        return
    found = 0
    try:
        for block in pl.scan_parquet(path, glob=False).collect_batches(chunk_size=rows, maintain_order=True):
            found += block.height
            yield _plain(block)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise DataError(f"{path}: not a readable Parquet file ({show(reason, 100)})") from None
    if not found:
        raise DataError(f"{path}: there is no row of data")


def read_images(source: str | Path) -> tuple[pl.DataFrame, tuple[int, ...] | None]:
    """Do as `read_table`, and tell the shape (h, w) or (h, w, c) of a row where the source says it; else None."""
    return _read(source, labelled=True)


def _read(source: str | Path, *, labelled: bool) -> tuple[pl.DataFrame, tuple[int, ...] | None]:
    path = resolve(source)
    name = path.name.lower()
    reader = next((read for suffix, read in _READERS.items() if name.endswith(suffix)), None)
    if reader is None:
        kind = path.suffix.lower()
        hint = _HELP.get(kind, f"allowed: {', '.join(SUFFIXES)}")
        raise DataError(f"{path}: {f'{kind} files are' if kind else 'a file without an extension is'} not read; {hint}")
    try:
        found = reader(path, labelled)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    frame, image_shape = found if isinstance(found, tuple) else (found, _IMAGES.get(str(source)))
    if frame.width < 1 + labelled:
        raise DataError(f"{path}: only {frame.width} column found; inputs and a target are needed")
    if frame.height == 0:
        raise DataError(f"{path}: there is no row of data")
    return _plain(frame), image_shape


def _read_parquet(path: Path, _labelled: bool) -> pl.DataFrame:  # noqa: FBT001 - as all of _READERS
    try:
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise DataError(f"{path}: not a readable Parquet file ({show(reason, 100)})") from None


_READERS = {
    **dict.fromkeys((".csv", ".tsv", ".csv.gz", ".tsv.gz"), lambda path, labelled: read_csv(path, 1 + labelled)),
    ".parquet": _read_parquet,
    ".npz": lambda path, labelled: read_npz(path, labelled=labelled),
}


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(_plainer(column) for column in frame.iter_columns() if _is_exotic(column))


def _is_exotic(column: pl.Series) -> bool:
    dtype = column.dtype
    if dtype.is_float():
        return bool(column.is_nan().any())
    return (
        dtype.is_decimal()
        or dtype in (pl.Int128, pl.Time, pl.Duration, pl.Categorical, pl.Enum)
        or (dtype.is_integer() and dtype not in (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32))
    )


def _plainer(column: pl.Series) -> pl.Series:
    """NaN is null, decimals and huge integers Float64, durations and times seconds, categories text."""
    dtype = column.dtype
    if dtype.is_float():
        return column.fill_nan(None)
    if dtype in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if dtype == pl.Duration:
        return column.dt.total_microseconds() / 1e6
    if dtype == pl.Time:
        return column.cast(pl.Int64) / 1e9
    return column.cast(pl.Float64)
