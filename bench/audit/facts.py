"""What the data show once they are here: facts, settings, test rows, metrics, sizes and steps, all computed again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import torch

from ..analysis.recompute import mismatch
from ..contract import ModelInfo
from ..data.batches import make_batches
from ..data.dataset import RankingData
from ..errors import UserError
from ..evaluation import evaluator, metrics
from ..evaluation.flops import flops_per_example
from ..identity import earlier
from ..records.changes import what_changed
from ..records.facts import facts_of
from ..training.course import course_of, epochs_of
from .finding import Said, shown
from .runs import Run, plain

SAME_FLOPS = 0.01
"""Relative: batches are cut from the same examples."""
SAME_STEPS = 0.03
"""Relative: how segments are packed differs a little from epoch to epoch."""
EPOCHS = 2
"""Whose steps are counted, for all."""


class Facts:
    """Of one choice of data settings; what several runs share is computed once."""

    def __init__(self, data: RankingData) -> None:
        self.data = data
        self.ours = facts_of(data)
        self.test = evaluator.rows(data, "test")
        self._counts: dict[str, dict[str, int]] | None = None
        self._sizes: dict[str, tuple[int, int]] = {}
        self._flops: dict[str, float] = {}
        self._steps: dict[str, tuple[float, float]] = {}

    def about(self, run: Run, rows: str) -> Iterator[Said]:
        """All that can be held against a finished run.

        Args:
            rows: hash of the test rows.
        """
        if (said := self._about_identity(run)) is not None:
            yield "wrong", said
            return
        yield from self._about_facts(run)
        given = run.record.config["data"]
        for key, value in earlier({**run.record.config, "data": plain(dataclasses.asdict(self.data.config))})["data"].items():
            if plain(given.get(key)) != value:
                own = given.get(key)
                yield "wrong", f"its config has data.{key} {shown(own)}, which is {shown(value)} for this data set"
        if abs(run.record.logit_correction - self.data.logit_correction) > 1e-9:
            ours = shown(self.data.logit_correction)
            yield "wrong", f"logit_correction is {shown(run.record.logit_correction)}; its sampling of negatives gives {ours}"
        try:
            if run.view.rows_hash(run.record.identity) != rows:
                yield "wrong", "its scores are of other test rows than the data set has here"
            elif said := mismatch(run.record, run.view.predictions(run.record.identity)):
                yield "wrong", said
        except UserError as error:
            yield "wrong", str(error)
        yield from self._about_validation(run)
        # Semantic ids are made anew here, where clusters may fall otherwise: with others, tables have other sizes.
        if run.info is not None and self.data.vocabulary.codes is None:
            try:
                yield from self._about_size(run, run.info)
            except UserError as error:
                yield "wrong", str(error)

    def _about_identity(self, run: Run) -> str | None:
        """What makes its data others."""
        theirs, ours = run.record.data, self.ours
        if theirs.content_hash != ours.content_hash:
            hashes = f"content hash {theirs.content_hash[:12]}, here {ours.content_hash[:12]}"
            return f"it is of other data: {hashes} ({what_changed(theirs.content, ours.content)})"
        if theirs.split_hash != ours.split_hash:
            return f"split hash {theirs.split_hash[:12]}; here it is {ours.split_hash[:12]}"
        return None

    def _about_facts(self, run: Run) -> Iterator[Said]:
        theirs, ours = plain(dataclasses.asdict(run.record.data)), plain(dataclasses.asdict(self.ours))
        for files in (theirs, ours):  # the same file may have come from elsewhere
            files["files"] = {file["name"]: f"{file['bytes']} bytes, sha256 {file['sha256'][:12]}" for file in files["files"]}
        del ours["codes"]  # as above
        for key, value in ours.items():
            for what in _apart(f"data.{key}", theirs[key], value):
                yield "wrong", what

    def _about_validation(self, run: Run) -> Iterator[Said]:
        """What does not depend on scores: how many examples, users and requests."""
        if self._counts is None:
            found = metrics.evaluate(evaluator.rows(self.data, "valid").assign(score=0.5))
            self._counts = {
                part: {name: value for name, value in values.items() if isinstance(value, int)} for part, values in found.items()
            }
        for part, counts in self._counts.items():
            stored = run.results[0].valid[part]
            for name, value in counts.items():
                if stored[name] != value:
                    yield "wrong", f"{name} of {part} in metrics.valid is {stored[name]}; validation has {value}"

    def _about_size(self, run: Run, info: ModelInfo) -> Iterator[Said]:
        cost, experiment = run.results[1], run.experiment()
        key = run.row
        if key not in self._sizes:
            with torch.random.fork_rng([]):
                self._sizes[key] = evaluator.parameter_counts(info.build(experiment.params, self.data.spec))
        for name, value in zip(("parameters_embedding", "parameters_dense"), self._sizes[key], strict=True):
            if getattr(cost, name) != value:
                yield "wrong", f"cost.{name} is {getattr(cost, name):,}; the model has {value:,} on these data"
        if info.fit == "counts":
            return
        data = self.data.with_validation() if experiment.train.refit else self.data
        if key not in self._flops:
            self._flops[key] = flops_per_example(experiment, info, data)
        if abs(cost.flops_per_example - self._flops[key]) > SAME_FLOPS * self._flops[key]:
            yield "wrong", f"cost.flops_per_example is {shown(cost.flops_per_example)}; the model has {shown(self._flops[key])}"
        yield from self._about_steps(run, info)

    def _about_steps(self, run: Run, info: ModelInfo) -> Iterator[Said]:
        """Steps and examples of all epochs, which batch size and examples decide."""
        cost, train = run.results[1], run.experiment().train
        processes = run.record.environment.processes
        steps, examples = (cost.epochs * one for one in self._of_epoch(run, info, self.data, processes))
        if train.order == "time":
            steps, examples = self._of_stream(run, info, processes)
        again = (0.0, 0.0)
        if train.refit:
            again = tuple(cost.best_epoch * one for one in self._of_epoch(run, info, self.data.with_validation(), processes))
        trained = cost.examples_per_second * cost.train_seconds
        for name, own, first, second in (
            ("steps", float(cost.steps), steps, again[0]),
            ("trained examples (examples_per_second times train_seconds)", trained, examples, again[1]),
        ):
            most = first + second
            slack = SAME_STEPS * most + (cost.epochs if name == "steps" else 0)
            # A limit of time may end the last epoch early, and with it the refit.
            least = most - (first / cost.epochs + second / max(cost.best_epoch, 1) if train.max_seconds else 0)
            if not least - slack <= own <= most + slack:
                yield "wrong", f"it has {own:,.0f} {name}; {cost.epochs} epochs on these data have {most:,.0f}"

    def _of_stream(self, run: Run, info: ModelInfo, processes: int) -> tuple[float, float]:
        """Steps and examples of all windows."""
        course, steps, examples = course_of(self.data, info, run.experiment().train, run.record.identity.seed), 0, 0
        for window in range(epochs_of(course)):
            batches = course.lessons(window)
            steps += len(batches.plans(window)[::processes])
            examples += len(batches.examples)
        return float(steps), float(examples)

    def _of_epoch(self, run: Run, info: ModelInfo, data: RankingData, processes: int) -> tuple[float, float]:
        """Mean steps and examples of an epoch."""
        train, seed = run.experiment().train, run.record.identity.seed
        size = train.batch_size if info.view == "pointwise" else train.batch_events
        key = json.dumps([info.view, size, seed, processes, data.refit, train.whole_requests])
        if key not in self._steps:
            sizes = train.batch_size, train.batch_events
            batches = make_batches(data, info.view, "train", *sizes, seed, train.whole_requests)
            steps = examples = 0
            for epoch in range(EPOCHS):
                steps += len(batches.plans(epoch)[::processes])
                examples += len(batches.examples)
            self._steps[key] = steps / EPOCHS, examples / EPOCHS
        return self._steps[key]


def _apart(where: str, theirs: Any, ours: Any) -> Iterator[str]:
    """What differs, by dotted key."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from _apart(f"{where}.{key}", theirs.get(key), ours.get(key))
    elif theirs != ours and not (isinstance(ours, float) and isinstance(theirs, float) and abs(ours - theirs) <= 1e-9):
        yield f"{where} is {shown(theirs)}; here it is {shown(ours)}"
