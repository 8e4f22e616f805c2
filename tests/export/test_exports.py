"""What is exported predicts what the model predicts: in a bare process, in ONNX's own runtime, and out of one file."""

import csv
import io
import runpy
import subprocess
import sys

import numpy as np
import onnxruntime
import polars as pl
import pytest
import safetensors

from hpsearch.data.dataset import load_dataset
from hpsearch.data.encoders import Category, Date
from hpsearch.engine.hyperparameters import ACTIVATION_NAMES, normalization
from hpsearch.engine.network import Network
from hpsearch.errors import ConfigError
from hpsearch.export.files import exported
from hpsearch.model import Member, Model

CLOSE = 1e-5
ROWS = 240


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Numbers, gaps, booleans, categories with rare and missing levels, ISO and local dates; two targets.

    `v1` and `c0` are what values inside an ONNX graph are called; `v1` loses all in single precision.
    """
    chance = np.random.default_rng(0)
    towns = np.array(["Paris", "Rome", "São Paulo", 'a "quoted", one', "7"])
    days = np.datetime64("2020-01-01") + chance.integers(0, 900, ROWS)
    frame = pl.DataFrame(
        {
            "size": np.exp(chance.normal(size=ROWS)),
            "age": [None if i % 9 == 0 else int(v) for i, v in enumerate(chance.integers(18, 90, ROWS))],
            "member": chance.random(ROWS) < 0.4,
            "town": [None if i % 11 == 0 else str(t) for i, t in enumerate(chance.choice(towns, ROWS))],
            "code": [f"{v:03d}" if v else "x" for v in chance.integers(0, 4, ROWS)],
            "seen": [None if i % 13 == 0 else str(d) for i, d in enumerate(days)],
            "when": [
                f"{d.astype(object):%d.%m.%Y %H:%M}"
                for d in days.astype("datetime64[m]") + chance.integers(0, 1440, ROWS)
            ],
            "kind": chance.choice(["no", "yes", "perhaps"], ROWS),
            "price": 500 + 40 * chance.normal(size=ROWS),
            "v1": [None if i % 17 == 0 else 1.6e9 + v for i, v in enumerate(chance.normal(size=ROWS))],
            "c0": [f" {v} " for v in chance.choice(["red", "green"], ROWS)],
        }
    )
    file = tmp_path_factory.mktemp("table") / "table.csv"
    frame.write_csv(file)
    return file


@pytest.fixture(scope="module")
def make_model(table):
    """A function: a model with random weights for the table's target, and the frame as hpsearch reads it."""

    def make(target, normalize="robust_clip", **hyperparameters):
        data = table_of(target, normalize)
        return Model.of(0, [member(data, 1, normalize=normalize, **hyperparameters)], data, metric_of(data))

    def vote(target, *networks):
        """A model of several networks with 1, 2, ... votes."""
        data = table_of(target, *(one["normalize"] for one in networks))
        members = [member(data, n, **one) for n, one in enumerate(networks, start=1)]
        return Model.of(0, members, data, metric_of(data))

    def table_of(target, *normalize):
        other = "price" if target == "kind" else "kind"
        return load_dataset(table, target=target, drop=[other], normalize=normalize)

    def metric_of(data):
        return "log_loss" if data.classes else "rmse"

    def member(data, votes, **hyperparameters):
        config = {"layers": 2, "units": 8} | hyperparameters
        network = Network(
            config,
            n_inputs=data.normalizers[normalization(config)].width,
            n_outputs=data.n_outputs,
            task=data.task,
            metric=metric_of(data),
        )
        chance = np.random.default_rng(votes)
        weights = chance.normal(size=network.vector_size).astype(np.float32)
        for layer in network.layers:
            if layer["variance"] >= 0:
                place = slice(int(layer["variance"]), int(layer["variance"]) + int(layer["n_out"]))
                weights[place] = np.abs(weights[place]) + 0.1
        return Member(0, 0, network, weights, votes)

    make.vote = vote
    return make


def wanted(model, table):
    from hpsearch.data.reading import read_table
    from hpsearch.engine.network import start_engine

    start_engine()
    return model.predict(read_table(table))[0]


VARIANTS = [{"activation": name} for name in ACTIVATION_NAMES] + [
    {"batch_norm": True},
    {"layers": 0},
    {"output": "logistic"},
    {"normalize": "none"},
    {"normalize": "standard"},
    {"normalize": "piecewise_linear"},
    {"normalize": "piecewise_and_linear"},
]


def run_numpy_file(model, table, folder):
    file = folder / "model.py"
    file.write_bytes(exported(model, ".py"))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BARE, str(file), str(table)], capture_output=True, text=True, check=True
    )
    return list(csv.DictReader(io.StringIO(done.stdout)))


# Without site-packages but for NumPy itself, so that nothing else can be imported.
BARE = f"""
import importlib.util, runpy, sys
sys.path.append({str(next(p for p in sys.path if p.endswith("site-packages")))!r})
import numpy
sys.path.pop()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not any(name.split(".")[0] in ("hpsearch", "numba", "polars") for name in sys.modules)
"""


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_numpy_file_predicts_the_same_classes(make_model, table, tmp_path, variant):
    model, file = make_model("kind", **variant), tmp_path / "model.py"
    file.write_bytes(exported(model, ".py"))
    module = runpy.run_path(str(file))
    chosen, found = module["predict"](module["read"](table))
    shares = wanted(model, table)
    np.testing.assert_allclose(found, shares, atol=CLOSE)
    assert module["classes"]() == model.classes
    sure = np.diff(np.sort(shares, axis=1)[:, -2:], axis=1)[:, 0] > 1e-4
    assert [name for name, ok in zip(chosen, sure, strict=True) if ok] == [
        model.classes[k] for k, ok in zip(shares.argmax(1), sure, strict=True) if ok
    ]


def test_the_numpy_file_writes_what_it_predicts_and_needs_nothing_else(make_model, table, tmp_path):
    model = make_model("kind")
    rows, shares = run_numpy_file(model, table, tmp_path), wanted(model, table)
    found = np.array([[float(row[f"p_{name}"]) for name in model.classes] for row in rows])
    np.testing.assert_allclose(found, shares, atol=CLOSE)
    assert {row["prediction"] for row in rows} <= set(model.classes)


def test_the_numpy_file_predicts_the_same_values(make_model, table, tmp_path):
    model = make_model("price")
    found = [float(row["prediction"]) for row in run_numpy_file(model, table, tmp_path)]
    np.testing.assert_allclose(found, wanted(model, table)[:, 0], atol=CLOSE * model.preparation.target.sd)


def test_the_numpy_file_names_a_column_that_is_missing(make_model, tmp_path):
    file, bad = tmp_path / "model.py", tmp_path / "bad.csv"
    file.write_bytes(exported(make_model("price"), ".py"))
    bad.write_text("size\n1\n")
    done = subprocess.run([sys.executable, str(file), str(bad)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "column 'age' is missing" in done.stderr


def onnx_inputs(model, table):
    """The table as the graph wants it."""
    from hpsearch.data.encoders import _DATE_PARTS, _moments
    from hpsearch.data.reading import read_table
    from hpsearch.data.values import as_float64, as_text

    frame, found = read_table(table), {}
    for encoder in model.preparation.encoders:
        values = frame[encoder.name]
        if isinstance(encoder, Category):
            found[encoder.name] = np.array(as_text(values).fill_null("").to_list(), object)
        elif isinstance(encoder, Date):
            moments = _moments(values, encoder.format)
            found |= {f"{encoder.name}={part}": _DATE_PARTS[part](moments) for part in encoder.parts}
        else:
            found[encoder.name] = as_float64(values)
    return {name: column.reshape(-1, 1) for name, column in found.items()}


def run_onnx(model, table):
    session = onnxruntime.InferenceSession(exported(model, ".onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, onnx_inputs(model, table)), strict=True))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_onnx_predicts_the_same_classes(make_model, table, variant):
    model = make_model("kind", **variant)
    found, shares = run_onnx(model, table), wanted(model, table)
    np.testing.assert_allclose(found["probabilities"], shares, atol=CLOSE)
    assert set(found["label"]) <= set(model.classes)
    assert np.mean(np.array(model.classes)[shares.argmax(1)] == found["label"]) > 0.99


def test_onnx_predicts_the_same_values(make_model, table):
    model = make_model("price")
    found = run_onnx(model, table)["prediction"]
    np.testing.assert_allclose(found, wanted(model, table), atol=CLOSE * model.preparation.target.sd)


def small_model(folder, header, cells, target):
    """A model without hidden layers of a small table with these columns, and the table."""
    table = folder / "small.csv"
    lines = [cells.format(i=i, c="ab"[i % 2], day=1 + i % 28) for i in range(60)]
    table.write_text("\n".join([header, *lines]) + "\n")
    data = load_dataset(table, target=target)
    metric = "log_loss" if data.classes else "rmse"
    network = Network({"layers": 0}, n_inputs=data.n_inputs, n_outputs=data.n_outputs, task=data.task, metric=metric)
    weights = np.linspace(-1, 1, network.vector_size).astype(np.float32)
    return Model.of(0, [Member(0, 0, network, weights)], data, metric), table


def test_onnx_outputs_give_way_to_columns_of_their_name(tmp_path):
    model, table = small_model(tmp_path, "label,probabilities,label_,y", "{i}.5,{day}.25,{day},{c}", "y")
    found = run_onnx(model, table)
    assert list(found) == ["label__", "probabilities_"]
    np.testing.assert_allclose(found["probabilities_"], wanted(model, table), atol=CLOSE)
    model, table = small_model(tmp_path, "prediction,price", "{i}.5,{i}.25", "price")
    np.testing.assert_allclose(run_onnx(model, table)["prediction_"], wanted(model, table), rtol=CLOSE)


def test_onnx_inputs_of_one_name_are_refused(tmp_path):
    model, _ = small_model(tmp_path, "seen,seen=days,y", "2020-01-{day:02d},{i}.5,{c}", "y")
    with pytest.raises(ConfigError, match="column 'seen=days': ONNX wants inputs with names of their own"):
        exported(model, ".onnx")


NETWORKS = (
    {"normalize": "standard", "activation": "tanh"},
    {"normalize": "piecewise_linear", "activation": "relu", "output": "logistic"},
    {"normalize": "standard", "batch_norm": True, "layers": 1},
)


@pytest.mark.parametrize("target", ["kind", "price"])
def test_several_networks_vote_in_every_file(make_model, table, tmp_path, target):
    networks = [one if target == "kind" else one | {"output": "softmax"} for one in NETWORKS]
    model = make_model.vote(target, *networks)
    assert [member.votes for member in model.members] == [1, 2, 3]
    shares, found, rows = wanted(model, table), run_onnx(model, table), run_numpy_file(model, table, tmp_path)
    if target == "price":
        close = {"atol": CLOSE * model.preparation.target.sd}
        np.testing.assert_allclose(found["prediction"], shares, **close)
        np.testing.assert_allclose([float(row["prediction"]) for row in rows], shares[:, 0], **close)
        return
    np.testing.assert_allclose(found["probabilities"], shares, atol=CLOSE)
    by_numpy = np.array([[float(row[f"p_{name}"]) for name in model.classes] for row in rows])
    np.testing.assert_allclose(by_numpy, shares, atol=CLOSE)


def test_one_safetensors_file_holds_everything(make_model, tmp_path):
    import yaml

    model = make_model("kind")
    file = tmp_path / "model.safetensors"
    file.write_bytes(exported(model, ".safetensors"))
    with safetensors.safe_open(file, "np") as stored:
        assert {name: stored.get_tensor(name).tolist() for name in model.tensors()} == {
            name: tensor.tolist() for name, tensor in model.tensors().items()
        }
        about = yaml.safe_load(stored.metadata()["hpsearch"])
    assert [one["layers"] for one in about["networks"]] == [model.members[0].network.sizes.tolist()]
    assert about["preparation"]["target"]["classes"] == model.classes


@pytest.mark.parametrize("ending", [".pkl", "", ".h5"])
def test_other_endings_are_refused(make_model, ending):
    with pytest.raises(ConfigError, match="a model is not written as that"):
        exported(make_model("price"), ending)


def test_names_cannot_break_out_of_the_file(tmp_path):
    """A column and a class whose names are code."""
    evil = "'''\"\"\"); raise SystemExit('pwned')  #\\"
    rows = [[str(i), [evil, "b"][i % 2]] for i in range(40)]
    table = tmp_path / "t.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([[evil, "y"], *rows])
    data = load_dataset(table, keep=[evil])
    network = Network({"layers": 0}, n_inputs=data.n_inputs, n_outputs=2, task="classification", metric="log_loss")
    member = Member(0, 0, network, np.ones(network.vector_size, np.float32))
    model = Model.of(0, [member], data, "log_loss")
    assert len(run_numpy_file(model, table, tmp_path)) == 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size,age,member,town,code,seen,when,v1,c0\n1,2\n", "line 2 has 2 cells, the header has 9"),
        ("size,age,member,town,code,seen,when,v1,c0\n1,2,true,Rome,x,no date,01.01.2020 10:00,1,red\n", "no date"),
    ],
)
def test_the_numpy_file_refuses_what_it_cannot_read_in_one_line(make_model, tmp_path, text, message):
    file, bad = tmp_path / "model.py", tmp_path / "bad.csv"
    file.write_bytes(exported(make_model("price"), ".py"))
    bad.write_text(text)
    done = subprocess.run([sys.executable, str(file), str(bad)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    missing = subprocess.run([sys.executable, str(file), "nowhere.csv"], capture_output=True, text=True, check=False)
    assert "Traceback" not in missing.stderr


def test_the_numpy_file_reads_what_hpsearch_reads(tmp_path):
    """Truths taken as categories and written otherwise, semicolons with decimal commas, days in two ways.

    A column in which not all is a number with a comma is text, and other separators stand in quotes in the header.
    """
    sizes = np.random.default_rng(0).normal(size=60)
    rows = [
        [
            f"{size:.3f}",
            str(i % 3 == 0),
            f"{1 + i % 28:02d}.{1 + i % 12:02d}.2021",
            ("1,5", "red")[i % 5 < 2],
            "ab"[i % 2],
        ]
        for i, size in enumerate(sizes)
    ]
    files = {
        "commas.csv": (",", rows),
        "semicolons.csv": (";", [[size.replace(".", ","), *rest] for size, *rest in rows]),
        "iso.csv": ("\t", [[a, b, "-".join(reversed(day.split("."))), *rest] for a, b, day, *rest in rows]),
    }
    for name, (between, lines) in files.items():
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            file.write("\n")
            header = ["size", "member", "day, or, so", "code", "kind"]
            csv.writer(file, delimiter=between, quoting=csv.QUOTE_ALL).writerow(header)
            csv.writer(file, delimiter=between).writerows(lines)
    data = load_dataset(tmp_path / "semicolons.csv", target="kind", categorical=["member"])
    network = Network({"layers": 0}, n_inputs=data.n_inputs, n_outputs=2, task="classification", metric="log_loss")
    weights = np.random.default_rng(1).normal(size=network.vector_size).astype(np.float32)
    model = Model.of(0, [Member(0, 0, network, weights)], data, "log_loss")
    shares = wanted(model, tmp_path / "semicolons.csv")
    assert np.ptp(shares[:, 0]) > 0.1
    for name in files:
        predicted = run_numpy_file(model, tmp_path / name, tmp_path)
        found = np.array([[float(row["p_a"]), float(row["p_b"])] for row in predicted])
        np.testing.assert_allclose(found, shares, atol=CLOSE, err_msg=name)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_the_numpy_file_predicts_no_rows(make_model, table, tmp_path, activation):
    none = tmp_path / "none.csv"
    none.write_text(table.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    assert run_numpy_file(make_model("kind", activation=activation), none, tmp_path) == []
