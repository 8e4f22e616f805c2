"""A journal that is damaged in the middle: what is whole is saved, nothing else is believed."""

import pytest

from hpsearch.errors import JournalError, LockedError, RunError
from hpsearch.run_directory.directory import open_run, reopen
from hpsearch.run_directory.journal import encode
from hpsearch.run_directory.record import JOURNAL, RunRecord
from hpsearch.run_directory.repair import repair
from hpsearch.trial import Trial

TRIALS = 5


@pytest.fixture
def folder(tmp_path, study_facts, make_result):
    with open_run(tmp_path / "run", *study_facts, {"command": "hpsearch random wine"}) as directory:
        for number in range(TRIALS):
            directory.start(Trial(number, make_result(number).config))
            directory.add(make_result(number, 0.5 - 0.05 * number))
        directory.finish("done", TRIALS)
    return tmp_path / "run"


def lines_of(folder):
    return (folder / JOURNAL).read_bytes().splitlines(keepends=True)


def write(folder, lines):
    (folder / JOURNAL).write_bytes(b"".join(lines))


def results(folder):
    return dict(RunRecord.load(folder).results)


def test_a_whole_journal_is_left_alone(folder):
    before = (folder / JOURNAL).read_bytes()
    done = repair(folder)
    assert (done.kept, done.left_out, done.copy) == (len(lines_of(folder)), [], None)
    assert (folder / JOURNAL).read_bytes() == before
    assert not list(folder.glob(f"{JOURNAL}.*"))


@pytest.mark.parametrize("how", [lambda line: line.replace(b"trial", b"trail"), lambda line: bytes(len(line)), None])
def test_any_one_damaged_line_costs_no_other(folder, how):
    whole, lines = results(folder), lines_of(folder)
    for place in range(1, len(lines) - 2):
        damaged = lines.copy()
        damaged[place] = how(damaged[place]) if how else b"torn" + damaged[place][9:]
        write(folder, damaged)
        curve = b'"event":"curve"' in lines[place]
        lost = curve or b'"event":"trial"' in lines[place]
        apart = damaged[place].endswith(b"\n")  # or the next line follows on the same one
        left_out = [place + 1, place + 2] if curve and apart else [place + 1]
        before = (folder / JOURNAL).read_bytes()
        with pytest.raises(JournalError, match=f"hpsearch repair {folder}"):
            RunRecord.load(folder)
        done = repair(folder)
        # A result without its curves is not whole, so it goes with them.
        assert (done.kept, done.left_out) == (len(lines) - (2 if curve else 1), left_out)
        assert done.copy.read_bytes() == before
        saved = results(folder)
        assert len(saved) == TRIALS - lost
        assert all(whole[number] == result for number, result in saved.items())
        with reopen(folder) as directory:
            directory.evaluated({"trial": 0})
        assert len(RunRecord.load(folder).evaluations) == 1
        done.copy.unlink()


def test_each_repair_keeps_its_own_copy(folder):
    lines = lines_of(folder)
    for count in (1, 2):
        write(folder, [*lines[:3], b"noise\n", *lines[3:]])
        assert repair(folder).copy.name == f"{JOURNAL}.damaged-{count}"


def test_of_two_journals_in_one_the_first_is_kept(folder):
    lines, whole = lines_of(folder), results(folder)
    write(folder, lines + lines)
    with pytest.raises(JournalError, match="event 0 where 17 should stand"):
        RunRecord.load(folder)
    assert repair(folder).left_out == list(range(len(lines) + 1, 2 * len(lines) + 1))
    assert results(folder) == whole


def refused(folder, error, match):
    before = (folder / JOURNAL).read_bytes()
    with pytest.raises(error, match=match):
        repair(folder)
    assert (folder / JOURNAL).read_bytes() == before
    assert [path.name for path in folder.glob(f"{JOURNAL}*")] == [JOURNAL]


def test_without_its_beginning_a_run_cannot_be_saved(folder):
    first, *lines = lines_of(folder)
    for content in ([first[1:], *lines], lines, [b"a,b\n1,2\n"], []):
        write(folder, content)
        refused(folder, JournalError, "the line with which the run began is lost")


def test_a_newer_journal_is_left_to_its_program(folder):
    write(folder, [encode(0, {"event": "study", "format": 99}), b"noise\n", *lines_of(folder)[1:]])
    refused(folder, JournalError, "format 99")


def test_a_lost_result_of_before_the_run_is_not_passed_over(tmp_path, study_facts):
    earlier = [{"event": "earlier", "run": "r", "trial": n, "config": {}, "score": 0.1 * n} for n in range(3)]
    folder = tmp_path / "run"
    open_run(folder, *study_facts, {}, earlier=earlier).close()
    lines = lines_of(folder)
    write(folder, [*lines[:2], b"noise\n", lines[3]])
    refused(folder, JournalError, "results that the run began with are lost")


def test_a_run_that_is_written_to_is_not_touched(folder):
    with reopen(folder):
        refused(folder, LockedError, "in use")


def test_a_folder_without_a_journal(tmp_path):
    with pytest.raises(RunError, match="not a run directory"):
        repair(tmp_path)
