"""Trials of a sweep as Optuna has them and as the record has them: the same, whatever happened to them."""

from __future__ import annotations

import dataclasses

import optuna
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.contract import Choice, Real, SearchSpace, Whole
from rankbench.bench.records.sweeps import Trial
from rankbench.bench.search import budget
from rankbench.bench.search.budget import Ledger
from rankbench.bench.search.trial_records import lost, recorded, restored

SPACE: SearchSpace = {"lr": Real(1e-4, 1e-1, log=True), "hidden": Choice(((8, 4), (16,))), "layers": Whole(1, 4)}


@st.composite
def histories(draw: st.DrawFn) -> list[Trial]:
    """Trials in the order of their numbers, with gaps where one had not ended; retries of what was handed on."""
    made: list[Trial] = []
    number, open_ends = 0, []
    for _ in range(draw(st.integers(0, 8))):
        number += draw(st.integers(1, 2))
        retry = draw(st.sampled_from(open_ends)) if open_ends and draw(st.booleans()) else None
        if retry is not None:
            open_ends.remove(retry)
        state = draw(st.sampled_from(["complete", "pruned", "failed", "handed on", "surplus"]))
        reasons = {
            "failed": "MemoryError: no room",
            "handed on": draw(st.sampled_from([budget.DIED, budget.INTERRUPTED])),
            "surplus": budget.SURPLUS,
        }
        params = {
            "lr": draw(st.floats(1e-4, 1e-1)),
            "hidden": draw(st.sampled_from([[8, 4], [16]])),
            "layers": draw(st.integers(1, 4)),
        }
        curve = tuple(draw(st.lists(st.floats(0, 1), max_size=3)))
        value = draw(st.floats(0, 1)) if state == "complete" else None
        epochs = len(curve)
        seconds, cut = draw(st.floats(0, 9)), draw(st.booleans())
        made.append(
            Trial(number, state, value, seconds, epochs, epochs, reasons.get(state), retry, params, curve, cut)  # type: ignore[arg-type]
        )
        if state == "handed on":
            open_ends.append(number)
    return made


@given(histories())
def test_there_and_back_again(history: list[Trial]) -> None:
    study = optuna.create_study(direction="maximize")
    for trial in restored(history, SPACE):
        study.add_trial(trial)
    trials = study.get_trials()
    again = recorded(trials, SPACE)
    places = {trial.number: at for at, trial in enumerate(history)}
    assert list(again) == [
        dataclasses.replace(trial, number=at, retry_of=None if trial.retry_of is None else places[trial.retry_of])
        for at, trial in enumerate(history)
    ]
    assert not lost(history, again) and lost(history, again[1:]) == min(1, len(history))
    # What the budget makes of them is what it made of them before.
    assert sum(map(budget.counts, trials)) == sum(trial.counts for trial in history)
    for trial in trials:
        if budget.RETRY_OF in trial.user_attrs:
            before = trials[trial.user_attrs[budget.RETRY_OF]]
            assert budget.root(trial) == budget.root(before)
            assert budget.attempt(trial) == budget.attempt(before) + (before.user_attrs[budget.REASON] == budget.DIED)
    assert len(Ledger(trials).orphans) == sum(
        trial.state == "handed on" and trial.number not in {one.retry_of for one in history} for trial in history
    )
