"""What each column holds, in figures that were counted by hand."""

import datetime as dt

import polars as pl

from hpsearch.data.describing import describe
from hpsearch.data.summary import summarise


def test_each_kind_says_what_it_holds():
    rows = 100
    frame = pl.DataFrame(
        {
            "amount": [None, *(i * 0.5 for i in range(1, rows))],
            "day": [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(rows)],
            "town": ["Paris", "Rome", None, "Paris"] * 25,
            "name": ["a very long name of a single thing"] * 60 + ["other"] * 40,
            "empty": [None] * rows,
            "y": ["no", "yes", "no", "no"] * 25,
        }
    )
    found = {row["column"]: row for row in summarise(frame, describe(frame, keep=["name"]))}
    assert list(found) == ["amount", "day", "town", "name", "empty", "y"]
    assert (found["amount"]["missing"], found["amount"]["values"], found["amount"]["holds"]) == (
        0.01,
        99,
        "0.5 to 49.5",
    )
    assert found["day"]["holds"] == "2024-01-01 to 2024-04-09"
    assert (found["town"]["missing"], found["town"]["values"], found["town"]["holds"]) == (0.25, 2, "'Paris' 67 %")
    assert found["name"]["holds"] == "'a very long name of ... 60 %"
    assert (found["empty"]["missing"], found["empty"]["kind"], found["empty"]["holds"]) == (1.0, "dropped", "")
    assert (found["y"]["kind"], found["y"]["why"], found["y"]["holds"]) == ("target", "classification", "'no' 75 %")
