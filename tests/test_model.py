"""A model on disk: it predicts what the trial did, and whatever was done to its files gives one line or nothing."""

import hashlib
import os
import pickle
import threading

import numpy as np
import pytest
import safetensors.numpy

from hpsearch import strict_yaml
from hpsearch.data.reading import bundled_path, read_table
from hpsearch.data.sharing import load_shared
from hpsearch.errors import HpsearchError, RunError, StorageError
from hpsearch.files import write_atomically
from hpsearch.model import DESCRIPTION, WEIGHTS, Member, Model, mean_of, saved_identity, sealed
from hpsearch.trial import Trial, TrialSettings, reported_metrics, run_trial

CONFIG = {"hidden": [24, 12], "epochs": 15, "normalize": "standard", "learning_rate": 0.01, "batch_size": 16}


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.fixture(scope="session")
def result(wine):
    return run_trial(Trial(4, CONFIG), wine, TrialSettings(0, "log_loss"))


@pytest.fixture(scope="session")
def line_result(line_data):
    return run_trial(Trial(2, {"layers": 1, "units": 16, "epochs": 30}), line_data, TrialSettings(0, "rmse"))


@pytest.fixture
def saved(tmp_path, result, wine):
    """A folder with the model of a trial."""
    folder = tmp_path / "model"
    Model.of_trial(result, wine, "log_loss").save(folder)
    return folder


def refused(folder):
    with pytest.raises(RunError) as caught:
        Model.load(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder}")
    assert "\n" not in message
    assert saved_identity(folder) is None
    return message


def change(folder, **changes):
    """Write another model.yaml, with the checksum that goes with it."""
    found = strict_yaml.parse_plain((folder / DESCRIPTION).read_bytes(), "")
    del found["sha256"]
    found |= changes
    text = strict_yaml.dump({key: value for key, value in found.items() if value != "LEFT OUT"})
    (folder / DESCRIPTION).write_bytes(sealed(text.encode()))


def put_weights(folder, content):
    """Other bytes in the place of the weights, with the checksum that goes with them."""
    (folder / WEIGHTS).write_bytes(content)
    change(folder, weights_sha256=hashlib.sha256(content).hexdigest())


# --- What was saved ---


def test_a_loaded_model_is_the_one_that_was_saved(saved, result, wine):
    model = Model.load(saved)
    before = Model.of_trial(result, wine, "log_loss")
    (member,) = model.members
    assert member.weights.tobytes() == result.weights.tobytes()
    assert member.network.sizes.tolist() == [13, 24, 12, 3]
    assert member.network.hyperparameters == before.members[0].network.hyperparameters
    assert (model.trial, model.task, model.metric) == (4, "classification", "log_loss")
    assert model.classes == wine.classes
    assert saved_identity(saved) == model.identity == (4, ((4, 0, 1, 0),))
    frame = read_table(bundled_path("wine"))
    assert model.predict(frame)[0].tobytes() == before.predict(frame)[0].tobytes()
    assert model.predict(frame)[1].tolist() == before.predict(frame)[1].tolist()


def test_saving_a_loaded_model_gives_the_same_bytes(saved, tmp_path):
    Model.load(saved).save(tmp_path / "again")
    for name in (WEIGHTS, DESCRIPTION):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_the_files_are_what_others_can_read(saved, result):
    assert {path.name for path in saved.iterdir()} == {WEIGHTS, DESCRIPTION}
    tensors = safetensors.numpy.load_file(saved / WEIGHTS)
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "networks.0.layers.0.weight": (13, 24), "networks.0.layers.0.bias": (24,),
        "networks.0.layers.1.weight": (24, 12), "networks.0.layers.1.bias": (12,),
        "networks.0.layers.2.weight": (12, 3), "networks.0.layers.2.bias": (3,),
    }  # fmt: skip
    names = [f"networks.0.layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")]
    flat = np.concatenate([tensors[name].ravel() for name in names])
    assert flat.tobytes() == result.weights.tobytes()
    (description,) = strict_yaml.parse_plain((saved / DESCRIPTION).read_bytes(), "")["networks"]
    assert description["layers"] == [13, 24, 12, 3]
    assert description["hyperparameters"]["activation"] == "silu"
    assert description["hyperparameters"]["learning_rate"] == 0.01


def test_a_network_by_hand_from_the_files_predicts_the_same(saved):
    """What model/ says is all that is needed: silu layers, then softmax."""
    model = Model.load(saved)
    frame = read_table(bundled_path("wine"))
    tensors = safetensors.numpy.load_file(saved / WEIGHTS)
    a = model.normalizers["standard"].transform(model.features(frame)).astype(np.float64)
    for layer in range(3):
        weight, bias = (tensors[f"networks.0.layers.{layer}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        z = a @ weight + bias
        a = z / (1 + np.exp(-z)) if layer < 2 else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(frame)[0], a, rtol=0, atol=3e-6)


# --- What it predicts ---


def test_a_loaded_model_judges_dev_and_train_as_the_trial_did(saved, result, wine):
    model = Model.load(saved)
    for part in ("dev", "train"):
        _, found = model.members[0].network.evaluate(model.members[0].weights, wine.part(part, "standard"))
        for name in reported_metrics("classification", "log_loss"):
            assert found[name] == result.metrics[f"{part}_{name}"]


def test_a_loaded_regression_judges_as_the_trial_did(tmp_path, line_result, line_data):
    Model.of_trial(line_result, line_data, "rmse").save(tmp_path / "model")
    (member,) = Model.load(tmp_path / "model").members
    _, found = member.network.evaluate(member.weights, line_data.part("dev", "robust_clip"))
    for name in reported_metrics("regression", "rmse"):
        scale = 1.0 if name == "r2" else line_data.target_sd
        assert found[name] * scale == line_result.metrics[f"dev_{name}"]


def inputs_of(model, frame):
    """What the network of a model of one network is given."""
    (normalizer,) = model.normalizers.values()
    return normalizer.transform(model.features(frame))


def rows_of_part(inputs, part):
    """Where the rows of a part stand in the whole table, by the bytes of their inputs."""
    places = {row.tobytes(): place for place, row in enumerate(inputs)}
    assert len(places) == len(inputs), "every row is another one"
    return [places[row.tobytes()] for row in part.inputs]


def test_predictions_of_dev_rows_have_the_recorded_scores(saved, result, wine):
    model = Model.load(saved)
    frame = read_table(bundled_path("wine"))
    dev = wine.part("dev", "standard")
    rows = rows_of_part(inputs_of(model, frame), dev)
    scores, trust = model.predict(frame)
    assert scores.shape == (178, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    mine = scores[rows]
    right = mine.argmax(axis=1) == dev.labels
    assert right.mean() == result.metrics["dev_accuracy"]
    log_loss = -np.log(mine[np.arange(len(rows)), dev.labels].astype(np.float64)).mean()
    assert log_loss == pytest.approx(result.metrics["dev_log_loss"], rel=1e-5)
    assert trust.tolist() == np.where(scores.max(axis=1) >= 0.5, "ok", "low").tolist()
    names = frame["cultivar"].gather(rows).to_list()
    assert [str(model.classes[label]) for label in dev.labels] == [str(name) for name in names]


def test_predicted_values_have_the_unit_of_the_target(tmp_path, line_result, line_data, line_file):
    Model.of_trial(line_result, line_data, "rmse").save(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    frame = read_table(line_file)
    dev = line_data.part("dev", "robust_clip")
    rows = rows_of_part(inputs_of(model, frame), dev)
    predicted, trust = model.predict(frame)
    assert trust is None
    assert predicted.shape == (120, 1)
    assert predicted.dtype == np.float64
    misses = predicted[rows, 0] - frame["y"].gather(rows).to_numpy()
    assert np.sqrt((misses**2).mean()) == pytest.approx(line_result.metrics["dev_rmse"], rel=1e-4)
    assert np.abs(misses).mean() == pytest.approx(line_result.metrics["dev_mae"], rel=1e-4)
    assert line_result.metrics["dev_r2"] > 0.9


def test_one_row_is_predicted_as_among_many_whatever_the_order_of_columns(saved):
    model = Model.load(saved)
    frame = read_table(bundled_path("wine"))
    together, _ = model.predict(frame)
    alone = np.concatenate([model.predict(frame[i : i + 1])[0] for i in range(0, 178, 20)])
    np.testing.assert_allclose(alone, together[::20], rtol=1e-5, atol=1e-7)
    shuffled = frame.select(reversed(frame.columns))
    assert model.predict(shuffled)[0].tobytes() == together.tobytes()


def test_a_model_with_every_part_comes_back_to_the_bit(tmp_path, wine):
    """Batch norm has three more tensors; the logistic output marks predictions by support, not by share."""
    config = {
        "hidden": [9, 5], "epochs": 12, "batch_size": 16, "batch_norm": True, "output": "logistic", "ema": 0.9,
        "dropout": [0.1, 0.2], "augment": "noise+mixup", "class_weight": "balanced", "normalize": "standard",
    }  # fmt: skip
    result = run_trial(Trial(1, config), wine, TrialSettings(0, "log_loss"))
    assert result.state == "COMPLETE", result.error
    before = Model.of_trial(result, wine, "log_loss")
    before.save(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    (member,) = model.members
    assert member.weights.tobytes() == before.members[0].weights.tobytes()
    tensors = safetensors.numpy.load_file(tmp_path / "model" / WEIGHTS)
    assert {name for name in tensors if name.startswith("networks.0.layers.1")} == {
        f"networks.0.layers.1.{part}" for part in ("weight", "bias", "gain", "mean", "variance")
    }
    frame = read_table(bundled_path("wine"))
    scores, trust = model.predict(frame)
    assert scores.tobytes() == before.predict(frame)[0].tobytes()
    shares, supports = member.network.predict(member.weights, _Rows(inputs_of(model, frame)))
    np.testing.assert_allclose(shares, supports / supports.sum(axis=1, keepdims=True), rtol=1e-5)
    enough = (supports >= 0.5).sum(axis=1)
    assert trust.tolist() == [{0: "low", 1: "ok"}.get(count, "ambiguous") for count in enough]


class _Rows:
    labels = np.zeros(0, np.int32)
    targets = np.zeros((0, 1), np.float32)

    def __init__(self, inputs):
        self.inputs = inputs


# --- Several networks ---


@pytest.fixture(scope="session")
def other_result(wine):
    """Another network, on inputs of another scale."""
    config = {"hidden": [7], "epochs": 9, "normalize": "robust_clip", "output": "logistic", "batch_size": 16}
    return run_trial(Trial(9, config), wine, TrialSettings(0, "log_loss"))


@pytest.fixture
def voting(tmp_path, result, other_result, wine):
    """A folder with a model of two networks, one of which has two votes of three."""
    members = [Member.of(one, wine, "log_loss", votes=n) for one, n in ((result, 2), (other_result, 1))]
    Model.of(4, members, wine, "log_loss").save(tmp_path / "voting")
    return tmp_path / "voting"


def test_networks_that_vote_predict_their_weighted_mean(voting, result, other_result, wine):
    frame = read_table(bundled_path("wine"))
    one, other = (Model.of_trial(one, wine, "log_loss").predict(frame)[0] for one in (result, other_result))
    model = Model.load(voting)
    assert model.identity == saved_identity(voting) == (4, ((4, 0, 2, 0), (9, 0, 1, 0)))
    assert list(model.normalizers) == ["robust_clip", "standard"]
    scores, trust = model.predict(frame)
    np.testing.assert_allclose(scores, (2 * one.astype(float) + other) / 3, atol=1e-7)
    assert trust.tolist() == np.where(scores.max(axis=1) >= 0.5, "ok", "low").tolist(), "no support: one is a softmax"


def test_a_single_network_among_others_predicts_as_alone(tmp_path, result, wine):
    """Three votes for one network are that network."""
    frame = read_table(bundled_path("wine"))
    alone = Model.of_trial(result, wine, "log_loss")
    Model.of(4, [Member.of(result, wine, "log_loss", votes=3)], wine, "log_loss").save(tmp_path / "m")
    assert Model.load(tmp_path / "m").predict(frame)[0].tobytes() == alone.predict(frame)[0].tobytes()


def test_the_mean_counts_votes():
    arrays = [np.full((2, 1), value, np.float32) for value in (1, 4)]
    assert mean_of(arrays, [2, 1]).tolist() == [[2.0], [2.0]]
    assert mean_of(arrays, [2, 1]).dtype == np.float32
    assert mean_of(arrays[:1], [5]) is arrays[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [("votes", 0), ("votes", 1.5), ("votes", None), ("repeat", -1), ("refit_epochs", "3"), ("trial", True),
     ("layers", [13, 7, 4]), ("hyperparameters", {}), ("extra", 1)],
)  # fmt: skip
def test_a_network_with_an_impossible_description_is_refused(voting, key, value):
    networks = strict_yaml.parse_plain((voting / DESCRIPTION).read_bytes(), "")["networks"]
    networks[1][key] = value
    change(voting, networks=networks)
    assert "not a whole model" in refused(voting)


@pytest.mark.parametrize("change_normalizers", [lambda n: {}, lambda n: {**n, "standard": n["robust_clip"]}])
def test_networks_without_their_scaling_are_refused(voting, change_normalizers):
    change(
        voting,
        normalizers=change_normalizers(strict_yaml.parse_plain((voting / DESCRIPTION).read_bytes(), "")["normalizers"]),
    )
    assert "not a whole model" in refused(voting)


def test_no_network_is_no_model(saved):
    change(saved, networks=[])
    assert "networks: there is none" in refused(saved)


# --- What was done to it ---


def test_a_model_that_is_not_there_is_refused(tmp_path, saved):
    assert "no model there" in refused(tmp_path / "nowhere")
    (saved / WEIGHTS).unlink()
    assert "no model there" in refused(saved)


@pytest.mark.parametrize(("name", "apart"), [(WEIGHTS, 41), (DESCRIPTION, 17)])
def test_every_byte_counts(saved, name, apart):
    content = (saved / name).read_bytes()
    for place in range(0, len(content), apart):
        changed = bytearray(content)
        changed[place] ^= 1
        (saved / name).write_bytes(changed)
        assert name in refused(saved)
    (saved / name).write_bytes(content)
    assert Model.load(saved).trial == 4


@pytest.mark.parametrize("size", [0, 1, 8, 100, -1])
def test_cut_weights_are_refused_with_any_checksum(saved, size):
    content = (saved / WEIGHTS).read_bytes()[:size]
    (saved / WEIGHTS).write_bytes(content)
    assert "not the weights" in refused(saved)
    put_weights(saved, content)
    assert "weights.safetensors: " in refused(saved)


def test_the_weights_of_another_network_are_refused(saved):
    tensors, first = safetensors.numpy.load_file(saved / WEIGHTS), "networks.0.layers."
    changed = [
        {name: tensor for name, tensor in tensors.items() if name != f"{first}1.bias"},
        tensors | {f"{first}1.bias": np.zeros(13, np.float32)},
        tensors | {f"{first}0.weight": np.ascontiguousarray(tensors[f"{first}0.weight"].T)},
        tensors | {f"{first}2.bias": np.zeros(3, np.float64)},
    ]
    for other in changed:
        put_weights(saved, safetensors.numpy.save(other))
        assert "not a whole model" in refused(saved)


def test_weights_that_are_no_numbers_are_refused(saved):
    tensors = safetensors.numpy.load_file(saved / WEIGHTS)
    tensors["networks.0.layers.1.bias"][3] = np.nan
    put_weights(saved, safetensors.numpy.save(tensors))
    assert "networks.0.layers.1.bias has numbers that are not finite" in refused(saved)


@pytest.mark.parametrize(
    ("old", "new"), [("classes: [", "classes: [5, "), ("trial: 4", "trial: 5"), ("marked: false", "marked: no")]
)
def test_a_description_that_was_edited_is_refused(saved, old, new):
    content = (saved / DESCRIPTION).read_text()
    assert old in content
    (saved / DESCRIPTION).write_text(content.replace(old, new, 1))
    assert "it was changed after it had been written" in refused(saved)


def test_new_weights_beside_an_old_description_are_no_model(saved, result, wine):
    """A crash between the two files."""
    description = (saved / DESCRIPTION).read_bytes()
    other = run_trial(Trial(5, CONFIG), wine, TrialSettings(0, "log_loss"))
    Model.of_trial(other, wine, "log_loss").save(saved)
    assert saved_identity(saved) == (5, ((5, 0, 1, 0),))
    (saved / DESCRIPTION).write_bytes(description)
    assert "one of the two was changed" in refused(saved)


@pytest.mark.parametrize("text", ["", "4", "[]", "text", "format: 3", "format: 2", "format: null", "form: 1"])
def test_a_description_of_something_else_is_refused(saved, text):
    (saved / DESCRIPTION).write_text(text)
    assert "not a model of this version" in refused(saved)


@pytest.mark.parametrize("key", ["trial", "metric", "networks", "normalizers", "weights_sha256"])
def test_a_description_without_one_of_its_keys_is_refused(saved, key):
    change(saved, **{key: "LEFT OUT"})
    refused(saved)


def test_a_description_cut_anywhere_is_an_error_of_ours(saved):
    content = (saved / DESCRIPTION).read_bytes()
    for size in range(0, len(content), 23):
        (saved / DESCRIPTION).write_bytes(content[:size])
        refused(saved)


def test_a_disk_that_takes_nothing_is_a_storage_error(tmp_path, result, wine):
    (tmp_path / "model").write_text("a file")
    with pytest.raises(StorageError, match="model"):
        Model.of_trial(result, wine, "log_loss").save(tmp_path / "model")


# --- Nobody else's code runs ---


def test_a_planted_pickle_is_not_executed(saved, tmp_path):
    mark = tmp_path / "mark"
    trap = pickle.dumps(Trap(mark))
    pickle.loads(trap)
    assert mark.is_dir(), "the trap works"
    mark.rmdir()
    put_weights(saved, trap)
    assert "weights.safetensors: " in refused(saved)
    (saved / DESCRIPTION).write_bytes(trap)
    with pytest.raises(HpsearchError):
        Model.load(saved)
    assert not mark.exists()


def test_a_yaml_that_asks_for_code_is_refused(saved, tmp_path):
    mark = tmp_path / "mark"
    content = (saved / DESCRIPTION).read_text()
    for tag in ("!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir"):
        (saved / DESCRIPTION).write_text(content + f"more: {tag} [{mark}]\n")
        with pytest.raises(HpsearchError) as caught:
            Model.load(saved)
        assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_shared_arrays_are_no_pickles(shared_wine, tmp_path):
    mark = tmp_path / "mark"
    for file in (shared_wine / "0").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    np.save(tmp_path / "train-labels.npy", np.array([Trap(mark)], object), allow_pickle=True)
    with pytest.raises(StorageError):
        load_shared(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "text", [b"a: [", b"\xff\xfe", b"a: !!python/object/apply:os.mkdir [x]", b"[" * 100_000, b"a: &a [1]\nb: *a"]
)
def test_a_description_that_is_no_yaml_of_ours(saved, text):
    (saved / "model.yaml").write_bytes(text)
    assert "model.yaml" in refused(saved)


def test_a_model_that_is_being_written_is_waited_for(saved, other_result, wine):
    """Its weights are there before the description that names them."""
    old = (saved / "model.yaml").read_bytes()
    Model.of_trial(other_result, wine, "log_loss").save(saved)
    new = (saved / "model.yaml").read_bytes()
    (saved / "model.yaml").write_bytes(old)
    assert "a crash came between them: its search, started again, writes both anew" in refused(saved)
    done = threading.Timer(0.05, write_atomically, [saved / "model.yaml", new])
    done.start()
    assert Model.load(saved).trial == 9
    done.join()
