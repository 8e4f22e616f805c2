"""A column against a dict, and what it weighs."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.run_directory.column import BITS, Column

TRIALS = st.integers(0, 5) | st.integers((1 << BITS) - 2, (1 << BITS) + 2) | st.integers(0, 10**9)
STEPS = st.lists(st.tuples(st.booleans(), TRIALS, st.floats(allow_nan=False)), max_size=30)


@given(STEPS)
def test_it_is_a_dict_in_the_order_of_trials(steps):
    column, model = Column(), {}
    for is_set, trial, value in steps:
        if is_set:
            column[trial] = model[trial] = value
        else:
            assert column.pop(trial, None) == model.pop(trial, None)
        assert (trial in column) == (trial in model)
        assert len(column) == len(model)
    assert list(column.items()) == sorted(model.items())
    column.clear()
    assert list(column) == []


def test_offsets_are_kept_to_the_byte():
    column = Column()
    for trial, offset in enumerate((0, 1, 2**40 + 1, 2**53 - 1)):
        column[trial] = offset
    assert [int(value) for value in column.values()] == [0, 1, 2**40 + 1, 2**53 - 1]


@pytest.mark.parametrize("trial", [3, 10**6, "3", None])
def test_what_is_not_there(trial):
    column = Column()
    column[4] = 1.0
    assert trial not in column
    with pytest.raises(KeyError):
        del column[trial]
    if isinstance(trial, int):
        with pytest.raises(KeyError):
            column[trial]


def test_many_trials_need_about_eight_bytes_each():
    tracemalloc.start()
    column = Column()
    for trial in range(100_000):
        column[trial] = trial
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 10 * 100_000
