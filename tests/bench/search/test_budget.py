"""Budgets are kept by rules that need no lock: whatever workers do in whatever order, no place is lost or taken twice."""

from __future__ import annotations

import optuna
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from rankbench.bench.search import budget
from rankbench.bench.search.budget import Budget, Ledger


class Crew:
    """Workers that ask, decide, finish, die and bury one another as the real ones do, one small move at a time."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
        self.asked: list[int] = []
        self.training: list[int] = []
        self.dead: list[int] = []
        self.trained: list[int] = []

    def now(self) -> Ledger:
        return Ledger(self.study.get_trials(deepcopy=False))

    def trial(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def end(self, number: int, state: TrialState, **attributes: object) -> None:
        trial_id = self.trial(number)._trial_id
        for name, value in attributes.items():
            self.study._storage.set_trial_user_attr(trial_id, name, value)
        self.study._storage.set_trial_state_values(trial_id, state, [1.0] if state == TrialState.COMPLETE else None)

    def ask(self) -> None:
        """Even where a look at the budget lies long ago."""
        self.asked.append(self.study.ask().number)

    def decide(self) -> None:
        number = self.asked.pop(0)
        if self.now().within(self.trial(number), self.budget):
            self.training.append(number)
        else:
            self.end(number, TrialState.FAIL, reason=budget.SURPLUS)

    def finish(self) -> None:
        number = self.training.pop()
        self.trained.append(number)
        self.end(number, TrialState.COMPLETE, seconds=1.0)

    def die(self) -> None:
        self.dead.append(self.training.pop(0))

    def bury(self) -> None:
        self.end(self.dead.pop(), TrialState.FAIL, reason=budget.DIED)

    def retry(self) -> None:
        """By all who notice, at the same time."""
        for trial in self.now().orphans:
            for _ in range(2):
                self.study.enqueue_trial({}, {budget.RETRY_OF: trial.number, budget.ROOT: budget.root(trial)})

    def possible(self) -> list[str]:
        lists = {"decide": self.asked, "finish": self.training, "die": self.training, "bury": self.dead}
        return ["ask", "retry", *(move for move, needed in lists.items() if needed)]


@given(st.data())
def test_no_place_is_lost_or_taken_twice(drawn: st.DataObject) -> None:
    crew = Crew(Budget(drawn.draw(st.integers(1, 4))))
    for _ in range(drawn.draw(st.integers(0, 30))):
        getattr(crew, drawn.draw(st.sampled_from(crew.possible())))()
    while not crew.now().finished(crew.budget):
        if not crew.asked and (crew.now().waiting or crew.now().open(crew.budget)):
            crew.ask()
        for move in ("decide", "finish", "bury", "retry"):
            if move in crew.possible():
                getattr(crew, move)()
    counted = crew.now().counted
    assert len(counted) == crew.budget.trials == len(crew.trained)
    places = sorted(crew.now().place(trial) for trial in counted)
    assert places == list(range(crew.budget.trials))


def test_time_ends_a_budget_and_is_shared_by_those_who_run() -> None:
    asked = Budget(10, seconds=100.0)
    crew = Crew(asked)
    for _ in range(3):
        crew.ask()
        crew.decide()
    crew.training.remove(0)
    crew.end(0, TrialState.COMPLETE, seconds=30.0)
    for number, seconds in ((1, 20.0), (2, 10.0)):
        crew.study._storage.set_trial_user_attr(crew.trial(number)._trial_id, budget.LEASE, {"seconds": seconds})
    assert crew.now().open(asked)
    assert crew.now().limit(1, 20.0, asked) == 20.0 + 40.0 / 2
    assert crew.now().limit(2, 70.0, asked) == 70.0
    crew.end(1, TrialState.COMPLETE, seconds=60.0)
    assert crew.now().limit(2, 10.0, asked) == 10.0
    assert not crew.now().open(asked) and not crew.now().finished(asked)
    crew.end(2, TrialState.FAIL, reason=budget.DIED)
    assert crew.now().orphans and not crew.now().finished(asked), "a retry belongs to the budget whatever the time"
    crew.retry()
    crew.ask()
    crew.decide()
    assert crew.training[-1] == 3
