"""The arithmetic of boards and scaling gives the same text with every processor's kernels and any number of threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.processors import as_each_processor, at_hand

CODE = """
import json
import numpy as np
from rankbench.bench.evaluation import reliability, scaling, stats
from rankbench.bench.evaluation.made_up import World
from rankbench.bench.records.rounded import rounded
from rankbench.bench.typed import as_json

test = World(60, 0.02, models=4).test(np.random.default_rng(0), 3)
said = []
for metric in stats.METRICS:
    found = stats.compare(test, metric)
    said += [as_json(rounded(one)) for one in found.standing().models.values()]
    said.append(as_json(rounded(found.resolution())))
    said += [as_json(rounded(one)) for one in found.differences([("model 0", "model 1"), ("model 2", "model 3")])]
law = scaling.study([1.0, 2.0, 4.0, 8.0], scaling.means(stats.compare(test, "logloss")))
said.append(f"{law.outcome} {law.shape}")
said.append(as_json(rounded(reliability.reliability(test.label, test.user, test.scores["model 0"]))))
print("\\n".join(said))
"""


@pytest.mark.long
@pytest.mark.skipif(not at_hand(), reason="this processor can stand for no other")
def test_the_same_text_as_every_processor_and_with_any_number_of_threads(tmp_path: Path) -> None:
    done = as_each_processor(["-c", CODE], tmp_path, threads=(1, 2))
    texts = set()
    for process in done.values():
        assert process.returncode == 0, process.stderr
        texts.add(process.stdout)
    assert len(texts) == 1 and len(texts.pop()) > 2000
