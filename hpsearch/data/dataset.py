"""A source becomes a `Dataset`: train and dev parts ready for the engine. The test part stays in the file.

Nothing of it is kept here; `load_test_part` reads the file again and splits it the same way, on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from hpsearch.data.comparing import compare_parts
from hpsearch.data.describing import Description, describe, nearest_column, usable_rows
from hpsearch.data.images import channels, in_words, why_no_images
from hpsearch.data.normalising import NORMALIZATIONS, Normalizer
from hpsearch.data.parts import Arrays, Part, empty_labels, empty_targets
from hpsearch.data.plain import choice, count, show
from hpsearch.data.preparing import Preparation
from hpsearch.data.reading import read_images, read_table, sha256
from hpsearch.data.splitting import PARTS, deal_again, duplicates_across, split_rows
from hpsearch.data.values import as_float64, as_text
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from hpsearch.data.target import Target

SPLIT = (0.6, 0.2, 0.2)  # shares of train, dev and test
_UNEVEN = 0.05


@dataclass(frozen=True)
class Dataset:
    """Train and dev parts for each normalisation that was asked for, and how to prepare new rows.

    Attributes:
        preparation: fitted to the training rows.
        normalizers: fitted to the training rows, by kind.
        description: what the table holds.
        rows: number of train, dev and test rows.
        notes: what was inferred.
        warnings: what will hurt.
        sha256: of the file's bytes, hexadecimal.
        arrays: the parts.
        image_shape: (h, w) or (h, w, c) of a row, in C order; None: rows are no images.
    """

    preparation: Preparation
    normalizers: dict[str, Normalizer]
    description: Description
    rows: dict[str, int]
    notes: list[str]
    warnings: list[str]
    sha256: str
    arrays: Arrays
    image_shape: tuple[int, ...] | None = None

    def part(self, name: str, normalize: str) -> Part:
        """Return the `train` or `dev` part. Raises DataError when it was not prepared."""
        return self.arrays.part(name, normalize)

    @property
    def target(self) -> Target:
        """What the output means."""
        return self.preparation.target

    @property
    def task(self) -> str:
        """`classification` or `regression`."""
        return self.target.task

    @property
    def classes(self) -> list:
        """Plain values in the order of the labels; empty for regression."""
        return self.target.classes

    def facts(self) -> dict[str, Any]:
        """The keyword arguments of config.resolve that the data decide."""
        return {
            "target": self.description.target,
            "task": self.task,
            "train_rows": self.rows["train"],
            "classes": self.classes,
            "image_shape": self.image_shape,
        }

    @property
    def target_mean(self) -> float:
        """Of the training part; 0 for classification."""
        return self.target.mean

    @property
    def target_sd(self) -> float:
        """Of the training part; 1 for classification."""
        return self.target.sd

    @property
    def feature_names(self) -> list[str]:
        """One name per input."""
        return self.preparation.feature_names

    @property
    def n_inputs(self) -> int:
        """Number of features."""
        return len(self.feature_names)

    @property
    def n_outputs(self) -> int:
        """Number of classes, or 1."""
        return len(self.classes) or 1


@dataclass(frozen=True)
class _Table:
    """A file read, described and split."""

    frame: pl.DataFrame
    description: Description
    rows: dict[str, np.ndarray]
    image_shape: tuple[int, ...] | None


def load_dataset(
    source: str | Path,
    *,
    target: str | None = None,
    task: str = "auto",
    split: Sequence[float] = SPLIT,
    split_seed: int = 0,
    group: str | None = None,
    stratify_by: str | None = None,
    missing: str = "auto",
    categorical: str | Iterable[str] = "auto",
    drop: Iterable[str] = (),
    keep: Iterable[str] = (),
    image_shape: Sequence[int] | str | None = "auto",
    normalize: Sequence[str] | Callable[[int, bool], Sequence[str]] = ("robust_clip",),
    repeat: int = 0,
) -> Dataset:
    """Read, describe, split and prepare a source.

    Args:
        source: a data file or the name of a bundled data set.
        target: as in `describe`, like task, group, stratify_by, missing, categorical, drop and keep.
        task: see target.
        split: fractions of train, dev and test; test may be 0.
        split_seed: 0 or more; decides which rows go where, and nothing else.
        group: see target.
        stratify_by: see target.
        missing: see target.
        categorical: see target.
        drop: see target.
        keep: see target.
        image_shape: (h, w) or (h, w, c) where rows are images, None where not; auto: as the source says.
        normalize: which of `NORMALIZATIONS` the search may ask for, at least one; or a function that says so of the
            number of training rows, and whether rows are images.
        repeat: 0 is the split itself; from 1 on, the rows of its train and dev parts are dealt anew.

    Raises:
        DataError: everything that the user can mend, in one line.
    """
    if not callable(normalize):
        _kinds(normalize)
    digest = sha256(source)
    table = _open(
        source,
        split=split,
        split_seed=split_seed,
        target=target,
        task=task,
        group=group,
        stratify_by=stratify_by,
        missing=missing,
        categorical=categorical,
        drop=drop,
        keep=keep,
        image_shape=image_shape,
        repeat=repeat,
    )
    frame, description, rows, shape = table.frame, table.description, table.rows, table.image_shape
    kinds = _kinds(normalize(len(rows["train"]), shape is not None) if callable(normalize) else normalize)
    preparation = Preparation.fit(frame, description, rows["train"])
    warnings = [*description.warnings, *_warnings_on_split(frame, description, rows, split)]
    raw, labels, targets = {}, {}, {}
    for name in ("train", "dev"):
        raw[name] = preparation.transform(frame, rows[name])
        labels[name], targets[name] = _outputs(
            frame[description.target].gather(pl.Series(rows[name])), preparation.target
        )
    del frame, table  # the table may be larger than all arrays

    pooled = channels(shape) if shape else None
    normalizers = {kind: Normalizer.fit(kind, raw["train"], preparation.numeric_mask, pooled) for kind in kinds}
    inputs: dict[str, dict[str, np.ndarray]] = {}
    for name, features in raw.items():
        # The last one may take the place of the raw features.
        inputs[name] = {kind: normalizers[kind].transform(features) for kind in kinds[:-1]}
        inputs[name][kinds[-1]] = normalizers[kinds[-1]].transform(features, out=features)
    sizes = {name: len(rows[name]) for name in PARTS}
    notes = [*description.notes, "rows: " + ", ".join(f"{number:,} {name}" for name, number in sizes.items())]
    if shape:
        notes.insert(-1, f"each row is an image of {in_words(shape)} (data.image_shape)")
    arrays = Arrays(inputs, labels, targets)
    return Dataset(preparation, normalizers, description, sizes, notes, warnings, digest, arrays, shape)


def _kinds(normalize: Sequence[str]) -> list[str]:
    """Each kind once; DataError for none, and for one that there is not."""
    if not normalize:
        raise DataError(f"normalize: at least one is needed; allowed: {', '.join(NORMALIZATIONS)}")
    return [choice("normalize", kind, NORMALIZATIONS) for kind in dict.fromkeys(normalize)]


def load_test_part(
    source: str | Path, *, preparation: Preparation, normalizer: Normalizer | None = None, **keywords: Any
) -> Part:
    """Open the sealed test part of the source, by the same keywords as `load_dataset`. Raises DataError.

    Without a normalizer its inputs are features that are not scaled yet.
    """
    table = _open(source, **keywords)
    if not len(table.rows["test"]):
        raise DataError("there is no sealed test part (split.test is 0); name a data file to evaluate on")
    return _prepare(table.frame[table.rows["test"]], preparation, normalizer)


def load_inputs(
    source: str | Path, *, preparation: Preparation, normalizer: Normalizer, **keywords: Any
) -> dict[str, np.ndarray]:
    """The inputs (rows, features) of every part that has rows, by the same keywords as `load_dataset`; no labels."""
    table = _open(source, **keywords)
    raw = {name: preparation.transform(table.frame, rows) for name, rows in table.rows.items() if len(rows)}
    return {name: normalizer.transform(inputs, out=inputs) for name, inputs in raw.items()}


def load_new_part(
    source: str | Path,
    *,
    preparation: Preparation,
    normalizer: Normalizer | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Part:
    """Prepare all rows of another file that have a target, to evaluate a model on. Raises DataError.

    Without a normalizer its inputs are features that are not scaled yet. `note` is told of rows without a target.
    """
    frame = read_table(source)
    name = preparation.target.name
    if name not in frame.columns:
        near = nearest_column(name, frame.columns)
        raise DataError(f"{source}: the target column {show(name)} is missing; {near}")
    whole, frame = frame.height, frame.filter(frame[name].is_not_null())
    if frame.height == 0:
        raise DataError(f"{source}: no row has a value of the target {show(name)}")
    if frame.height < whole:
        note(f"{source}: {count(whole - frame.height, 'row')} without a value of the target {show(name)} left out")
    return _prepare(frame, preparation, normalizer)


def _prepare(frame: pl.DataFrame, preparation: Preparation, normalizer: Normalizer | None) -> Part:
    inputs = preparation.transform(frame)
    outputs = _outputs(frame[preparation.target.name], preparation.target)
    return Part(inputs if normalizer is None else normalizer.transform(inputs, out=inputs), *outputs)


def _outputs(values: pl.Series, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and targets, one of them empty."""
    if target.task == "classification":
        return target.labels(values), empty_targets()
    return empty_labels(), target.standardise(values)


def _open(
    source: str | Path,
    *,
    split: Sequence[float] = SPLIT,
    split_seed: int = 0,
    image_shape: Sequence[int] | str | None = "auto",
    repeat: int = 0,
    **keywords: Any,
) -> _Table:
    frame, natural = read_images(source)
    description, shape = _described(frame, natural, image_shape, keywords)
    frame = usable_rows(frame, description)
    goal = frame[description.target]
    y = _class_codes(goal) if description.task == "classification" else as_float64(goal)
    how = {
        "task": description.task,
        "fractions": split,
        "seed": split_seed,
        "groups": None if description.group is None else _group_codes(frame[description.group]),
        "stratify": None if description.stratify_by is None else _class_codes(frame[description.stratify_by]),
    }
    rows = split_rows(y, **how)
    if repeat:
        rows = deal_again(rows, y, repeat=repeat, **how)
    return _Table(frame, description, rows, shape)


def _described(
    frame: pl.DataFrame, natural: tuple[int, ...] | None, wanted: Sequence[int] | str | None, keywords: dict[str, Any]
) -> tuple[Description, tuple[int, ...] | None]:
    """Describe the table as images of the `wanted` shape; auto: of the `natural` one, or as what else it is."""
    shape = natural if wanted == "auto" else wanted
    if shape is None:
        return describe(frame, **keywords), None
    description = describe(frame, **keywords, pixels=True)
    trouble = why_no_images(frame, description, shape)
    if not trouble:
        return description, tuple(shape)
    if wanted != "auto":
        raise DataError(f"data.image_shape: {trouble}")
    return describe(frame, **keywords), None


def _class_codes(values: pl.Series) -> np.ndarray:
    """Return (rows,) int64 that number the different values from 0; missing is one of them."""
    return as_text(values).rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def _group_codes(values: pl.Series) -> np.ndarray:
    """Return (rows,) int64; a row without a group is a group of its own."""
    codes = _class_codes(values).copy()
    alone = np.flatnonzero(values.is_null().to_numpy())
    codes[alone] = -1 - alone
    return codes


def _warnings_on_split(
    frame: pl.DataFrame, description: Description, rows: dict[str, np.ndarray], split: Sequence[float]
) -> list[str]:
    names = [*(column.name for column in description.used), description.target]
    columns = frame.select(names)
    warnings = []
    for name, copies in duplicates_across(columns, rows).items():
        if copies:
            share, copied = 100 * copies / len(rows[name]), count(copies, f"{name} row")
            warnings.append(f"{copied} ({share:.3g} %) also in train: scores on {name} look too good")
    got = [len(rows[name]) / columns.height for name in PARTS]
    if max(abs(have - want) for have, want in zip(got, split, strict=True)) > _UNEVEN:
        text = "/".join(f"{100 * share:.0f}" for share in got)
        warnings.append(f"train/dev/test are {text} % of the rows: groups or classes are too uneven to split as asked")
    return warnings + compare_parts(columns, rows)
