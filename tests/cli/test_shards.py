"""A search in shards, as on several machines, and what `merge` makes of them."""

import json
from pathlib import Path

import pytest

RANDOM = ("random", "wine", "-n", 10, "--epochs", 6, "-q")
GRID = ("grid", "wine", "-p", "lr=0.001,0.01,0.1", "-p", "units=8,16", "-p", "epochs=5", "-q")
VIEWS = ("trials.csv", "curves.csv", "best.yaml")


def views(folder):
    return {name: Path(folder, name).read_bytes() for name in VIEWS}


def numbers(folder):
    return [int(line.partition(",")[0]) for line in Path(folder, "trials.csv").read_text().splitlines()[1:]]


@pytest.fixture
def shards(hpsearch):
    """Three shards of a random search, in run directories a, b and c."""
    for place, name in enumerate("abc", start=1):
        code, _, err = hpsearch(*RANDOM, "--shard", f"{place}/3", "-o", name)
        assert code == 0, err


def test_every_trial_is_in_one_shard(shards):
    assert [numbers(name) for name in "abc"] == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]


def test_shards_joined_and_finished_are_the_search_in_one(hpsearch, shards):
    code, out, err = hpsearch("merge", "c", "a", "b", "-o", "all")
    assert (code, err) == (0, "")
    assert out == "all: 10 trials of 3 runs\nnext: hpsearch random all/study.yaml -o all\n"
    assert numbers("all") == [*range(10)]
    complete = Path("all/trials.csv").read_text().count(",COMPLETE,")
    assert len(list(Path("all/weights").iterdir())) == complete
    code, _, err = hpsearch("random", "all/study.yaml", "-o", "all")
    assert code == 0
    assert "once more" not in err, "the shards' weights came along"
    assert hpsearch(*RANDOM, "--set", "strategy.densify=0", "--no-prune", "-o", "whole")[0] == 0
    assert views("all") == views("whole")
    assert Path("all/model/weights.safetensors").read_bytes() == Path("whole/model/weights.safetensors").read_bytes()


def test_a_grid_in_shards(hpsearch):
    for place in (1, 2):
        assert hpsearch(*GRID, "--shard", f"{place}/2", "-o", f"g{place}")[0] == 0
    assert hpsearch("merge", "g1", "g2", "-o", "all")[0] == 0
    assert hpsearch("grid", "all/study.yaml", "-o", "all", "-q")[0] == 0
    assert hpsearch(*GRID, "--set", "strategy.rounds=0", "--no-prune", "-o", "whole")[0] == 0
    assert views("all") == views("whole")


def test_what_is_lacking_is_run_where_the_parts_were_joined(hpsearch, shards):
    code, out, _ = hpsearch("merge", "a", "c", "-o", "all", "-f", "json")
    assert json.loads(out) == {"trials": 7, "repeated": 0}
    assert numbers("all") == [0, 2, 3, 5, 6, 8, 9]
    code, _, err = hpsearch("random", "all/study.yaml", "-o", "all", "--finalists", 0)
    assert code == 0
    assert "going on after 7 of 10 trials" in err
    assert numbers("all") == [*range(10)]
    assert hpsearch(*RANDOM, "--shard", "1/1", "-o", "whole")[0] == 0
    assert Path("all/trials.csv").read_bytes() == Path("whole/trials.csv").read_bytes()


def test_shards_that_were_extended_are_merged_to_the_longer_search(hpsearch):
    for place in (1, 2):
        assert hpsearch(*RANDOM, "--shard", f"{place}/2", "-o", f"s{place}")[0] == 0
    assert hpsearch(*RANDOM, "-n", 16, "--shard", "1/2", "-o", "s1")[0] == 0
    assert hpsearch("merge", "s1", "s2", "-o", "all")[0] == 0
    code, _, err = hpsearch("random", "all/study.yaml", "-o", "all", "--finalists", 0)
    assert code == 0
    assert "going on after 13 of 16 trials" in err
    assert numbers("all") == [*range(16)]


def test_what_stands_in_two_runs_is_taken_once(hpsearch, shards):
    assert hpsearch(*RANDOM, "--shard", "1/1", "-o", "whole")[0] == 0
    code, out, _ = hpsearch("merge", "a", "whole", "-o", "all")
    assert code == 0
    assert out.startswith("all: 10 trials of 2 runs, 4 of them in several\n")
    assert Path("all/trials.csv").read_bytes() == Path("whole/trials.csv").read_bytes()


def test_a_trial_that_came_out_otherwise_is_refused(hpsearch, shards):
    from hpsearch.run_directory.journal import encode, read

    assert hpsearch(*RANDOM, "--shard", "1/1", "-o", "whole")[0] == 0
    journal = Path("whole/journal.jsonl")
    events = [line.event() for line in read(journal)]
    for event in events:
        if event["event"] == "trial" and event["trial"] == 3:
            event["metrics"]["dev_log_loss"] *= 1 + 1e-7
    journal.write_bytes(b"".join(encode(place, event) for place, event in enumerate(events)))
    code, _, err = hpsearch("merge", "a", "whole", "-o", "all")
    assert code == 2
    assert "trial 3 came out otherwise in whole than in a" in err
    assert not Path("all").exists()


def test_runs_of_different_studies_are_refused(hpsearch, shards):
    assert hpsearch(*RANDOM, "--seed", 5, "--shard", "1/3", "-o", "other")[0] == 0
    code, _, err = hpsearch("merge", "a", "other", "-o", "all")
    assert code == 2
    assert "other: is of another study than a: seed is 0 there and 5 here" in err
    assert not Path("all").exists()


def test_a_run_is_never_merged_into(hpsearch, shards):
    before = Path("b/journal.jsonl").read_bytes()
    code, _, err = hpsearch("merge", "a", "c", "-o", "b")
    assert code == 2
    assert "b: holds a run already" in err
    assert Path("b/journal.jsonl").read_bytes() == before


def test_what_is_no_run_is_refused(hpsearch, shards):
    code, _, err = hpsearch("merge", "a", "nowhere", "-o", "all")
    assert code == 2
    assert "nowhere: not a run directory" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evolve", "wine", "--shard", "1/2"), "--shard 1/2: evolve learns from all results"),
        (("random", "wine", "--shard", "3/2"), "--shard 3/2: it must be I/N with I from 1 to N, such as 2/4"),
        (("random", "wine", "--shard", "0/2"), "--shard 0/2: it must be I/N"),
        (("random", "wine", "--shard", "half"), "--shard half: it must be I/N"),
        (("random", "wine", "--shard", "4/4", "-n", 3), "--shard 4/4: there are only 3 trials to share"),
        (("random", "wine", "--shard", "1/2", "--only", "3"), "--shard and --only"),
    ],
)
def test_shards_that_make_no_sense(hpsearch, arguments, said):
    code, out, err = hpsearch(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert not Path("runs").exists()
