"""Rows that are images: where their shape comes from, what it must fit, and what it changes."""

import json
import re

import numpy as np
import polars as pl
import pytest

from hpsearch.data.dataset import load_dataset, load_new_part, load_test_part
from hpsearch.data.normalising import IN_BINS, NORMALIZATIONS, Normalizer
from hpsearch.data.reading import read_images, read_table
from hpsearch.data.sharing import load_shared, save_shared
from hpsearch.errors import DataError

ROWS = 60


def pixels(*shape, dtype=np.uint8):
    """Images whose corner is always black, so that a table would leave it out."""
    X = np.random.default_rng(5).integers(0, 200, (ROWS, *shape)).astype(dtype)
    X[:, 0, 0] = 0
    return X


def labels():
    return np.arange(ROWS) % 2


def npz(folder, X):
    np.savez(folder / "images.npz", X=X, y=labels())
    return folder / "images.npz"


def csv(folder, **columns):
    """Images of 2 x 3 as a table."""
    flat = pixels(2, 3).reshape(ROWS, 6)
    table = pl.DataFrame({f"p{j}": flat[:, j] for j in range(6)}).with_columns(**columns)
    table.with_columns(y=pl.Series(labels())).write_csv(folder / "images.csv")
    return folder / "images.csv"


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3), (4, 1, 2)])
def test_an_array_of_images_says_its_shape(tmp_path, shape):
    X = pixels(*shape)
    frame, found = read_images(npz(tmp_path, X))
    assert found == shape
    np.testing.assert_array_equal(frame.drop("y").to_numpy(), X.reshape(ROWS, -1))
    data = load_dataset(tmp_path / "images.npz", normalize=("none",))
    assert (data.image_shape, data.n_inputs) == (shape, X[0].size)
    assert data.feature_names == [f"x{j}" for j in range(X[0].size)]


def test_black_and_white_images_are_numbers(tmp_path):
    data = load_dataset(npz(tmp_path, pixels(2, 3) > 100))
    assert data.image_shape == (2, 3)
    assert data.preparation.numeric_mask.all()


@pytest.mark.parametrize("shape", [(), (2, 2, 2, 2)])
def test_other_arrays_are_no_images(tmp_path, shape):
    np.savez(tmp_path / "x.npz", X=np.zeros((ROWS, *shape)), y=labels())
    with pytest.raises(DataError, match=r"images \(n, h, w\[, c\]\), as X"):
        read_table(tmp_path / "x.npz")


def test_the_bundled_digits_are_images():
    data = load_dataset("digits")
    assert (data.image_shape, data.n_inputs) == ((8, 8), 64)
    assert "each row is an image of 8 x 8 (data.image_shape)" in data.notes
    assert data.warnings == []


def test_null_makes_a_table_of_images():
    data = load_dataset("digits", image_shape=None)
    assert (data.image_shape, data.n_inputs) == (None, 61)
    assert not any("image" in note for note in data.notes)


@pytest.mark.parametrize("source", ["wine", "breast_cancer"])
def test_other_data_are_no_images(source):
    assert load_dataset(source).image_shape is None


def test_a_shape_that_is_said_keeps_every_pixel(tmp_path):
    file = csv(tmp_path, p1=pl.Series(range(ROWS)), p2=pl.Series(labels()))
    assert (
        load_dataset(file).n_inputs == 3
    )  # the constant, what numbers the rows and what gives the target away are out
    data = load_dataset(file, image_shape=(2, 3))
    assert (data.image_shape, data.n_inputs) == ((2, 3), 6)


@pytest.mark.parametrize(
    ("columns", "keywords", "message"),
    [
        ({}, {"image_shape": (2, 2)}, "2 x 2 are 4 pixels, the rows have 6 inputs"),
        ({}, {"image_shape": (1, 2, 4)}, "1 x 2 x 4 are 8 pixels, the rows have 6 inputs"),
        ({}, {"drop": ["p3"]}, "2 x 3 are 6 pixels, the rows have 5 inputs"),
        ({"plan": pl.Series(["a", "b", "c"] * 20)}, {}, "column 'plan' is a category, a pixel is a number; data.drop"),
        ({"p1": pl.Series([True, False, True] * 20)}, {}, "column 'p1' is a boolean, a pixel is a number"),
        ({}, {"categorical": ["p1"]}, "column 'p1' is a category, a pixel is a number"),
        (
            {"p1": pl.Series([None, 1, 2] * 20)},
            {},
            "column 'p1' has missing values; data.missing: drop leaves such rows",
        ),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(tmp_path, columns, keywords, message):
    with pytest.raises(DataError, match=f"^{re.escape(f'data.image_shape: {message}')}") as caught:
        load_dataset(csv(tmp_path, **columns), **({"image_shape": (2, 3)} | keywords))
    assert "\n" not in str(caught.value)


def test_rows_with_missing_pixels_can_be_left_out(tmp_path):
    file = csv(tmp_path, p1=pl.Series([None, 1, 2] * 20))
    data = load_dataset(file, image_shape=(2, 3), missing="drop")
    assert (data.n_inputs, sum(data.rows.values())) == (6, 40)


@pytest.mark.parametrize("keywords", [{"drop": ["x1"]}, {"categorical": ["x1"]}])
def test_images_that_are_taken_apart_are_a_table(tmp_path, keywords):
    file = npz(tmp_path, pixels(2, 3))
    data = load_dataset(file, **keywords)
    assert data.image_shape is None
    assert data.feature_names == load_dataset(file, image_shape=None, **keywords).feature_names


def test_the_group_column_is_no_pixel(tmp_path):
    file = csv(tmp_path, who=pl.Series(np.arange(ROWS) // 3))
    assert load_dataset(file, image_shape=(2, 3), group="who").n_inputs == 6


@pytest.mark.parametrize("kind", [kind for kind in NORMALIZATIONS if kind not in IN_BINS])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2)])
def test_pixels_of_one_colour_share_their_scale(tmp_path, kind, shape):
    X = pixels(*shape).astype(np.float32)
    X[..., -1] += 1000.0 * (len(shape) == 3)  # the colours differ
    data = load_dataset(npz(tmp_path, X), normalize=(kind,))
    colours = shape[2] if len(shape) == 3 else 1
    raw = load_dataset(tmp_path / "images.npz", normalize=("none",)).part("train", "none").inputs
    shift, scale = data.normalizers[kind].shift, data.normalizers[kind].scale
    for colour in range(colours):
        column = raw[:, colour::colours].reshape(-1, 1)
        alone = Normalizer.fit(kind, column, np.ones(1, bool))
        np.testing.assert_allclose(shift[colour::colours], alone.shift[0], rtol=1e-6)
        np.testing.assert_allclose(scale[colour::colours], alone.scale[0], rtol=1e-6)
    assert (
        Normalizer.from_dict(json.loads(json.dumps(data.normalizers[kind].to_dict()))).shift.tolist() == shift.tolist()
    )


@pytest.mark.parametrize("kind", ["standard", "minmax", "robust_clip"])
def test_a_moved_pixel_keeps_its_value(kind):
    data = load_dataset("digits", normalize=("none", kind))
    raw, scaled = data.part("train", "none").inputs, data.part("train", kind).inputs
    ink = {value: np.unique(scaled[raw == value]) for value in range(17)}
    assert all(len(found) == 1 for found in ink.values())
    assert len({float(found[0]) for found in ink.values()}) == 17


def test_workers_know_the_shape(tmp_path):
    for source, shape in (("digits", (8, 8)), ("wine", None)):
        save_shared(load_dataset(source), tmp_path / source)
        assert load_shared(tmp_path / source).image_shape == shape


def test_shared_data_of_before_have_no_images(tmp_path):
    save_shared(load_dataset("wine"), tmp_path)
    meta = json.loads((tmp_path / "meta.json").read_text())
    del meta["image_shape"]
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    assert load_shared(tmp_path).image_shape is None


@pytest.mark.parametrize("shape", ["auto", (8, 8), None])
def test_the_sealed_part_is_split_and_scaled_alike(shape):
    data = load_dataset("digits", image_shape=shape, normalize=("standard",))
    use = {"preparation": data.preparation, "normalizer": data.normalizers["standard"]}
    sealed = load_test_part("digits", image_shape=shape, **use)
    assert sealed.inputs.shape == (data.rows["test"], data.n_inputs)
    everything = load_new_part("digits", **use).inputs
    parts = [data.part("train", "standard").inputs, data.part("dev", "standard").inputs, sealed.inputs]
    assert sorted(everything.tolist()) == sorted(np.concatenate(parts).tolist())


def test_pixels_have_no_bins():
    with pytest.raises(DataError, match="piecewise_linear is not for images"):
        load_dataset("digits", normalize=("piecewise_linear",))
    data = load_dataset("digits", normalize=("piecewise_linear",), image_shape=None)
    assert data.part("train", "piecewise_linear").inputs.shape[1] == data.normalizers["piecewise_linear"].width
