"""Fresh train and dev parts for the finals, while the test part stays sealed."""

import numpy as np
import pytest

from hpsearch.data.dataset import load_dataset, load_test_part
from hpsearch.data.splitting import deal_again, split_rows


def deal(y, repeat, *, task="classification", fractions=(0.6, 0.2, 0.2), seed=3, **how):
    how = {"task": task, "fractions": fractions, "seed": seed, **how}
    rows = split_rows(y, **how)
    return rows, deal_again(rows, y, repeat=repeat, **how)


@pytest.mark.parametrize("repeat", [1, 2, 7])
def test_test_stays_and_the_others_share_their_rows_anew(repeat):
    y = np.arange(200) % 3
    rows, again = deal(y, repeat)
    np.testing.assert_array_equal(again["test"], rows["test"])
    assert sorted([*again["train"], *again["dev"]]) == sorted([*rows["train"], *rows["dev"]])
    assert [len(again[part]) for part in ("train", "dev")] == [len(rows[part]) for part in ("train", "dev")]
    assert set(again["dev"]) != set(rows["dev"])
    counts = np.bincount(y[again["dev"]])
    assert counts.max() - counts.min() <= 1, "stratified as the first time"


def test_each_repeat_is_another_deal_and_always_the_same():
    y = np.arange(200) % 3
    found = [tuple(deal(y, repeat)[1]["dev"]) for repeat in (1, 2, 3, 1)]
    assert len(set(found)) == 3
    assert found[0] == found[3]
    assert found[0] != tuple(deal(y, 1, seed=4)[1]["dev"])


def test_groups_stay_together_and_regressions_are_dealt_too():
    groups = np.arange(120) // 4
    _, again = deal(np.arange(120) % 2, 1, groups=groups)
    assert not set(groups[again["train"]]) & set(groups[again["dev"]])
    rows, again = deal(np.linspace(0, 1, 90) ** 3, 1, task="regression", fractions=(0.75, 0.25, 0.0))
    assert len(rows["test"]) == len(again["test"]) == 0
    assert len(again["dev"]) == len(rows["dev"])


def test_a_data_set_of_a_repeat_has_the_same_test_part():
    first, again = load_dataset("wine"), load_dataset("wine", repeat=2)
    assert again.rows == first.rows
    assert not np.array_equal(again.part("dev", "robust_clip").inputs, first.part("dev", "robust_clip").inputs)
    parts = [
        load_test_part("wine", preparation=d.preparation, normalizer=d.normalizers["robust_clip"])
        for d in (first, again)
    ]
    np.testing.assert_array_equal(parts[0].labels, parts[1].labels)
