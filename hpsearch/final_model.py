"""After the search: which networks vote, the training on train and dev together, and what is in model/ in the end.

All of it is noted in the journal, so best.yaml is made from there; the weights are in weights/ until model/ holds them.
"""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING

from hpsearch.errors import RunError
from hpsearch.finals import train_all
from hpsearch.model import Member, Model, saved_identity
from hpsearch.run_directory.directory import MODEL, SINGLE
from hpsearch.trial import Trial, TrialResult, TrialSettings, TrialState, run_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hpsearch.data.dataset import Dataset
    from hpsearch.executors.base import Executor
    from hpsearch.run_directory.directory import RunDirectory
    from hpsearch.study import Observer, StopRules
    from hpsearch.trial import Key

    Train = Callable[[list[Trial], Callable[[TrialResult], None]], bool]


class FinalModel:
    """What becomes of the winner of a run whose data are `data`.

    An ensemble has at most `votes` votes for networks of the `top` best trials (and of the finalists' further
    trainings, where they had the same rows to train on); 0 votes: there is none. `refit`: what is chosen is trained
    again on the rows of train and dev together. `whole`: these are wanted of the whole search; a look at a part of it
    leaves what is in model/ alone, if that is made. `say` tells a person what is done.
    """

    def __init__(
        self,
        directory: RunDirectory,
        data: Dataset,
        *,
        metric: str,
        seed: int,
        votes: int,
        top: int,
        refit: bool,
        whole: bool,
        say: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._data = data
        self._metric = metric
        self._seed = seed
        self._votes = votes if whole else 0
        self._top = top
        self._refit = refit and whole
        self._whole = whole
        self._say = say
        self._trained: dict[Key, TrialResult] = {}

    def done(self) -> bool:
        """Whether there is nothing to do: all is chosen and trained, and in model/."""
        winner, noted = self._directory.record.best(), self._directory.record.model
        if winner is None or (noted is not None and not self._whole):
            return True
        if self._wants_choice(winner.number) or self._missing_refits(winner.number):
            return False
        members, alone = self._wanted(winner.number)
        made = noted is not None and (noted["networks"], noted["ensemble"], noted["refit"]) == (
            [list(one) for one in _identities(members)], self._votes > 0, self._refit,
        )  # fmt: skip
        there = {MODEL: members} | ({SINGLE: alone} if members != alone else {})
        return made and all(
            saved_identity(self._directory.folder / place) == (winner.number, _identities(networks))
            for place, networks in there.items()
        )

    def complete(self, executor: Executor, observe: Callable[[int], Observer], stop: StopRules) -> None:
        """Do what is to be done, as far as there is time; model/ holds the winner in any case but an interruption.

        `observe` gives somebody who sees so many trainings.
        """
        winner = self._directory.record.best()
        if winner is None or self.done():
            return

        def train(trials: list[Trial], take: Callable[[TrialResult], None]) -> bool:
            observer = observe(len(trials))
            try:
                return train_all(trials, executor, observer, stop, take)
            finally:
                observer.close()

        if self._wants_choice(winner.number) and stop.reason() is None:
            self._choose(winner.number, train, stop)
        missing = self._missing_refits(winner.number)
        if missing and stop.reason() is None:
            rows = self._data.rows["train"] + self._data.rows["dev"]
            what = "the winner" if len(missing) == 1 else f"{len(missing)} networks"
            self._say(f"training {what} on train and dev together, {rows:,} rows")
            train(missing, lambda result: self._take_refit(result, rows))
            left = self._missing_refits(winner.number)
            if left and stop.reason() == "timeout":
                self._say(f"time is up: {len(left)} of them are used as they were trained on the train rows")
        if not stop.interrupted():
            self._save(winner.number, train)

    def _wants_choice(self, winner: int) -> bool:
        noted = self._directory.record.ensemble
        is_open = noted is None or (noted["votes"], noted["top"]) != (self._votes, self._top)
        return self._votes > 0 and is_open and len(self._candidates(winner)) > 1

    def _choose(self, winner: int, train: Train, stop: StopRules) -> None:
        """Note which of the candidates vote together, and what that gains; nothing if there is no time for it."""
        # Not needed to see that all is done.
        from hpsearch.ensemble import AbandonedError, choose, rows_to_choose_by  # noqa: PLC0415

        if not self._have(self._candidates(winner), train):
            return
        keys = [key for key in self._candidates(winner) if key in self._trained]
        self._say(f"choosing among {len(keys)} networks those that predict best together")
        members = [self._member(key) for key in keys]
        rows = rows_to_choose_by(self._data.rows["dev"], self._seed)
        parts = {kind: self._data.part("dev", kind).at(rows) for kind in {member.normalize for member in members}}
        outputs = [member.network.predict(member.weights, parts[member.normalize])[0] for member in members]
        try:
            choice = choose(
                outputs, parts[members[0].normalize], self._data.target, self._metric,
                size=self._votes, seed=self._seed, should_stop=lambda: stop.reason() is not None,
            )  # fmt: skip
        except AbandonedError:
            self._say("time is up: the winner is used alone")
            return
        voters = [{"trial": keys[place][0], "repeat": keys[place][1], "votes": n} for place, n in choice.votes.items()]
        known = math.isfinite(choice.gain) and math.isfinite(choice.error)
        gain, error = (choice.gain, choice.error) if known else (None, None)
        scores = {name: value for name, value in choice.scores.items() if math.isfinite(value)}
        found = {"kept": choice.better, "gain": gain, "standard_error": error, "scores": scores}
        self._directory.chosen({"trial": winner, "votes": self._votes, "top": self._top, "members": voters, **found})

    def _candidates(self, winner: int) -> list[Key]:
        """The winner, the best trials, and what the finalists were trained again on the same rows."""
        record = self._directory.record
        found = [(number, 0, 0) for number in dict.fromkeys((winner, *record.ranking(self._top)))]
        if record.finalists is not None and not record.finalists["fresh_splits"]:
            found += [
                (number, repeat, 0)
                for number in record.finalists["trials"]
                for repeat in range(1, record.finalists["repeats"] + 1)
                if record.finals[number, repeat].state is TrialState.COMPLETE
            ]
        return found

    def _members(self, winner: int) -> dict[Key, int]:
        """The first trainings that are in use, with their votes."""
        noted = self._directory.record.ensemble
        if self._votes and noted is not None and noted["kept"]:
            return {(one["trial"], one["repeat"], 0): one["votes"] for one in noted["members"]}
        return {(winner, 0, 0): 1}

    def _refits(self, winner: int) -> list[Key]:
        """The trainings on train and dev together that are wanted."""
        wanted = {**self._members(winner), (winner, 0, 0): 1} if self._refit else {}
        return [self._directory.record.refit_of(*key[:2]) for key in wanted]

    def _missing_refits(self, winner: int) -> list[Trial]:
        noted = self._directory.record.refits
        return [self._trial(key) for key in self._refits(winner) if key not in noted]

    def _take_refit(self, result: TrialResult, rows: int) -> None:
        self._directory.refitted(result, rows)
        self._trained[result.key] = result

    def _refitted(self, members: dict[Key, int]) -> dict[Key, int]:
        """The same members, each trained on train and dev where that is done and went well."""
        if not self._refit:
            return members
        noted, found = self._directory.record.refits, {}
        for key, votes in members.items():
            again = self._directory.record.refit_of(*key[:2])
            found[again if again in noted and not noted[again]["error"] else key] = votes
        return found

    def _wanted(self, winner: int) -> tuple[dict[Key, int], dict[Key, int]]:
        """What model/ is to hold, with votes, and the winner alone: trained on train and dev where that is done."""
        members, alone = self._members(winner), {(winner, 0, 0): 1}
        return self._refitted(members), self._refitted(alone)

    def _save(self, winner: int, train: Train) -> None:
        """Put the networks into model/, and beside several the winner alone into model/single."""
        folder = self._directory.folder
        members, alone = self._wanted(winner)
        if not self._have([*members, *alone], train) or not self._trained.keys() >= {*members, *alone}:
            saved = saved_identity(folder / MODEL)
            if saved is not None and saved[0] == winner:
                return  # better than nothing, and the next start makes it whole
            members = alone = {(winner, 0, 0): 1}
            self._train_once_more(winner)
        if any(self._trained[key].weights is None for key in members):
            raise RunError(f"{folder}: trial {winner}, trained once more, did not come out as it did before")
        shutil.rmtree(folder / SINGLE, ignore_errors=True)
        self._model(winner, members).save(folder / MODEL)
        if members != alone:
            self._model(winner, alone).save(folder / SINGLE)
        self._directory.made(_identities(members), ensemble=self._votes > 0, refit=self._refit)
        if self.done():
            self._directory.weights.discard(self._is_idle)

    def _is_idle(self, key: Key) -> bool:
        """Whether a training cannot be of use when the search goes on from here."""
        trial, repeat, refit_epochs = key
        finalists = (self._directory.record.finalists or {}).get("trials", [])
        return bool(refit_epochs) or (repeat > 0 and trial not in finalists)

    def _model(self, winner: int, members: dict[Key, int]) -> Model:
        found = [self._member(key, votes) for key, votes in members.items()]
        return Model.of(winner, found, self._data, self._metric)

    def _member(self, key: Key, votes: int = 1) -> Member:
        return Member.of(self._trained[key], self._data, self._metric, votes)

    def _trial(self, key: Key) -> Trial:
        number, repeat, refit_epochs = key
        return Trial(number, self._directory.record.results[number].config, repeat=repeat, refit_epochs=refit_epochs)

    def _have(self, keys: Iterable[Key], train: Train) -> bool:
        """Get the weights of these trainings, out of the run directory or by training again; False: no time."""
        missing = []
        for key in dict.fromkeys(keys):
            weights = None if key in self._trained else self._directory.weights.get(key)
            if weights is not None:
                number, repeat, refit_epochs = key
                self._trained[key] = TrialResult(
                    number, self._trial(key).config, TrialState.COMPLETE, repeat=repeat, refit_epochs=refit_epochs,
                    weights=weights,
                )  # fmt: skip
            elif key not in self._trained:
                missing.append(self._trial(key))
        if missing:
            what = f"trial {missing[0].number}" if len(missing) == 1 else f"{len(missing)} networks"
            self._say(f"training {what} once more, for the weights ...")
        return not missing or train(missing, self._take_again)

    def _take_again(self, result: TrialResult) -> None:
        if result.weights is not None:
            self._trained[result.key] = result
            self._directory.weights.put(result.key, result.weights)

    def _train_once_more(self, winner: int) -> None:
        """Train the winner in this process, whatever the time, if its weights are nowhere."""
        if (winner, 0, 0) in self._trained:
            return
        settings = TrialSettings(self._seed, self._metric)
        self._trained[winner, 0, 0] = run_trial(self._trial((winner, 0, 0)), self._data, settings)


def _identities(networks: dict[Key, int]) -> tuple[tuple[int, int, int, int], ...]:
    """As Model.identity tells them."""
    return tuple((trial, repeat, votes, epochs) for (trial, repeat, epochs), votes in networks.items())
