"""Results as text: the formats of -f, and tables for people."""

from __future__ import annotations

import json
import shutil
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Format(StrEnum):
    """What -f may say."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    YAML = "yaml"
    VALUE = "value"


FormatOption = Annotated[
    Format,
    typer.Option("-f", "--format", help="How the result is printed; value: the score alone.", show_default=True),
]


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: list[str], form: Format, *, value: str, table: list[str]
) -> None:
    """Print records: all columns in a data format, those of `table` for people, column `value` alone for -f value."""
    if form is Format.TABLE:
        cells = [table, *([readable(row.get(name)) for name in table] for row in rows)]
        print(table_text(cells, width=shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    elif form is Format.VALUE:
        for row in rows:
            if row.get(value) is not None:
                print(_bare(row[value]))
    elif form is Format.CSV:
        from hpsearch.run_directory.results import csv_text

        print(csv_text(columns, rows), end="")
    else:
        _print_data([{name: row.get(name) for name in columns} for row in rows], form)


def print_record(record: Mapping[str, Any], form: Format, *, value: Any, table: str) -> None:
    """Print one record: as data, as its `table` for people, or the one value alone."""
    if form is Format.TABLE:
        print(table)
    elif form is Format.VALUE:
        print(_bare(value))
    elif form is Format.CSV:
        from hpsearch.run_directory.results import csv_text

        flat = flatten(record)
        print(csv_text(list(flat), [flat]), end="")
    elif form is Format.JSONL:
        print(json.dumps(record))
    else:
        _print_data(dict(record), form)


def _print_data(data: Any, form: Format) -> None:
    if form is Format.JSON:
        print(json.dumps(data, indent=2))
    elif form is Format.JSONL:
        for row in data:
            print(json.dumps(row))
    else:
        from hpsearch.strict_yaml import dump

        print(dump(data), end="")


def flatten(tree: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """Nested dicts as one with dotted keys; lists of plain values stay, other lists become JSON."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        dotted = f"{key}.{name}" if key else str(name)
        if isinstance(value, dict):
            flat |= flatten(value, dotted)
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            flat[dotted] = json.dumps(value)
        else:
            flat[dotted] = value
    return flat


def _bare(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def readable(value: Any) -> str:
    """A value for people: four significant digits, thousands apart, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, list):
        return "[" + ", ".join(map(readable, value)) + "]"
    return "".join(c if c.isprintable() else " " for c in str(value))


def table_text(rows: Iterable[Sequence[str]], width: int | None = None) -> str:
    """Rows of texts in columns; a column of numbers is aligned to the right. Columns beyond `width` are left out."""
    rows = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    while width is not None and len(widths) > 1 and sum(widths) + 2 * (len(widths) - 1) > width:
        widths.pop()
    numeric = [all(_looks_numeric(row[i]) for row in rows[1:]) for i in range(len(rows[0]))]
    lines = [
        "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=False)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _looks_numeric(text: str) -> bool:
    return not text or text[0].isdigit() or (text[0] in "-." and text[1:2].isdigit())


def counted(number: int, thing: str, more: str = "s") -> str:
    """So many of a thing: 1 trial, 2 trials."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}{more}"
