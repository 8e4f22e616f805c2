"""The whole command is killed at random moments and started again: as if nothing had been."""

import math
import random
import re
import statistics
import time

import pytest
from faults.processes import STUDY, command, finish, finished_in, kill, session, start, views

from hpsearch.run_directory.record import JOURNAL

GONE_SECONDS = 2.0
SHARE_BYTES = 120_000  # of the journal, about what forty trials write


@pytest.mark.parametrize("strategy", ["grid", "random", "evolve"])
def test_a_search_that_is_killed_again_and_again(strategy, tmp_path, often, seen):
    kills = often(7, 67)
    trials = 40 * kills
    (tmp_path / "tiny.yaml").write_text(STUDY)

    def search(out):
        return command(strategy, tmp_path / "tiny.yaml", "-n", trials, "-o", tmp_path / out, "--progress", "plain")

    finish(search("whole"))
    chance = random.Random(strategy)
    journal, deaths, first_seconds = tmp_path / "killed" / JOURNAL, 0, []
    for attempt in range(kills):
        before = journal.stat().st_size if journal.exists() else 0
        began = time.monotonic()
        # Every other one dies while it starts, the rest after some of the trials that are its share.
        starting = attempt % 2
        until = began + (chance.uniform(0.05, 0.9) if starting else 60)
        more = math.inf if starting else chance.randrange(SHARE_BYTES)
        with (tmp_path / "said").open("w") as said:
            process = start(search("killed"), stderr=said)
        size = before
        while process.poll() is None and time.monotonic() < until and size <= before + more:
            time.sleep(0.001)
            grown = journal.stat().st_size if journal.exists() else 0
            if grown > size == before and before:
                first_seconds.append(time.monotonic() - began)
            size = grown
        deaths += process.poll() is None
        kill(process.pid)
        process.wait()
        ended = time.monotonic()
        while left := session(process.pid):
            assert time.monotonic() < ended + GONE_SECONDS, f"left behind: {left}"
            time.sleep(0.01)
        said = (tmp_path / "said").read_text()
        printed = [int(done) for done in re.findall(r"^(\d+) of \d+ trials", said, re.MULTILINE)]
        finished = finished_in(journal)
        assert len(finished) == len(set(finished)), "none twice"
        assert len(finished) >= max(printed, default=0), "what was said to be done is there"
    finish(search("killed"))
    assert sorted(finished_in(journal)) == [*range(trials)]
    assert views(tmp_path / "killed") == views(tmp_path / "whole")
    assert deaths >= kills // 2
    seen(
        f"{strategy}: the command SIGKILL at random moments",
        f"{deaths} deaths, {trials} trials, none lost or twice, files as undisturbed; all processes gone; "
        f"{statistics.median(first_seconds):.2f} s from start to first new line",
    )
