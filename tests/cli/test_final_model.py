"""What is in model/ in the end: the refit, the ensemble, and the same bytes however a run came there."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.numpy
import yaml

from hpsearch.model import Model

SMALL = ("-n", 12, "--epochs", 12, "-q", "--finalists", 3)
FILES = ("best.yaml", "trials.csv", "curves.csv", "model/model.yaml", "model/weights.safetensors")


def best(folder="r"):
    return yaml.safe_load(Path(folder, "best.yaml").read_text(encoding="utf-8"))


def events(folder, kind):
    lines = Path(folder, "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def networks(folder="r"):
    return yaml.safe_load(Path(folder, "model/model.yaml").read_text(encoding="utf-8"))["networks"]


def contents(folder):
    """The bytes of all that must not depend on how a run went."""
    names = [*FILES, *(f"model/single/{name}" for name in ("model.yaml", "weights.safetensors"))]
    return {name: Path(folder, name).read_bytes() for name in names if Path(folder, name).exists()}


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """Enough rows that no split is made anew, and a target that a few small networks only know together."""
    chance = np.random.default_rng(0)
    inputs = chance.normal(size=(5_200, 4))
    target = np.sin(2 * inputs[:, 0]) + inputs[:, 1] * inputs[:, 2] + chance.normal(scale=0.1, size=5_200)
    file = tmp_path_factory.mktemp("waves") / "waves.csv"
    pl.DataFrame({f"x{i}": inputs[:, i] for i in range(4)} | {"y": target}).write_csv(file)
    return file


@pytest.fixture
def voted(hpsearch, waves):
    """A run whose networks vote."""
    space = ("-p", "units=16", "-p", "layers=2", "-p", "lr=5e-3:2e-2:log", "-p", "normalize=robust_clip,standard")
    command = ("random", waves, *space, "-n", 8, "--epochs", 4, "--finalists", 2, "-o", "r")
    code, out, err = hpsearch(*command)
    assert code == 0, err
    return command, out, err


# --- The refit ---


@pytest.fixture
def refitted(hpsearch):
    code, out, err = hpsearch("random", "wine", *SMALL, "-o", "r", "--no-ensemble")
    assert code == 0, err
    return out


def test_the_winner_is_trained_on_train_and_dev_together(hpsearch, refitted):
    found, (network,) = best(), networks()
    trainings = [event for event in events("r", "final") if event["trial"] == found["trial"]]
    epochs = sorted([found["best_epoch"], *(event["best_epoch"] for event in trainings)])
    assert (network["trial"], network["repeat"], network["votes"]) == (found["trial"], 0, 1)
    assert network["refit_epochs"] == epochs[2], "the upper median of four trainings"
    (told,) = found["refit"]
    assert (told["rows"], told["refit_epochs"], told["error"]) == (106 + 36, epochs[2], "")
    assert set(told["metrics"]) == {"train_log_loss", "train_accuracy"}
    assert f"trained on train and dev together, 142 rows, epochs: {epochs[2]}" in refitted
    assert "ensemble" not in found
    assert not Path("r/model/single").exists()


def test_its_train_score_is_that_of_the_model_on_both_parts(hpsearch, refitted):
    from hpsearch.data.dataset import load_dataset

    model = Model.load(Path("r/model"))
    (member,) = model.members
    data = load_dataset("wine", normalize=(member.normalize,))
    both = data.part("train", member.normalize).joined(data.part("dev", member.normalize))
    _, found = member.network.evaluate(member.weights, both)
    assert best()["refit"][0]["metrics"]["train_log_loss"] == found["log_loss"]


def test_without_it_the_model_is_that_of_the_search(hpsearch, refitted):
    refit = contents("r")["model/weights.safetensors"]
    assert hpsearch("random", "wine", *SMALL, "-o", "r", "--no-ensemble", "--no-refit")[0] == 0
    (network,) = networks()
    assert network["refit_epochs"] == 0
    kept = safetensors.numpy.load_file(f"r/weights/{network['trial']}.safetensors")["weights"]
    assert Model.load(Path("r/model")).members[0].weights.tobytes() == kept.tobytes()
    assert hpsearch("random", "wine", *SMALL, "-o", "r", "--no-ensemble")[0] == 0
    assert contents("r")["model/weights.safetensors"] == refit, "and back again"


def test_one_that_diverges_leaves_the_winner_as_it_was(hpsearch, monkeypatch):
    """A training on more rows may fail where the one on fewer went well."""
    from hpsearch.executors import panda
    from hpsearch.executors.base import failed

    usual = panda.run_trial
    monkeypatch.setattr(
        panda,
        "run_trial",
        lambda trial, *rest: failed(trial, "diverged", rest[1]) if trial.refit_epochs else usual(trial, *rest),
    )
    search = ("random", "wine", *SMALL, "-o", "r", "--mode", "panda", "--progress", "none")
    assert hpsearch(*search)[0] == 0
    assert [refit["error"] for refit in best()["refit"]] == ["diverged"]
    assert networks()[0]["refit_epochs"] == 0
    (event,) = events("r", "refit")
    assert hpsearch(*search)[0] == 0
    assert events("r", "refit") == [event], "it is not tried again"


# --- The ensemble ---


def test_networks_vote_where_that_is_better_beyond_noise(hpsearch, voted):
    _, out, err = voted
    choice, found = best()["ensemble"], networks()
    assert choice["kept"]
    assert choice["gain"] > choice["standard_error"] > 0
    assert [(one["trial"], one["repeat"], one["votes"]) for one in choice["members"]] == [
        (one["trial"], one["repeat"], one["votes"]) for one in found
    ]
    assert len(found) > 1
    assert sum(one["votes"] for one in found) <= 10
    assert all(one["refit_epochs"] for one in found)
    assert f"{len(found)} networks vote: dev rmse" in out
    assert "choosing among 14 networks" in err, "8 trials, and 2 finalists trained 3 times each on the same rows"
    assert choice["scores"]["rmse"] < best()["score"]


def test_the_scores_are_those_of_the_mean_prediction(hpsearch, voted):
    """Of the networks as they were trained on train alone, on dev, with the weights that were kept."""
    from hpsearch.config import StudyConfig
    from hpsearch.data.dataset import load_dataset
    from hpsearch.run_directory.record import RunRecord
    from hpsearch.run_directory.weights import KeptWeights

    record, kept = RunRecord.load(Path("r")), KeptWeights(Path("r/weights"))
    study = StudyConfig.model_validate(record.study)
    data = load_dataset(**study.data.loading(), normalize=("robust_clip", "standard"))
    model, whole, votes = Model.load(Path("r/model")), 0.0, 0
    for member in model.members:
        weights = kept.get((member.trial, member.repeat, 0))
        whole = whole + member.votes * member.network.predict(weights, data.part("dev", member.normalize))[0]
        votes += member.votes
    rest = data.target.original(whole / votes - data.part("dev", "standard").targets) - data.target.mean
    assert best()["ensemble"]["scores"]["rmse"] == pytest.approx(np.sqrt((rest**2).mean()), rel=1e-5)


def test_the_winner_alone_is_there_too(hpsearch, voted, waves):
    for flag, folder in (((), "r/model"), (("--single",), "r/model/single")):
        model = Model.load(Path(folder))
        assert hpsearch("predict", "r", waves, "-o", "p.csv", *flag)[0] == 0
        predicted, _ = model.predict(pl.read_csv(waves))
        np.testing.assert_allclose(pl.read_csv("p.csv")["prediction"], predicted[:, 0], rtol=1e-5)
        code, out, err = hpsearch("evaluate", "r", "-f", "json", *flag)
        assert code == 0, err
        assert json.loads(out)["networks"] == len(model.members)
        assert hpsearch("export", "r", "-o", "m.safetensors", *flag)[0] == 0
        with safetensors.safe_open("m.safetensors", "np") as file:
            assert len(yaml.safe_load(file.metadata()["hpsearch"])["networks"]) == len(model.members)
    single = Model.load(Path("r/model/single"))
    assert [(one.trial, one.votes) for one in single.members] == [(best()["trial"], 1)]
    assert single.members[0].refit_epochs
    assert f"{len(networks())} networks that vote on the" in hpsearch("evaluate", "r")[1]
    assert f"Trial {best()['trial']} on the" in hpsearch("evaluate", "r", "--single")[1]
    report = hpsearch("report", "r")
    assert report[0] == 0, report[2]


def test_without_the_winner_alone_it_is_not_taken_for_all(hpsearch, voted, waves):
    command, *_ = voted
    shutil.rmtree("r/model/single")
    code, _, err = hpsearch("predict", "r", waves, "--single")
    assert code == 2
    assert "r/model/single: no model there" in err
    assert hpsearch(*command)[0] == 0
    assert Path("r/model/single/model.yaml").exists(), "what is missing is made again"


def test_without_it_the_winner_is_alone(hpsearch, voted):
    command, *_ = voted
    assert hpsearch(*command, "--no-ensemble")[0] == 0
    assert [one["trial"] for one in networks()] == [best()["trial"]]
    assert not Path("r/model/single").exists()


@pytest.mark.parametrize("how", [("--mode", "panda"), ("-j", 1), ("-j", 3)])
def test_the_bytes_do_not_depend_on_how_it_was_run(hpsearch, voted, how):
    command, *_ = voted
    assert hpsearch(*command[:-1], "other", *how)[0] == 0
    assert contents("other") == contents("r")


@pytest.mark.parametrize("lost", [("weights",), ("model",), ("weights", "model"), ("best.yaml", "model/model.yaml")])
def test_what_was_lost_is_made_again_to_the_bit(hpsearch, voted, lost):
    command, *_ = voted
    before = contents("r")
    for name in lost:
        place = Path("r", name)
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    code, _, err = hpsearch(*command)
    assert code == 0, err
    assert contents("r") == before


@pytest.mark.parametrize("kinds", [("ensemble", "refit"), ("refit",), ("finalists", "ensemble", "refit")])
def test_a_run_that_was_cut_in_the_last_stage_goes_on_to_the_same_bytes(hpsearch, voted, kinds):
    """As a kill leaves it: the journal ends before the first event of these kinds."""
    command, *_ = voted
    before = contents("r")
    lines = Path("r/journal.jsonl").read_bytes().splitlines(keepends=True)
    end = next(i for i, line in enumerate(lines) if json.loads(line)["event"] in kinds)
    Path("r/journal.jsonl").write_bytes(b"".join(lines[:end]))
    assert hpsearch(*command)[0] == 0
    assert contents("r") == before


def test_more_trials_later_are_as_many_at_once(hpsearch, voted, waves):
    command, *_ = voted
    more = [14 if word == 8 else word for word in command]
    assert hpsearch(*more)[0] == 0
    assert hpsearch(*more[:-1], "once")[0] == 0
    assert contents("r") == contents("once")
    assert hpsearch(*more)[2].count("training") == 0, "nothing is left to do"


def test_the_disk_holds_no_more_than_was_asked_for(hpsearch, waves):
    command = ("random", waves, "-p", "units=8", "-n", 12, "--epochs", 2, "--finalists", 0, "-o", "r", "-q")
    assert hpsearch(*command, "--set", "ensemble.top=3")[0] == 0
    assert len(list(Path("r/weights").iterdir())) == 3
    ranked = [row["trial"] for row in json.loads(hpsearch("show", "r", "-f", "json")[1])]
    assert {int(file.stem) for file in Path("r/weights").iterdir()} == set(ranked[:3])


def test_trials_of_an_unfinished_search_do_not_vote(hpsearch):
    """A single trial, or some of a table, is repeated as it was."""
    assert hpsearch("random", "wine", "-n", 5, "--epochs", 4, "-q", "-o", "r")[0] == 0
    assert hpsearch("random", "r/study.yaml", "--only", 3, "-q", "-o", "one")[0] == 0
    assert best("one").keys().isdisjoint({"ensemble", "refit"})
    assert networks("one")[0]["refit_epochs"] == 0


def test_the_panda_keeps_to_one_model_unless_it_is_asked(hpsearch):
    panda = ("panda", "wine", "-n", 4, "--epochs", 5, "-q", "-o", "p")
    assert hpsearch(*panda)[0] == 0
    assert "ensemble" not in best("p")
    assert "refit" in best("p")
    assert hpsearch(*panda, "--ensemble")[0] == 0
    assert "ensemble" in best("p")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "ensemble=false"), {"size": 0, "top": 20}),
        (("--set", "ensemble=true"), {"size": 10, "top": 20}),
        (("--no-ensemble",), {"size": 0, "top": 20}),
        (("--ensemble", "--set", "ensemble.top=7"), {"size": 10, "top": 7}),
        ((), {"size": None, "top": 20}),
    ],
)
def test_the_study_says_who_votes(hpsearch, words, said):
    assert yaml.safe_load(hpsearch("random", "wine", "--print-config", *words)[1])["ensemble"] == said


@pytest.mark.parametrize("words", [("ensemble.size=-1",), ("ensemble.top=0",), ("ensemble=3",), ("refit=perhaps",)])
def test_what_makes_no_sense_is_refused(hpsearch, words):
    code, _, err = hpsearch("random", "wine", "--set", *words)
    assert code == 2
    assert words[0].partition("=")[0].partition(".")[0] in err
    assert len(err.splitlines()) == 1


def test_best_yaml_tells_of_what_is_in_use_now(hpsearch, voted):
    """Not of what an earlier command with other flags made; and the same as if that had never been."""
    command, *_ = voted
    before = contents("r")
    assert hpsearch(*command, "--no-ensemble", "--no-refit")[0] == 0
    assert best().keys().isdisjoint({"ensemble", "refit"})
    assert hpsearch(*command[:-1], "plain", "--no-ensemble", "--no-refit")[0] == 0
    assert contents("r") == contents("plain")
    assert hpsearch(*command)[0] == 0
    assert contents("r") == before


def test_more_finals_change_the_refit_and_leave_no_trace_of_the_first(hpsearch, refitted):
    more = ["--finalists" if word == "--finalists" else word for word in SMALL]
    more[more.index(3)] = 5
    assert hpsearch("random", "wine", *more, "-o", "r", "--no-ensemble")[0] == 0
    assert hpsearch("random", "wine", *more, "-o", "once", "--no-ensemble")[0] == 0
    assert contents("r") == contents("once")
    assert len(best()["refit"]) == 1


def test_a_single_trial_has_nobody_to_vote_with(hpsearch):
    command = ("random", "wine", "-n", 1, "--epochs", 4, "-o", "r")
    assert hpsearch(*command)[0] == 0
    assert "ensemble" not in best()
    assert [(one["trial"], one["refit_epochs"] > 0) for one in networks()] == [(0, True)]
    assert "nothing to do" in hpsearch(*command)[2]


def test_what_voting_gains_may_not_be_known(hpsearch, monkeypatch):
    """As for a metric that is not defined on some of the rows."""
    from hpsearch import ensemble

    monkeypatch.setattr(ensemble._Judge, "difference", lambda *_: (np.nan, np.inf))
    assert hpsearch("random", "wine", *SMALL, "-o", "r")[0] == 0
    assert (best()["ensemble"]["kept"], best()["ensemble"]["gain"]) == (False, None)
    assert "they would gain what cannot be told" in hpsearch("best", "r")[1]


def test_a_network_that_comes_out_otherwise_is_no_defect(hpsearch, voted, monkeypatch):
    """As on another processor, on which a training may diverge that did not here."""
    from hpsearch import final_model
    from hpsearch.executors import panda
    from hpsearch.executors.base import failed

    command, *_ = voted
    shutil.rmtree("r/weights")
    shutil.rmtree("r/model")
    monkeypatch.setattr(panda, "run_trial", lambda trial, *rest: failed(trial, "diverged", rest[1]))
    monkeypatch.setattr(final_model, "run_trial", lambda trial, *rest: failed(trial, "diverged", rest[1]))
    code, _, err = hpsearch(*command, "--mode", "panda", "-q")
    assert code == 2
    assert "trained once more, did not come out as it did before" in err.splitlines()[-1]


def test_a_look_at_a_part_of_a_run_leaves_its_model_alone(hpsearch, voted, waves):
    command, *_ = voted
    before = contents("r")
    for part in (("--only", 3), ("--only", "1,2")):
        assert hpsearch(*command, *part)[0] == 0
        assert contents("r") == before
    assert "nothing to do" in hpsearch(*command)[2]


def test_a_later_search_whose_finalists_are_others_refits_as_if_it_had_been_one(hpsearch):
    """A trial that was a finalist, and is one no more, is refitted for the epochs of its first training."""
    command = ("random", "wine", "--epochs", 12, "-q", "--finalists", 2, "--set", "prune=false", "--lag", 8)
    for trials in (4, 9, 15, 24):
        assert hpsearch(*command, "-n", trials, "-o", "r")[0] == 0
    assert hpsearch(*command, "-n", 24, "-o", "once")[0] == 0
    assert contents("r") == contents("once")


def test_the_winner_alone_goes_when_there_is_another_winner(hpsearch, voted, waves):
    """As a kill leaves it, after a better trial was found: --single must not use the old one."""
    from hpsearch.run_directory.directory import MODEL, SINGLE

    command, *_ = voted
    assert Path("r", SINGLE).exists()
    more = [40 if word == 8 else word for word in command]
    assert hpsearch(*more, "--no-ensemble", "--no-refit")[0] == 0
    assert not Path("r", SINGLE).exists()
    assert Model.load(Path("r", MODEL)).members[0].trial == best()["trial"]
    assert hpsearch(*command)[0] == 0


def test_a_shard_needs_to_know_how_many_there_are(hpsearch):
    code, _, err = hpsearch("random", "wine", "--shard", "1/2", "--timeout", "9s")
    assert (code, "say with -n how many" in err) == (2, True)


def test_a_repaired_run_has_a_winner_although_a_finalist_is_lost(hpsearch, voted):
    command, *_ = voted
    before = contents("r")
    lines = Path("r/journal.jsonl").read_bytes().splitlines(keepends=True)
    for kind in ("final", "trial"):
        voter = next(one["trial"] for one in best()["ensemble"]["members"])
        lost = [i for i, line in enumerate(lines) if (e := json.loads(line))["event"] == kind and e["trial"] == voter]
        if not lost:
            continue
        damaged = lines.copy()
        damaged[lost[0]] = damaged[lost[0]][:40] + b"#" + damaged[lost[0]][41:]
        Path("r/journal.jsonl").write_bytes(b"".join(damaged))
        assert hpsearch("repair", "r")[0] == 0
        assert hpsearch("best", "r")[0] == 0
        assert hpsearch(*command)[0] == 0
        assert contents("r") == before


def test_a_winner_that_this_time_takes_too_long_is_trained_without_a_limit(hpsearch, voted, monkeypatch):
    """It had just been fast enough; its weights are lost, and the machine is busy now."""
    from hpsearch.executors import panda
    from hpsearch.executors.base import failed

    command, *_ = voted
    shutil.rmtree("r/weights")
    shutil.rmtree("r/model")
    monkeypatch.setattr(panda, "run_trial", lambda trial, *rest: failed(trial, "timeout: longer than 1 s", rest[1]))
    code, _, err = hpsearch(*command, "--mode", "panda", "-q")
    assert code == 0, err
    assert networks()[0]["trial"] == best()["trial"]
