"""Proposals: the defaults first, always inside the space, and the same whether a search was interrupted or not."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from rankbench.bench import registry
from rankbench.bench.config import Settings, resolve
from rankbench.bench.contract import Choice, Real, SearchSpace, Whole
from rankbench.bench.search import budget
from rankbench.bench.search.sampler import Proposals, decoded, distributions, encoded

SPACE: SearchSpace = {
    "train.lr": Real(1e-4, 1e-2, log=True),
    "layers": Whole(1, 4),
    "hidden": Choice(((64,), (200, 80), ())),
    "gate": Choice((False, True, None)),
}
DEFAULTS = {"train.lr": 1e-3, "layers": 2, "hidden": (200, 80), "gate": None}


def new_study(
    seed: int = 0, space: SearchSpace = SPACE, defaults: dict[str, object] = DEFAULTS, model: str = "din"
) -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=Proposals(seed, model, space, defaults))


def search(study: optuna.Study, trials: int, killed: tuple[int, ...] = ()) -> list[dict[str, object]]:
    """Settings of trials that count, in the order of their places; workers die at the moves `killed`."""
    found, moves = [], 0
    while len(found) < trials:
        trial = study.ask(distributions(SPACE))
        settings = decoded(SPACE, trial.params)
        if moves in killed:
            trial.set_user_attr(budget.REASON, budget.DIED)
            study.tell(trial, state=TrialState.FAIL)
            root = trial.user_attrs.get(budget.ROOT, trial.number)
            study.enqueue_trial(trial.params, {budget.RETRY_OF: trial.number, budget.ROOT: root})
        else:
            study.tell(trial, settings["layers"] - 100 * abs(trial.params["train.lr"] - 4e-3) + len(settings["hidden"]))
            found.append(settings)
        moves += 1
    return found


def test_an_interrupted_search_proposes_the_same() -> None:
    straight = search(new_study(), 16)
    assert search(new_study(), 16, killed=(0, 1, 4, 13, 17)) == straight
    assert straight[0] == DEFAULTS
    assert search(new_study(seed=1), 16)[1:] != straight[1:]


def test_models_that_search_the_same_settings_get_draws_of_their_own() -> None:
    """At no place but the first, which has the defaults; the luck of one draw is not everybody's."""
    one, other = (search(new_study(model=model), 10) for model in ("din", "dcnv2"))
    assert one[0] == other[0] == DEFAULTS
    assert all(mine["train.lr"] != theirs["train.lr"] for mine, theirs in zip(one[1:], other[1:], strict=True))


@pytest.mark.parametrize("name", ["din", "hstu"])
def test_what_is_proposed_can_be_trained(name: str) -> None:
    info = registry.info(name)

    def experiment(drawn: dict[str, object]) -> object:
        return resolve(info, Settings(models={name: drawn}))

    usual = resolve(info, Settings())
    defaults = {k: getattr(usual.train, k[6:]) if k.startswith("train.") else getattr(usual.params, k) for k in info.space}
    study = new_study(space=info.space, defaults=defaults)
    for number in range(13):
        trial = study.ask(distributions(info.space))
        drawn = decoded(info.space, trial.params)
        assert encoded(info.space, drawn) == trial.params
        assert number or experiment(drawn) == usual
        experiment(drawn)
        study.tell(trial, float(number % 5))
