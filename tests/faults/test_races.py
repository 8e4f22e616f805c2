"""Several starts on one run directory."""

import time

from faults.processes import STUDY, command, finish, kill, start


def searches(tmp_path, many):
    (tmp_path / "tiny.yaml").write_text(STUDY)
    words = command("random", tmp_path / "tiny.yaml", "-n", 100_000, "-o", tmp_path / "run", "-q")
    return [start(words) for _ in range(many)]


def test_of_many_starts_one_runs_and_the_others_say_so(tmp_path, often, seen):
    many = often(4, 10)
    processes = searches(tmp_path, many)
    deadline = time.monotonic() + 60
    while sum(process.poll() is None for process in processes) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (winner,) = (process for process in processes if process.poll() is None)
    errors = [process.communicate()[1] for process in processes if process is not winner]
    assert {process.returncode for process in processes if process is not winner} == {5}
    assert all(f"in use by process {winner.pid} on " in error for error in errors)
    kill(winner.pid)
    winner.communicate()
    seconds = finish(command("random", tmp_path / "tiny.yaml", "-n", 3, "-o", tmp_path / "run", "-q"))
    seen(
        f"{many} starts at once on one run",
        f"1 runs, {many - 1} exit 5; the holder killed, the next one ran at once ({seconds:.1f} s in all)",
    )
