"""What validation watches is the headline, where the requests can be judged by it."""

from pathlib import Path

from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.evaluation import evaluator
from rankbench.bench.evaluation.influence import LEAST_USERS
from support.logs import make_data


def test_ranking_within_requests_is_watched_where_ten_users_have_a_request_of_both_labels(tmp_path: Path) -> None:
    hours = make_data(tmp_path / "hours", DataConfig("tiny", request_window=3600), users=80)
    moments = make_data(tmp_path / "moments", DataConfig("tiny", request_window=0), users=12)
    for data in (hours, moments):
        valid = data.examples("valid")
        labels: dict[int, set[int]] = {}
        for event, label in zip(valid.event, valid.label, strict=True):
            labels.setdefault(int(data.request[event]), set()).add(int(label))
        users = {int(data.log.user[request]) for request, both in labels.items() if len(both) == 2}
        expected = "request_gauc" if len(users) >= LEAST_USERS else "auc"
        assert evaluator.monitor(TrainConfig(), data) == expected
        assert evaluator.monitor(TrainConfig(monitor="logloss"), data) == "logloss", "what is asked for is watched"
    assert evaluator.monitor(TrainConfig(), hours) != evaluator.monitor(TrainConfig(), moments)
