"""CSV and TSV text: separator, header, encoding and ragged rows; each message says which line to mend."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import re
import zlib
from typing import TYPE_CHECKING, BinaryIO, TextIO

import polars as pl

from hpsearch.data import dates
from hpsearch.data.plain import count, show, show_some
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MISSING_WORDS = ("", "NA", "N/A", "nan", "NaN", "-nan", "null", "NULL", "None", "?")
SEPARATORS = ",;\t|"
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_FIRST_ROWS = 10_000
_CHUNK = 1 << 20
_WIDE_BOMS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
_DECIMAL = re.compile(r"\s*[-+]?\d*\.\d+([eE][-+]?\d+)?\s*")
_DECIMAL_COMMA = r"^[-+]?\d+,\d+$"


def read_csv(path: Path, fewest: int = 2) -> pl.DataFrame:
    """Read a `.csv` or `.tsv` file, perhaps gzipped, into a frame of numbers, booleans, dates and text.

    Raises:
        DataError: no table with a header and at least one row and `fewest` columns can be read from it.
    """
    content = _unzipped(path) if path.suffix.lower() == ".gz" else None
    with _stream(path, content) as stream:
        _refuse_foreign_bytes(path, stream)
    with _text(path, content) as text:
        names, separator = _header(path, text, fewest)
    frame = _parse(path, content, separator)
    if frame.width != len(names):
        raise DataError(f"{path}: the header line cannot be read; is a quote in it not closed?")
    frame.columns = names
    if frame.height and frame[:, -1].null_count():
        frame = _without_blank_lines(frame, path, content, separator)
    if frame.height == 0:
        raise DataError(f"{path}: there is a header line but no row of data")
    return frame.with_columns(typed(column, separator) for column in frame.iter_columns() if column.dtype == pl.String)


def read_csv_blocks(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """Read a large plain file of one or more columns some `rows` rows at a time, with no more than that in memory.

    What a column holds is judged anew in each block, so one block may have numbers where another has text; what a model
    was trained on decides how it reads them. Raises DataError as `read_csv` does.
    """
    with _stream(path, None) as stream:
        _refuse_foreign_bytes(path, stream)
    with _text(path, None) as text:
        names, separator = _header(path, text, fewest=1)
    whole = pl.scan_csv(path, separator=separator, infer_schema=False, null_values=list(MISSING_WORDS), glob=False)
    blank, start = None, 0
    try:
        for block in whole.collect_batches(chunk_size=rows, maintain_order=True):
            if block.width != len(names):
                raise DataError(f"{path}: the header line cannot be read; is a quote in it not closed?")
            block.columns = names
            if blank is None and block[:, -1].null_count():  # perhaps a blank line, or one that is too short
                blank = _find_ragged_row(path, None, separator)
            stop = start + block.height
            kept = block if blank is None else block.filter(~pl.Series(blank[start:stop], dtype=pl.Boolean))
            start = stop
            yield kept.with_columns(typed(column, separator) for column in kept.iter_columns())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        _find_ragged_row(path, None, separator)
        raise DataError(f"{path}: cannot be read as a table: {show(str(error).partition(chr(10))[0], 120)}") from None


def read_texts(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line and the cells, as text, of each row that is not blank of a table of one or more columns.

    Raises DataError as `read_csv` does.
    """
    content = _unzipped(path) if path.suffix.lower() == ".gz" else None
    with _stream(path, content) as stream:
        _refuse_foreign_bytes(path, stream)
    with _text(path, content) as text:
        names, separator = _header(path, text, fewest=1)
    _find_ragged_row(path, content, separator)
    rows = ((line, cells) for line, cells in _records(path, content, separator) if "".join(cells).strip())
    next(rows)
    return ((line, dict(zip(names, cells, strict=True))) for line, cells in rows)


def _unzipped(path: Path) -> bytes:
    try:
        with gzip.open(path) as stream:
            return stream.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({show(str(error), 80)})") from None


def _stream(path: Path, content: bytes | None) -> BinaryIO:
    return path.open("rb") if content is None else io.BytesIO(content)


def _text(path: Path, content: bytes | None) -> TextIO:
    return io.TextIOWrapper(_stream(path, content), encoding="utf-8-sig", newline="")


def _refuse_foreign_bytes(path: Path, stream: BinaryIO) -> None:
    """One pass in chunks over the file: it must be UTF-8 without NUL bytes."""
    convert = f"convert it: iconv -f {{}} -t UTF-8 {path.name} > utf8.csv"
    decoder, line, chunk, first = codecs.getincrementaldecoder("utf-8")(), 1, b"", True
    while True:
        chunk = stream.read(_CHUNK)
        if first:
            for mark, encoding in _WIDE_BOMS.items():
                if chunk.startswith(mark):
                    raise DataError(f"{path}: the text is {encoding}, UTF-8 is needed; {convert.format(encoding)}")
            if not chunk.removeprefix(codecs.BOM_UTF8).strip():
                raise DataError(f"{path}: the file is empty")
            if b"\r" in chunk and b"\n" not in chunk:
                convert = f"tr '\\r' '\\n' < {path.name} > new.csv"
                raise DataError(f"{path}: lines end in CR alone (old Mac); convert it: {convert}")
            first = False
        nul = chunk.find(b"\0")
        if nul >= 0:
            hint = f"; is it UTF-16? {convert.format('UTF-16')}" if chunk.count(b"\0") > len(chunk) // 4 else ""
            line += chunk.count(b"\n", 0, nul)
            raise DataError(f"{path}: line {line} has a NUL byte, so it is no plain text{hint}")
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            raise DataError(
                f"{path}: line {line} is not UTF-8 (byte 0x{error.object[error.start]:02x}); "
                f"if it is Latin-1, {convert.format('LATIN1')}"
            ) from None
        if not chunk:
            return
        line += chunk.count(b"\n")


def _header(path: Path, text: TextIO, fewest: int = 2) -> tuple[list[str], str]:
    """Return the column names and the separator, which is the one that the header line holds most of."""
    lines = (line for line in text if line.strip("\r\n"))
    first = next(lines, "")
    unquoted = re.sub(r'"[^"]*("|$)', "", first)
    preferred = "\t" if ".tsv" in path.suffixes or ".TSV" in path.suffixes else ","
    separator = max(preferred + SEPARATORS, key=unquoted.count)
    if unquoted.count(separator) < fewest - 1:
        raise DataError(f"{path}: only one column found; columns are separated by comma, semicolon, tab or |")
    try:
        cells = next(csv.reader(itertools.chain([first], lines), delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{path}: the header line cannot be read ({error})") from None
    names = [cell.strip() or f"unnamed_{number}" for number, cell in enumerate(cells, start=1)]
    if 2 * sum(bool(_DECIMAL.fullmatch(cell)) for cell in cells) > len(cells):
        raise DataError(
            f"{path}: line 1 holds numbers ({show_some(cells, 3)}), not column names; put a header line first"
        )
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(
            f"{path}: column names must differ, more than one is {show_some(twice)}; is there a header line?"
        )
    return names, separator


def _parse(path: Path, content: bytes | None, separator: str) -> pl.DataFrame:
    def read(rows_to_judge: int | None) -> pl.DataFrame:
        return pl.read_csv(
            path if content is None else content,
            separator=separator,
            infer_schema_length=rows_to_judge,
            null_values=list(MISSING_WORDS),
            glob=False,
        )

    try:
        try:
            return read(_FIRST_ROWS)
        except pl.exceptions.ComputeError:
            # A later row holds another type. To judge all rows of every file would take five times as long.
            return read(None)
    except pl.exceptions.NoDataError:
        raise DataError(f"{path}: the file is empty") from None
    except pl.exceptions.PolarsError as error:
        _find_ragged_row(path, content, separator)
        reason = str(error).partition("\n")[0]
        if "malformed" in reason or '"' in reason:
            raise DataError(f'{path}: a quote (") is not closed or not doubled') from None
        raise DataError(f"{path}: cannot be read as a table: {show(reason, 120)}") from None
    except pl.exceptions.PanicException as error:
        raise DataError(f"{path}: cannot be read as a table: {show(str(error), 120)}") from None


def _records(path: Path, content: bytes | None, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells by Python's own reader, which is slow but counts lines; blank lines have no cells."""
    with _text(path, content) as text:
        lines = csv.reader(text, delimiter=separator)
        start = 1
        try:
            for cells in lines:
                yield start, cells
                start = lines.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"{path}: line {start} cannot be read: {show(str(error), 80)}; is a quote not closed?"
            ) from None


def _find_ragged_row(path: Path, content: bytes | None, separator: str) -> list[bool]:
    """Return for each row after the header whether its line is blank. Raises DataError at a ragged row."""
    width, blank = 0, []
    for line, cells in _records(path, content, separator):
        if width == 0:
            width = len(cells)
            continue
        blank.append(not "".join(cells).strip() and len(cells) < 2)
        if not blank[-1] and len(cells) != width:
            raise DataError(f"{path}: line {line} has {count(len(cells), 'cell')}, the header has {width}")
    return blank


def _without_blank_lines(frame: pl.DataFrame, path: Path, content: bytes | None, separator: str) -> pl.DataFrame:
    """Drop blank lines and refuse short rows: both end in null as polars reads them."""
    blank = _find_ragged_row(path, content, separator)
    if len(blank) != frame.height:
        raise DataError(f'{path}: a quote (") is not closed or not doubled')
    return frame.filter(~pl.Series(blank, dtype=pl.Boolean)) if any(blank) else frame


def typed(column: pl.Series, separator: str = ",") -> pl.Series:
    """Text without spaces around it, or the numbers, booleans or ISO dates that it is."""
    text = column.str.strip_chars()
    text = text.set(text.is_in(list(MISSING_WORDS)), None)
    if text.count() and text.drop_nulls().is_in(list(_BOOLEANS)).all():
        return text.replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
    number = _as_number(text, decimal_comma=separator == ";")
    if number is not None:
        return number
    date_format = dates.find_format(text, dates.ISO_FORMATS)
    return text if date_format is None else dates.parse(text, date_format)


def _as_number(text: pl.Series, *, decimal_comma: bool) -> pl.Series | None:
    if decimal_comma and text.str.contains(_DECIMAL_COMMA).any():
        if text.str.contains(_DECIMAL_COMMA).sum() + text.str.contains(r"^[-+]?\d+$").sum() < text.count():
            return None
        text = text.str.replace(",", ".", literal=True)
    if text.count() == 0:
        return None
    for dtype in (pl.Int64, pl.Float64):
        if text.drop_nulls().head(100).cast(dtype, strict=False).null_count() == 0:
            number = text.cast(dtype, strict=False)
            if number.null_count() == text.null_count():
                return number
    return None
