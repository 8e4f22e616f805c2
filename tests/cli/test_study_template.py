"""What `hpsearch init` prints: it loads, whole and with each of its commented lines put in force."""

import re

import pytest

from hpsearch.config import load_study, resolve
from hpsearch.data.dataset import load_dataset
from hpsearch.engine.hyperparameters import HYPERPARAMETERS

IDLE = re.compile(r"^  # (?=[a-z0-9_.]+: )", re.MULTILINE)


@pytest.fixture(params=["digits", "wine", "line"])
def made(request, hpsearch, line_file):
    source = line_file if request.param == "line" else request.param
    return source, hpsearch("init", source)[1]


def load(text, path):
    path.write_text(text, encoding="utf-8")
    study = load_study(path, {})
    data = load_dataset(**study.data.loading())
    found = {"target": data.description.target, "task": data.task, "train_rows": data.rows["train"]}
    study = resolve(study, **found, classes=data.classes, image_shape=data.image_shape)
    return study, study.search_space()


def test_it_is_the_default_study(made, tmp_path):
    source, text = made
    study, space = load(text, tmp_path / "study.yaml")
    data = load_dataset(source)
    found = {"target": data.description.target, "task": data.task, "train_rows": data.rows["train"]}
    default = resolve(load_study(None, {"data.source": str(source), "budget.trials": 50}), **found,
                      classes=data.classes, image_shape=data.image_shape)  # fmt: skip
    assert study.to_dict() | {"space": None} == default.to_dict() | {"space": None}
    assert space == default.search_space()


def test_every_line_in_force_at_once_is_a_study_too(made, tmp_path):
    _, text = made
    idle = dict(re.findall(IDLE.pattern + r"(\S+): (\S+)", text, re.MULTILINE))
    _, before = load(text, tmp_path / "study.yaml")
    _, space = load(IDLE.sub("  ", text), tmp_path / "study.yaml")
    added = {name: space.constants[name] for name in space.constants if name not in before.constants}
    assert added.keys() == idle.keys()
    for name, value in added.items():
        default = HYPERPARAMETERS[name].default
        assert value == (default if default is not None else float(idle[name]))


def test_all_that_can_be_said_is_there(made):
    source, text = made
    names = {"hidden"} if source == "digits" else {"hidden", *(f"augment.{name}" for name in (
        "shift", "rotate", "scale", "cutout", "flip_h", "flip_v", "invert", "brightness"))}  # fmt: skip
    assert {name for name in HYPERPARAMETERS if not re.search(rf"^  (# )?{name}: ", text, re.MULTILINE)} == names | {
        "epochs"
    }
    assert "None" not in text
    assert "# batch_norm: false " in text


def test_only_words_of_the_task_are_offered(hpsearch, line_file):
    assert "(auto, squared, huber)" in hpsearch("init", line_file)[1]
    assert "(auto, cross_entropy, binary_cross_entropy)" in hpsearch("init", "wine")[1]
