"""The weights of the best trainings: what is kept, and that a damaged file is no file."""

import numpy as np
import pytest

from hpsearch.run_directory.weights import KeptWeights


def vector(number, size=5):
    return np.full(size, number, np.float32)


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "weights"


@pytest.mark.parametrize("flushes", [(), (2,), (0, 1, 2, 3, 4, 5, 6)])
@pytest.mark.parametrize("order", [range(7), range(6, -1, -1), (3, 6, 0, 5, 1, 4, 2)])
def test_the_best_are_kept_in_whatever_order_they_come(folder, order, flushes):
    kept = KeptWeights(folder, most=3)
    for place, number in enumerate(order):
        kept.offer((number, 0, 0), [0.5, 0.1, 0.4, 0.1, 0.9, 0.2, 0.3][number], vector(number))
        if place in flushes:
            kept.flush()
    kept.flush()
    assert names(folder) == ["1.safetensors", "3.safetensors", "5.safetensors"]
    assert {n: kept.get((n, 0, 0)).tolist() for n in (1, 3, 5)} == {n: [n] * 5 for n in (1, 3, 5)}
    assert kept.get((0, 0, 0)) is None


def test_nothing_is_written_before_it_is_time(folder):
    kept = KeptWeights(folder, most=2)
    kept.offer((4, 0, 0), 0.5, vector(4))
    assert not folder.exists()
    assert kept.get((4, 0, 0)).tolist() == [4] * 5
    kept.flush()
    assert KeptWeights(folder).get((4, 0, 0)).tolist() == [4] * 5


def test_a_later_session_ranks_with_what_was_there(folder):
    first = KeptWeights(folder, most=2)
    for number, score in ((0, 0.1), (1, 0.2)):
        first.offer((number, 0, 0), score, vector(number))
    first.flush()
    later = KeptWeights(folder, most=2)
    for number, score in ((0, 0.1), (1, 0.2)):
        later.offer((number, 0, 0), score, None)
    later.offer((2, 0, 0), 0.15, vector(2))
    later.flush()
    assert names(folder) == ["0.safetensors", "2.safetensors"]


def test_trainings_of_one_trial_have_names_of_their_own(folder):
    kept = KeptWeights(folder, most=1)
    keys = [(7, 0, 0), (7, 2, 0), (7, 0, 30), (7, 2, 30)]
    kept.offer(keys[0], 0.1, vector(0))
    for place, key in enumerate(keys[1:], start=1):
        kept.put(key, vector(place))
    kept.flush()
    assert names(folder) == [
        "7-again2-refit30.safetensors", "7-again2.safetensors", "7-refit30.safetensors", "7.safetensors",
    ]  # fmt: skip
    assert [KeptWeights(folder).get(key)[0] for key in keys] == [0, 1, 2, 3]
    kept.discard(lambda key: key[2] > 0)
    assert names(folder) == ["7-again2.safetensors", "7.safetensors"]


def test_who_keeps_nothing_deletes_nothing(folder):
    """A reader of a run that notes something must not judge what is there."""
    kept = KeptWeights(folder, most=1)
    kept.offer((1, 0, 0), 0.1, vector(1))
    kept.flush()
    KeptWeights(folder).flush()
    assert names(folder) == ["1.safetensors"]


def test_what_is_put_stays_until_it_is_discarded(folder):
    kept = KeptWeights(folder, most=1)
    kept.put((9, 1, 0), vector(9))
    kept.put((8, 0, 0), vector(8))
    kept.offer((8, 0, 0), 0.9, None)
    kept.offer((1, 0, 0), 0.1, vector(1))
    kept.flush()
    kept.flush()
    assert names(folder) == ["1.safetensors", "8.safetensors", "9-again1.safetensors"], "a winner that is not ranked"


def test_files_of_others_are_left_alone(folder):
    folder.mkdir()
    for name in ("notes.txt", "mine.safetensors", "1-again.safetensors"):
        (folder / name).write_text("mine")
    kept = KeptWeights(folder, most=1)
    kept.flush()
    kept.discard(lambda _: True)
    assert names(folder) == ["1-again.safetensors", "mine.safetensors", "notes.txt"]


def test_every_byte_counts(folder):
    kept = KeptWeights(folder, most=1)
    kept.offer((1, 0, 0), 0.1, np.arange(20, dtype=np.float32))
    kept.flush()
    (file,) = folder.iterdir()
    content = file.read_bytes()
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(changed)
        found = KeptWeights(folder).get((1, 0, 0))
        assert found is None or found.tolist() == list(range(20)), "a byte of a name or a space may change"
    for size in (0, 7, 40, len(content) - 1):
        file.write_bytes(content[:size])
        assert KeptWeights(folder).get((1, 0, 0)) is None


def test_what_is_held_is_written_at_once_and_stays_until_it_counts(folder):
    kept = KeptWeights(folder, most=2)
    kept.offer((0, 0, 0), 0.1, vector(0))
    kept.hold((5, 0, 0), 0.9, vector(5))
    assert names(folder) == ["5.safetensors"]
    kept.offer((1, 0, 0), 0.2, vector(1))
    kept.hold((6, 0, 0), 0.3, vector(6))  # worse than two
    kept.flush()
    assert names(folder) == ["0.safetensors", "1.safetensors", "5.safetensors"]
    kept.held.discard((5, 0, 0))  # it was cut short
    kept.flush()
    assert names(folder) == ["0.safetensors", "1.safetensors"]
