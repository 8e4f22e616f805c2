"""A run directory: the same study goes on, another one is refused, and nobody else's file is touched."""

import copy
import math
import time
from dataclasses import replace

import numpy as np
import pytest

from hpsearch import strict_yaml
from hpsearch.errors import JournalError, LockedError, RunError
from hpsearch.run_directory.directory import begun_run, open_run, reopen
from hpsearch.run_directory.journal import read
from hpsearch.run_directory.record import JOURNAL, RunRecord
from hpsearch.trial import Trial

RUN = {"command": "hpsearch random wine", "versions": {"hpsearch": "0.1.0"}}
VIEWS = ("trials.csv", "curves.csv", "timings.csv", "best.yaml")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "wine-random"


@pytest.fixture
def open_(folder, study_facts):
    """A function that opens the run directory of the sample study, changed by dotted keys."""

    def call(changes=None, *, overwrite=False):
        study, data = copy.deepcopy(study_facts)
        for dotted, value in (changes or {}).items():
            *path, last = dotted.split(".")
            tree = {"study": study, "data": data}
            for key in path:
                tree = tree[key]
            tree[last] = value
        return open_run(folder, study, data, RUN, overwrite=overwrite)

    return call


@pytest.fixture
def finished(open_, folder, make_result):
    """The folder of a run of three trials that has ended."""
    with open_() as directory:
        for number, score in enumerate([0.5, None, 0.25]):
            directory.start(Trial(number, make_result(number).config))
            directory.add(make_result(number, score))
        directory.finish("done", 3)
    return folder


def snapshot(folder):
    """Every file but the lock, which notes who looked last: its bytes and when it was changed."""
    files = [path for path in folder.rglob("*") if path.name != ".lock"]
    return {path: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns) for path in files}


def events_in(folder):
    return [line.kind for line in read(folder / JOURNAL)]


# --- The same study ---


def test_curves_of_any_length_are_read_again(open_, folder, make_result):
    with open_() as directory:
        for number in range(3):
            result = make_result(number)
            result.curves = {name: [0.1 * number] * (10_000 * number + 1) for name in result.curves}
            directory.add(result)
            assert directory.record.curves[number] == result.curves
    assert len(RunRecord.load(folder).curves[2]["dev_loss"]) == 20_001


def test_a_new_run_is_made_with_its_study(open_, folder, study_facts):
    with open_() as directory:
        assert directory.record.results == {}
    study = strict_yaml.parse_plain((folder / "study.yaml").read_bytes(), "")
    assert study.pop("run") == RUN
    assert study == study_facts[0]
    assert {path.name for path in folder.iterdir()} == {"study.yaml", JOURNAL, ".lock"}


def test_the_same_study_goes_on_with_all_that_was_found(open_, finished, make_result):
    with open_() as directory:
        record = directory.record
        assert list(record.results) == [0, 1, 2]
        for number, score in enumerate([0.5, None, 0.25]):
            wanted = make_result(number, score)
            assert record.curves[number] == wanted.curves
            wanted.curves = {}
            assert record.results[number] == wanted
        assert record.running == {}
        directory.add(make_result(3, 0.125))
        assert record.end is None
        assert record.best().number == 3
        directory.finish("done", 4)
    assert RunRecord.load(finished).end["counted"] == 4
    assert events_in(finished).count("study") == 1


def test_views_are_the_same_however_often_the_run_was_opened(open_, finished, tmp_path, study_facts, make_result):
    before = {name: (finished / name).read_bytes() for name in VIEWS}
    with open_() as directory:
        directory.finish("done", 3)
    assert {name: (finished / name).read_bytes() for name in VIEWS} == before

    with open_run(tmp_path / "other", *study_facts, RUN) as directory:
        directory.add(make_result(2, 0.25))
    with open_run(tmp_path / "other", *study_facts, RUN) as directory:
        directory.add(make_result(0, 0.5))
        directory.write_views()
        directory.add(make_result(1, None))
        directory.finish("done", 3)
    assert {name: (tmp_path / "other" / name).read_bytes() for name in VIEWS} == before


def test_what_writing_the_views_will_take_grows_with_the_results(open_, make_result, monkeypatch):
    with open_() as directory:
        assert directory.views_seconds() == 0
        for number in range(4):
            directory.add(make_result(number, 0.5))
        monkeypatch.setattr("hpsearch.run_directory.directory.write_views", lambda *_: time.sleep(0.05))
        directory.write_views()
        took = directory.views_seconds()
        assert took >= 0.05
        for number in range(4, 10):
            directory.add(make_result(number, 0.5))
        assert directory.views_seconds() == pytest.approx(took * 10 / 4)


def test_an_end_is_noted_once(open_, finished):
    with open_() as directory:
        directory.finish("done", 3)
        directory.finish("done", 3)
    assert events_in(finished).count("end") == 1
    with open_() as directory:
        directory.finish("timeout", 2)
    assert events_in(finished).count("end") == 2


def test_what_lies_behind_a_gap_counts_once_the_gap_is_filled(open_, folder, make_result):
    def trials():
        return [line.split(",")[0] for line in (folder / "trials.csv").read_text().splitlines()[1:]]

    with open_() as directory:
        directory.add(make_result(2, 0.25))
        directory.add(make_result(0, 0.5))
        directory.write_views()
        assert trials() == ["0", "2"], "while the run goes on everything counts"
        directory.finish("interrupted", 1)
        assert directory.record.best().number == 0
    assert trials() == ["0"]
    with open_() as directory:
        assert list(directory.record.counted()) == [0]
        directory.add(make_result(1, 0.75))
        directory.finish("done", 3)
    assert trials() == ["0", "1", "2"]
    assert RunRecord.load(folder).best().number == 2


def test_trials_that_have_begun_are_running_until_their_run_ends(open_, folder):
    with open_() as directory:
        directory.start(Trial(0, {"learning_rate": 0.5}))
        directory.start(Trial(1, {}))
        assert RunRecord.load(folder).running == {0: {"learning_rate": 0.5}, 1: {}}
        directory.finish("interrupted", 0)
    assert RunRecord.load(folder).running == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"study.budget.trials": 400},
        {"study.budget.timeout": 60.0},
        {"study.goal": 0.25},
        {"study.max_failures": 0.5},
        {"study.data.source": "elsewhere/wine.csv"},
    ],
)
def test_how_much_and_where_from_may_differ(open_, finished, changes):
    with open_(changes) as directory:
        assert len(directory.record.results) == 3


def test_the_arrays_for_workers_are_gone_when_the_run_is_closed(open_, folder):
    with open_() as directory:
        directory.shared_data.mkdir()
        (directory.shared_data / "train-labels.npy").write_bytes(b"0")
    assert not directory.shared_data.exists()
    assert folder.is_dir()


def test_evaluations_are_counted_without_touching_the_end(finished):
    for times in (1, 2):
        with reopen(finished) as directory:
            directory.evaluated({"trial": 2, "scores": {"log_loss": 0.5}})
            assert len(directory.record.evaluations) == times
    assert RunRecord.load(finished).end["counted"] == 3


# --- Results that a run begins with ---


EARLIER = [
    {
        "event": "earlier",
        "run": "other",
        "trial": i,
        "config": {"learning_rate": 0.001 * i},
        "score": [0.5, None][i % 2],
    }
    for i in range(4)
]


def test_a_run_begins_with_earlier_results_once(folder, study_facts):
    assert begun_run(folder) is None
    for earlier in (EARLIER, EARLIER[:1]):
        with open_run(folder, *study_facts, RUN, earlier=earlier) as directory:
            assert directory.record.earlier == EARLIER
        assert begun_run(folder).earlier == RunRecord.load(folder).earlier == EARLIER
        assert begun_run(folder).study == study_facts[0]
    assert events_in(folder) == ["study", *["earlier"] * 4]


def test_a_beginning_that_a_crash_cut_short_is_none(open_, folder, study_facts, make_result):
    with open_run(folder, *study_facts, RUN, earlier=EARLIER) as directory:
        directory.add(make_result(0))
    content = (folder / JOURNAL).read_bytes()
    whole = len(content.partition(b'{"seq":5,')[0])
    for size in (*range(whole - 900, whole - 1, 37), whole - 1):
        (folder / JOURNAL).write_bytes(content[:size])
        assert begun_run(folder) is None
        with pytest.raises(RunError, match="its run had no time to begin"):
            RunRecord.load(folder)
        with open_({"study.seed": 5}) as directory:  # so another study may begin there
            assert directory.record.earlier == []
        assert events_in(folder) == ["study"]
    (folder / JOURNAL).write_bytes(content[:whole])
    assert begun_run(folder).earlier == EARLIER
    with pytest.raises(RunError, match="seed is 0 there and 5 here"):
        open_({"study.seed": 5})


# --- Another study, or none of ours ---


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"study.seed": 1}, "seed is 0 there and 1 here"),
        ({"study.metric": "accuracy"}, "metric is log_loss there and accuracy here"),
        ({"study.budget.epochs": 9}, "budget.epochs is 3 there and 9 here"),
        ({"study.strategy.name": "grid"}, "strategy.name is random there and grid here"),
        ({"study.space.learning_rate": 0.5}, "space.learning_rate is {low: 0.0001, high: 0.01, log: true} there"),
        ({"study.space.learning_rate.high": 0.5}, "space.learning_rate.high is 0.01 there and 0.5 here"),
        ({"study.space.l2": [0, 1]}, "space.l2 is None there and [0, 1] here"),
        ({"study.data.split.seed": 3}, "data.split.seed is 0 there and 3 here"),
        ({"study.data.target": "alcohol"}, "data.target is cultivar there and alcohol here"),
        ({"study.from": "/runs/a"}, "from is None there and /runs/a here"),
        ({"data.sha256": "1" * 64}, "the data file has changed"),
    ],
)  # fmt: skip
def test_another_study_is_refused_with_the_difference_and_nothing_is_touched(open_, finished, changes, difference):
    before = snapshot(finished)
    with pytest.raises(RunError) as caught:
        open_(changes)
    message = str(caught.value)
    assert message.startswith(f"{finished}: holds another study: ")
    assert difference in message
    assert "\n" not in message
    assert snapshot(finished) == before
    with open_():  # the lock was given back
        pass


def test_many_differences_are_told_in_part(open_, finished):
    with pytest.raises(RunError, match="; and 3 more "):
        open_({f"study.space.x{i}": i for i in range(8)})


def test_a_folder_with_other_files_is_refused(open_, folder):
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("mine")
    before = snapshot(folder)
    for overwrite in (False, True):
        with pytest.raises(RunError, match=r"thesis\.txt.* is not a run directory"):
            open_(overwrite=overwrite)
    assert snapshot(folder) == before
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(open_, folder):
    folder.parent.mkdir()
    folder.write_text("mine")
    with pytest.raises(RunError, match="is a file"):
        open_()
    assert folder.read_text() == "mine"


def test_an_empty_folder_will_do(open_, folder):
    folder.mkdir(parents=True)
    with open_():
        pass
    assert (folder / JOURNAL).is_file()


def test_a_damaged_journal_is_refused_and_stays(open_, finished):
    (finished / JOURNAL).write_bytes(b"not a journal\n")
    before = snapshot(finished)
    with pytest.raises(JournalError):
        open_()
    with pytest.raises(JournalError):
        reopen(finished)
    with pytest.raises(JournalError):
        RunRecord.load(finished)
    assert snapshot(finished) == before
    with open_(overwrite=True) as directory:  # and the lock was given back each time
        assert directory.record.results == {}


def test_a_run_in_use_is_refused_and_goes_on(open_, finished, make_result):
    with open_() as directory:
        before = snapshot(finished)
        for overwrite in (False, True):
            with pytest.raises(LockedError):
                open_(overwrite=overwrite)
        with pytest.raises(LockedError):
            reopen(finished)
        assert snapshot(finished) == before
        directory.add(make_result(3))
        assert list(RunRecord.load(finished).results) == [0, 1, 2, 3]


@pytest.mark.parametrize("how", [RunRecord.load, reopen])
def test_a_folder_without_a_journal_is_no_run(tmp_path, how):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunError, match="not a run directory"):
            how(folder)
    assert list(tmp_path.iterdir()) == []


# --- Anew ---


def test_overwrite_begins_anew_and_leaves_other_files(open_, finished, tmp_path):
    mine = [finished / "notes.txt", finished / "plots" / "a.png", finished / "study.yaml.orig"]
    (finished / "plots").mkdir()
    for path in mine:
        path.write_text("mine")
    (finished / "model").mkdir()
    (finished / "model" / "weights.safetensors").write_bytes(b"old")
    (finished / "report.html").write_text("old")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.npy").write_text("mine")
    (finished / ".shared-data").symlink_to(elsewhere)

    with open_({"study.seed": 5}, overwrite=True) as directory:
        assert directory.record.results == {}
        assert directory.record.study["seed"] == 5
        ours = {path.name for path in finished.iterdir()} - {"notes.txt", "plots", "study.yaml.orig"}
        assert ours == {"study.yaml", JOURNAL, ".lock"}
    assert [path.read_text() for path in mine] == ["mine"] * 3
    assert (elsewhere / "kept.npy").read_text() == "mine"


def test_overwrite_of_nothing_is_a_new_run(open_, folder):
    with open_(overwrite=True):
        pass
    assert events_in(folder) == ["study"]


# --- A crash ---


def test_a_run_whose_journal_lost_its_tail_goes_on(open_, finished, make_result):
    content = (finished / JOURNAL).read_bytes()
    lines = content.splitlines(keepends=True)
    for cut in range(len(lines[0]), len(content), 97):
        (finished / JOURNAL).write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")
        wanted = sum(b'"event":"trial"' in line for line in lines[:whole])
        with open_() as directory:
            assert list(directory.record.results) == list(range(wanted))
            for number in range(wanted):
                assert directory.record.curves[number] == make_result(number).curves


def test_a_run_that_died_before_its_first_line_begins(open_, folder):
    folder.mkdir(parents=True)
    (folder / JOURNAL).touch()
    (folder / ".lock").touch()
    with open_() as directory:
        assert directory.record.study["seed"] == 0
    assert events_in(folder) == ["study"]


def test_a_result_that_waits_is_there_in_the_next_session_with_its_weights(folder, study_facts, make_result):
    """As it came: with what is needed to cut it short, which a result that counts has no more."""
    results = [
        make_result(n, score, weights=np.full(4, n, np.float32), survived=3, epoch_updates=7, epoch_flop=2.5e6)
        for n, score in ((3, 0.5), (4, 0.4), (5, 0.9))
    ]
    results[0].curves["dev_loss"][1] = math.nan
    results[0].health = {"epochs": [1, 3], "grad_norm": [[0.5], [0.25]]}
    with open_run(folder, *study_facts, RUN, keep=2) as directory:
        directory.add(make_result(0, 0.6, weights=np.zeros(4, np.float32)))
        directory.add(make_result(1, 0.7, weights=np.zeros(4, np.float32)))
        directory.hold(results)
    assert not set(RunRecord.load(folder).results) & {3, 4, 5}
    with open_run(folder, *study_facts, RUN, keep=2) as directory:
        directory.write_views()
        found = {result.number: result for result in directory.held(range(5))}
        assert sorted(found) == [3, 4]
        assert found[3].weights.tolist() == [3.0] * 4
        assert math.isnan(found[3].curves["dev_loss"][1])
        found[3].curves["dev_loss"][1] = results[0].curves["dev_loss"][1] = 0.0
        for result in results[:2]:
            assert replace(found[result.number], weights=None) == replace(result, weights=None)
        (other,) = directory.held([5])
        assert other.weights is None, "two are better"
        for result in found.values():
            directory.add(result)
        directory.write_views()
        assert not directory.held(range(5))
        assert directory.weights.get((4, 0, 0)).tolist() == [4.0] * 4
        assert directory.weights.get((1, 0, 0)) is None
