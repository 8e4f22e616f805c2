"""From a file to arrays: whole, repeatable, sealed, and the same bits for every worker."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpsearch.data.dataset import load_dataset, load_new_part, load_test_part
from hpsearch.data.normalising import NORMALIZATIONS, Normalizer
from hpsearch.data.preparing import Preparation
from hpsearch.data.sharing import load_shared, save_shared
from hpsearch.errors import DataError, StorageError

RANDOM = np.random.default_rng(4)
ROWS = 200


def frame(task="classification"):
    """A table with everything in it."""
    number = np.random.default_rng(4)
    score = number.normal(size=ROWS)
    return pl.DataFrame({
        "id": np.arange(ROWS),
        "age": number.integers(18, 80, ROWS),
        "income": [None if value < 0.1 else value for value in number.random(ROWS)],
        "member": number.random(ROWS) < 0.4,
        "plan": number.choice(["basic", "gold", "plus"], ROWS),
        "since": [f"20{10 + i % 12}-0{1 + i % 9}-11" for i in range(ROWS)],
        "shop": number.integers(0, 25, ROWS),
        "y": np.where(score > 0.3, "yes", "no") if task == "classification" else score,
    })  # fmt: skip


@pytest.fixture(params=["classification", "regression"])
def task(request):
    return request.param


@pytest.fixture
def file(tmp_path, task):
    path = tmp_path / "people.csv"
    frame(task).write_csv(path)
    return path


def test_shapes_types_and_counts(file, task):
    dataset = load_dataset(file, normalize=NORMALIZATIONS)
    assert dataset.rows == {"train": 120, "dev": 40, "test": 40}
    assert dataset.task == task
    assert dataset.classes == (["no", "yes"] if task == "classification" else [])
    assert dataset.n_outputs == (2 if task == "classification" else 1)
    assert dataset.n_inputs == len(dataset.feature_names)
    assert dataset.feature_names == [
        *("age", "income", "income=missing", "member", "plan=basic", "plan=gold", "plan=plus"),
        *("since=days", "since=month", "since=weekday", "shop"),
    ] or set(dataset.feature_names) >= {"plan=gold", "since=days"}
    assert len(dataset.sha256) == 64
    for name, rows in (("train", 120), ("dev", 40)):
        for kind in NORMALIZATIONS:
            part = dataset.part(name, kind)
            assert (part.inputs.shape, part.inputs.dtype) == ((rows, dataset.normalizers[kind].width), np.float32)
            assert part.inputs.flags.c_contiguous
            assert part.inputs.flags.writeable
            assert np.isfinite(part.inputs).all()
            classes = task == "classification"
            assert (part.labels.shape, part.labels.dtype) == ((rows if classes else 0,), np.int32)
            assert (part.targets.shape, part.targets.dtype) == ((0 if classes else rows, 1), np.float32)
    if task == "regression":
        train = dataset.part("train", "none").targets
        assert train.mean() == pytest.approx(0, abs=1e-6)
        assert train.std() == pytest.approx(1, abs=1e-6)


def test_parts_that_were_not_prepared():
    dataset = load_dataset("wine")
    with pytest.raises(DataError, match="there is no 'test' part"):
        dataset.part("test", "robust_clip")
    with pytest.raises(DataError, match="normalize: 'standard' was not prepared"):
        dataset.part("train", "standard")
    with pytest.raises(DataError, match="at least one is needed"):
        load_dataset("wine", normalize=())
    with pytest.raises(DataError, match="'zscore' is not known"):
        load_dataset("wine", normalize=("zscore",))


def test_the_same_bits_every_time_and_other_rows_for_another_seed(file):
    first, again, other = (load_dataset(file, split_seed=seed) for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


def same(one, other, kinds=("robust_clip",)):
    parts = [(data.part(name, kind)) for data in (one, other) for name in ("train", "dev") for kind in kinds]
    bits = [(part.inputs.tobytes(), part.labels.tobytes(), part.targets.tobytes()) for part in parts]
    return bits[: len(bits) // 2] == bits[len(bits) // 2 :]


def test_one_normalisation_or_all_give_the_same_bits(file):
    every = load_dataset(file, normalize=NORMALIZATIONS)
    for kind in NORMALIZATIONS:
        assert same(every, load_dataset(file, normalize=(kind,)), (kind,))


def test_workers_see_the_same_bits(file, tmp_path):
    dataset = load_dataset(file, normalize=NORMALIZATIONS)
    save_shared(dataset, tmp_path / "new" / "shared")
    shared = load_shared(tmp_path / "new" / "shared")
    assert same(dataset, shared, NORMALIZATIONS)
    for name in ("task", "n_outputs", "target_mean", "target_sd"):
        assert getattr(shared, name) == getattr(dataset, name)
    for part in (shared.part("train", "none"), dataset.part("train", "none")):
        for array in (part.inputs, part.labels, part.targets):
            assert type(array) is np.ndarray
            assert array.flags.c_contiguous
            assert array.flags.writeable
            assert array.flags.aligned
    with pytest.raises(DataError, match="there is no 'test' part"):
        shared.part("test", "none")


def test_what_a_worker_writes_stays_with_it(tmp_path):
    save_shared(load_dataset("wine"), tmp_path)
    before = load_shared(tmp_path).part("train", "robust_clip").inputs.copy()
    load_shared(tmp_path).part("train", "robust_clip").inputs[:] = 7
    np.testing.assert_array_equal(load_shared(tmp_path).part("train", "robust_clip").inputs, before)


def test_nothing_of_the_test_part_is_shared(tmp_path):
    save_shared(load_dataset("wine"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dev-labels.npy", "dev-robust_clip.npy", "meta.json", "train-labels.npy", "train-robust_clip.npy",
    ]  # fmt: skip


def test_a_worker_needs_no_polars(tmp_path):
    save_shared(load_dataset("wine"), tmp_path)
    code = (
        "import sys; from hpsearch.data.sharing import load_shared; "
        "print(load_shared(sys.argv[1]).part('train', 'robust_clip').inputs.shape, "
        "sorted({'polars', 'scipy', 'sklearn', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["(106,", "13)", "[]"]


def test_damaged_shared_data(tmp_path):
    with pytest.raises(StorageError, match="cannot be read"):
        load_shared(tmp_path)
    save_shared(load_dataset("wine"), tmp_path)
    for name in ("dev-labels.npy", "meta.json"):
        (tmp_path / name).write_bytes(b"{}")
        with pytest.raises(StorageError, match="cannot be read") as caught:
            load_shared(tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        save_shared(load_dataset("wine"), tmp_path / "file")


def test_the_sealed_part_is_the_rest_of_the_rows(file, task):
    dataset = load_dataset(file, normalize=("none",))
    preparation = Preparation.from_dict(yaml.safe_load(yaml.safe_dump(dataset.preparation.to_dict())))
    normalizer = Normalizer.from_dict(yaml.safe_load(yaml.safe_dump(dataset.normalizers["none"].to_dict())))
    sealed = load_test_part(file, preparation=preparation, normalizer=normalizer)
    assert len(sealed.inputs) == 40
    everything = load_new_part(file, preparation=preparation, normalizer=normalizer)
    rows = [dataset.part("train", "none"), dataset.part("dev", "none"), sealed]
    assert sorted(np.concatenate([part.inputs for part in rows]).tolist()) == sorted(everything.inputs.tolist())
    outputs = "labels" if task == "classification" else "targets"
    assert sorted(np.concatenate([getattr(part, outputs) for part in rows]).tolist()) == sorted(
        getattr(everything, outputs).tolist()
    )


def test_keywords_reach_the_sealed_part(file):
    keywords = {"split": (0.5, 0.25, 0.25), "split_seed": 9, "group": "shop", "drop": ["age"], "missing": "drop"}
    dataset = load_dataset(file, normalize=("none",), **keywords)
    sealed = load_test_part(file, preparation=dataset.preparation, normalizer=dataset.normalizers["none"], **keywords)
    assert len(sealed.inputs) == dataset.rows["test"]
    assert "age" not in dataset.feature_names
    assert "shop" not in dataset.feature_names
    assert "income=missing" not in dataset.feature_names


def test_changing_the_sealed_rows_changes_nothing_else(file, task):
    dataset = load_dataset(file, normalize=NORMALIZATIONS)
    table = frame(task)
    sealed = load_test_part(file, preparation=dataset.preparation, normalizer=dataset.normalizers["none"])
    ages = set(sealed.inputs[:, dataset.feature_names.index("income")].tolist())
    kept = dataset.part("train", "none").inputs[:, dataset.feature_names.index("income")]
    income = [
        value if value is None or np.float32(value) not in ages or np.float32(value) in kept else value * 1000
        for value in table["income"]
    ]
    assert income != table["income"].to_list()
    table.with_columns(pl.Series("income", income)).write_csv(file)
    again = load_dataset(file, normalize=NORMALIZATIONS)
    assert same(dataset, again, NORMALIZATIONS)
    assert again.preparation == dataset.preparation
    assert [n.to_dict() for n in again.normalizers.values()] == [n.to_dict() for n in dataset.normalizers.values()]


def test_no_sealed_part():
    dataset = load_dataset("wine", split=(0.8, 0.2, 0))
    assert dataset.rows == {"train": 142, "dev": 36, "test": 0}
    with pytest.raises(DataError, match="no sealed test part"):
        load_test_part(
            "wine", split=(0.8, 0.2, 0), preparation=dataset.preparation, normalizer=dataset.normalizers["robust_clip"]
        )


def test_a_file_to_evaluate_on(tmp_path):
    dataset = load_dataset("wine")
    use = {"preparation": dataset.preparation, "normalizer": dataset.normalizers["robust_clip"]}
    whole = pl.read_csv(Path(__file__).parents[2] / "hpsearch" / "data" / "bundled" / "wine.csv.gz")
    new = tmp_path / "new.csv"
    whole.head(3).with_columns(cultivar=pl.Series([1, None, 2])).write_csv(new)
    part = load_new_part(new, **use)
    assert part.labels.tolist() == [1, 2]
    whole.head(3).drop("cultivar").write_csv(new)
    with pytest.raises(DataError, match="the target column 'cultivar' is missing"):
        load_new_part(new, **use)
    whole.head(3).with_columns(cultivar=None).write_csv(new)
    with pytest.raises(DataError, match="no row has a value of the target"):
        load_new_part(new, **use)
    whole.head(3).with_columns(cultivar=9).write_csv(new)
    with pytest.raises(DataError, match="9 is none of the classes"):
        load_new_part(new, **use)


def test_groups_and_gaps_in_groups(tmp_path):
    path = tmp_path / "x.csv"
    frame().with_columns(shop=pl.when(pl.col("shop") > 3).then("shop")).write_csv(path)
    dataset = load_dataset(path, group="shop", normalize=("none",))
    assert sum(dataset.rows.values()) == ROWS


def test_warnings_of_the_split(tmp_path):
    path = tmp_path / "x.csv"
    table = frame().drop("id")
    pl.concat([table] * 3).write_csv(path)
    assert any("also in train: scores on dev look too good" in warning for warning in load_dataset(path).warnings)
    uneven = frame().with_columns(
        shop=pl.when(pl.int_range(pl.len()) < 180).then(0).otherwise(pl.int_range(pl.len()) % 3 + 1)
    )
    uneven.write_csv(path)
    assert any("too uneven" in warning for warning in load_dataset(path, group="shop").warnings)


def test_stratify_by_missing_values(tmp_path):
    path = tmp_path / "x.csv"
    frame().write_csv(path)
    dataset = load_dataset(path, stratify_by="income", normalize=("none",))
    assert dataset.rows == {"train": 120, "dev": 40, "test": 40}


COLUMN = st.one_of(
    st.lists(st.one_of(st.none(), st.floats()), min_size=15, max_size=15),
    st.lists(
        st.sampled_from([None, 1, 2, "NA", "x", "1e999", "-inf", "?", "2020-01-01", "a;b"]), min_size=15, max_size=15
    ),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=15, max_size=15),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=COLUMN, b=COLUMN, y=COLUMN, missing=st.sampled_from(["auto", "drop", "error"]))
def test_any_little_table_is_a_dataset_or_a_message(tmp_path, a, b, y, missing):
    path = tmp_path / "x.csv"
    rows = zip(a, b, y, strict=True)
    path.write_text(
        "a,b,y\n" + "".join(",".join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows)
    )
    try:
        dataset = load_dataset(path, missing=missing, normalize=("standard", "robust_clip"))
    except DataError as error:
        message = str(error)
        assert "\n" not in message
        return
    for name in ("train", "dev"):
        for kind in ("standard", "robust_clip"):
            part = dataset.part(name, kind)
            assert np.isfinite(part.inputs).all()
            assert np.isfinite(part.targets).all()
            assert len(part.inputs) == len(part.labels) + len(part.targets)
