"""Every kind of statement has words, and one test of them; tests elsewhere look at the values."""

from __future__ import annotations

import math
import typing

import pytest

from rankbench.bench.analysis.statements import (
    AgainstFloor,
    AucPairs,
    Best,
    CostOf,
    Costs,
    CutWinners,
    Disagreement,
    Families,
    Headline,
    Mismatch,
    MissingFamily,
    NoFloor,
    Pair,
    SampledTest,
    Smallest,
    Statement,
    Untuned,
)
from rankbench.bench.analysis.study_statements import (
    AtEqualFlops,
    Calibrated,
    Calibration,
    Candidates,
    CommonTest,
    Crossover,
    DifferenceAt,
    Differences,
    FewUsers,
    Held,
    HeldOutSize,
    NoMatch,
    NothingLeftOut,
    Otherwise,
    OwnTest,
    PartOfStudy,
    Probabilities,
    ProbabilitiesAt,
    Remark,
    SemanticIds,
    Trend,
    Turn,
)
from rankbench.bench.data.mismatch import RoleFacts, ValidationMismatch
from rankbench.bench.data.semantic_ids.codes import CodeFacts
from rankbench.bench.evaluation.stats import Estimate
from rankbench.bench.reporting.stream_words import sentence
from rankbench.bench.reporting.study_words import REMARKS, brief
from support.run_words import OF_RUNS
from support.stream_words import OF_STREAMS

BELOW, AROUND = Estimate(-0.0071, -0.0103, -0.0038), Estimate(0.0003, -0.002, 0.0026)
FLOOR_PAIRS = {
    "din": Pair("din", "ctr", "auc", Estimate(0.0071, 0.0038, 0.0103), "better", "post hoc", 21),
    "dnn": Pair("dnn", "ctr", "auc", AROUND, "not settled", "post hoc", 21),
    "lr": Pair("lr", "ctr", "auc", BELOW, "worse", "post hoc", 21),
}
PAIR = Pair("hstu", "din", "request_gauc", BELOW, "worse", "declared", 1)
BY_AUC = Pair("hstu", "din", "auc", AROUND, "not settled", "post hoc", 21)
NAN = math.nan


def trend(**changes: typing.Any) -> Trend:
    usual = {
        "series": "hstu width", "loss": "1 - request_gauc", "axis": "parameters", "outcome": "law", "reason": "", "first": 1e4,
        "last": 4.32e6, "slope": Estimate(-0.01, -0.02, -0.005), "shape": "log-linear", "exponent": None, "turn": None,
        "parameters": (Estimate(0.6, 0.5, 0.7), Estimate(-0.01, -0.02, -0.005)), "rivals": (), "held_out": None,
    }  # fmt: skip
    return Trend(**(usual | changes))


POWER = (Estimate(0.5, 0.49, 0.51), Estimate(6.0, 5.0, 7.0), Estimate(0.5, 0.4, 0.6))
OUTSIDE = Turn(True, Estimate(1.0, 1.0, 2.0), False)
LAW = trend(shape="power law", parameters=POWER, exponent=(0.3, 0.7), rivals=("log-linear", "parabola"))
HELD_OUT = HeldOutSize(0.51, 0.52, Estimate(-0.01, -0.02, 0.0))

SAID: list[tuple[typing.Any, str]] = [
    (
        PAIR,
        "By request GAUC, hstu is worse than din: hstu minus din is -0.0071 [-0.0103, -0.0038] (95% as a single "
        "comparison; declared "
        "before the runs).",
    ),
    (
        Pair("hstu", "din (tuned)", "auc", AROUND, "equivalent", "post hoc", 21, ("hstu",)),
        "By AUC, hstu is equivalent to din (tuned): hstu minus din (tuned) is +0.0003 [-0.0020, +0.0026] (95% for all "
        "21 comparisons "
        "together; post hoc). hstu is not tuned, because its model has no tuned row here.",
    ),
    (
        Families(BY_AUC, "ctr"),
        "By AUC, of the best generative and the best classical row, whether hstu is better or worse than din is not "
        "settled: hstu "
        "minus din is +0.0003 [-0.0020, +0.0026] (95% for all 21 comparisons together; post hoc). The mean of a "
        "floor, ctr, lies above both: "
        "nothing is shown to have been learnt.",
    ),
    (MissingFamily("generative"), "The question is not asked: no generative ranker was run."),
    (
        Disagreement(PAIR, BY_AUC),
        "The two headlines disagree. Within a request (request GAUC), hstu is worse than din; over all pairs of "
        "examples (AUC), whether "
        "hstu is better or worse than din is not settled.",
    ),
    (
        Headline("request_gauc", 1076, 9000, 79_782, 100_021, 10),
        "Rows are ordered by request GAUC, the ranking within a request, whose examples share one history: 79,782 of "
        "100,021 test "
        "examples stand in 9,000 requests with both labels, of 1,076 users.",
    ),
    (
        Headline("auc", 3, 4, 9, 100, 10),
        "Rows are ordered by AUC, because too little can be said of ranking within a request: 9 of 100 test examples "
        "stand in 4 requests "
        "with both labels, of 3 users, and at least 10 users are needed.",
    ),
    (
        AucPairs(0.0016, 0.0002),
        "Of the pairs that AUC compares, 0.16% lie within one user and 0.02% within one request: AUC is mostly about "
        "telling users apart. "
        "User GAUC stands beside it and decides nothing, because with live histories it punishes a model for reading a "
        "user's own past.",
    ),
    (AucPairs(NAN, NAN), "AUC does not exist: the test examples have a single label value."),
    (
        Best("auc", "din", Estimate(0.79, 0.78, 0.8), ("hstu", "ctr"), ("ctr",)),
        "The highest AUC is that of din, 0.7900 [0.7800, 0.8000]. Not distinguishable from the best: hstu and ctr. "
        "Among these is a "
        "floor: ctr.",
    ),
    (
        Best("auc", "din", Estimate(0.79, 0.78, 0.8), (), ()),
        "The highest AUC is that of din, 0.7900 [0.7800, 0.8000]; with 95% confidence no other row is the best.",
    ),
    (
        Smallest("auc", 0.0031, 0.0044, 0.002),
        "The smallest difference in AUC that a single comparison of two typical rows shows here is 0.0031; a true one "
        "of 0.0044 would be "
        "shown in 80% of samples. Two typical rows cannot be shown to be equivalent within ±0.002.",
    ),
    (
        Smallest("auc", 0.0011, 0.0016, 0.002),
        "The smallest difference in AUC that a single comparison of two typical rows shows here is 0.0011; a true one "
        "of 0.0016 would be "
        "shown in 80% of samples.",
    ),
    (Smallest("auc", NAN, NAN, 0.002), "No difference in AUC could be shown here."),
    (
        AgainstFloor("auc", "ctr", (FLOOR_PAIRS["din"], FLOOR_PAIRS["dnn"], FLOOR_PAIRS["lr"])),
        "By AUC, better than the best floor, ctr: din. Not shown to be better: not settled: dnn; worse: lr.",
    ),
    (
        AgainstFloor("auc", "ctr", (FLOOR_PAIRS["dnn"], FLOOR_PAIRS["lr"])),
        "By AUC, no learnt row is shown to be better than the best floor, ctr (not settled: dnn; worse: lr). The one with the "
        "highest value, dnn, minus ctr is +0.0003 [-0.0020, +0.0026] (95% for all 21 comparisons together; post hoc).",
    ),
    (AgainstFloor("auc", "ctr", (FLOOR_PAIRS["din"],)), "By AUC, every learnt row is better than the best floor, ctr."),
    (NoFloor(), "No floor was run, so it is not shown that any of these models beats a trivial one."),
    (Untuned(), "No row is tuned: every model has its defaults, apart from the settings that its label names."),
    (
        Mismatch(
            ValidationMismatch(
                RoleFacts(10, {"0": 0.5, "50+": 0.5}, 16.04, 1.0, 0.2, 0.1), RoleFacts(10, {"0": 1.0}, None, None, 0.2, 0.1)
            )
        ),
        "Epochs and settings are chosen on validation (50% of the rows are of users without training events, the others' last "
        "one 16.0 days ago (median)) and judged on the test (100% of the rows are of users without training events).",
    ),
    (
        CutWinners(("hstu (tuned)",)),
        "Found by a trial that a limit of time ended, and trained under the same limit: hstu (tuned).",
    ),
    (
        SampledTest("uniform", 20.0, False),
        "Test negatives are not impressions but sampled items (uniform, 20 per positive, the same for every row). "
        "Telling liked items "
        "from sampled ones is another task than telling them from what was shown: compare no number here with one of "
        "exposed negatives. "
        "Positives are left out whose item nobody had met earlier, or that their user had met before (docs/ideas/negatives.md).",
    ),
    (
        Costs(CostOf("hstu", "CPU time", 30.04, 2.04, 2e5), CostOf("din", "CPU time", 10.0, 1.0, 1e5)),
        "The cost, in CPU time: hstu trains for 30.0 s and scores 100 candidates in 2.0 ms, with 2.00 times the "
        "arithmetic of din per "
        "training example; din takes 10.0 s and 1.0 ms.",
    ),
    (
        Differences(
            "hstu", "auc", "none", (DifferenceAt("both", BELOW, "worse"), DifferenceAt(3.0, AROUND, "not settled")), False, 6
        ),
        "hstu: AUC against none: both -0.0071 [-0.0103, -0.0038], worse; 3 +0.0003 [-0.0020, +0.0026], not settled. (1 "
        "worse, 1 not "
        "settled)",
    ),
    (
        Differences("sasrec", "auc", "published", (DifferenceAt("gate", BELOW, "worse"),), True, 6, "user_events: 0", 40),
        "sasrec, user_events: 0 (40 users): AUC of each step against the one before, from published on: gate -0.0071 "
        "[-0.0103, -0.0038], "
        "worse.",
    ),
    (PartOfStudy(("* data",)), "A part of the study: * data, with what these are compared with."),
    (
        Held(6, 0.002),
        "Brackets after differences are paired 95% intervals over test users and seeds, for all 6 comparisons together "
        "by one metric. "
        "better and worse: the interval excludes zero; equivalent: it lies within ±0.002; not settled: anything else.",
    ),
    (
        Candidates(1, 1, False, "auc", 3.0, 4, (), 5),
        "Every other setting is the model's default or what the command says, the same at every point: a point that "
        "would need another "
        "learning rate is shown below what it can do.",
    ),
    (
        Candidates(3, 5, True, "request_gauc", 3.0, 4, ("hstu @ 2",), 8),
        "Each point keeps the best of 3 to 5 learning rates by validation request GAUC, chosen on a single training of "
        "the first seed "
        "each: between neighbouring rates the choice may be noise. While the best lay at the edge, the rates were "
        "extended by a factor of "
        "3, 4 times at most. Points with a single learning rate keep the model's own. The best learning rate still "
        "lies at the edge of "
        "those tried at 1 of 8 points, which may be shown below what they can do: hstu @ 2.",
    ),
    (
        Calibration("din, uniform", (Calibrated(4.0, 0.2, 0.01),)),
        "din, uniform: ECE before and after correction of the odds: 4 0.2000 and 0.0100. No interval: a description of "
        "these runs.",
    ),
    (
        SemanticIds(CodeFacts("features", "k-means", 3, 64, 1_400, 1_390, 560, 1_050, 62, 246, 240, 176)),
        "Semantic ids (k-means over features, 3 levels of 64): 1,390 of 1,400 training items have codes, 560 different ones; "
        "1,050 items share all of theirs with another, 62 the commonest. Of 246 items without training events 240 have codes, "
        "176 those of a training item.",
    ),
    (
        Probabilities("din", (ProbabilitiesAt("bce", 0.5, 0.01, True), ProbabilitiesAt("pairwise", 0.9, 0.3, False))),
        "din: logloss and ECE, means over seeds, a description of these runs: bce 0.5000 and 0.0100; of scores that are not "
        "asked to be probabilities: pairwise 0.9000 and 0.3000.",
    ),
    (
        Crossover(
            "din",
            "hstu",
            0.5,
            "auc",
            50,
            Estimate(0.02, 0.01, 0.03),
            Estimate(-0.01, -0.02, -0.001),
            Estimate(0.03, 0.01, 0.05),
            300,
            1_200,
        ),
        "din minus hstu, both trained on 0.5 of the examples, by AUC: on items with 50 training examples or more (300 items) "
        "+0.0200 [+0.0100, +0.0300]; on items with fewer, but some (1,200 items) -0.0100 [-0.0200, -0.0010]; the first minus the "
        "second +0.0300 [+0.0100, +0.0500]: din is ahead where items have many examples and behind where they have few. Post "
        "hoc; intervals are over users, items and seeds.",
    ),
    (
        NothingLeftOut(("no bots", "no repeats")),
        "Steps that leave nothing out of this log, so that there is nothing to train: no bots, no repeats.",
    ),
    (
        CommonTest(90, "request_gauc", "din", 0.66, (OwnTest("log", 90, 0.66), OwnTest("half", 90, 0.65))),
        "All data sets have the same 90 test rows: verdicts and table are of these.",
    ),
    (
        CommonTest(90, "request_gauc", "din", 0.66, (OwnTest("log", 1_200, 0.67), OwnTest("half", 90, 0.65))),
        "The test sets differ. Verdicts and table are of the 90 test rows that all data sets have, where din has request GAUC "
        "0.6600 without any step. On the own test of each data set, which nothing here compares, its request GAUC is: log "
        "1,200 rows, 0.6700; half 90 rows, 0.6500.",
    ),
    *((Remark(topic), text) for topic, text in REMARKS.items()),  # type: ignore[arg-type]
    (
        AtEqualFlops("hstu width @ 64", "din width @ 200", "auc", (1.234e9, 1.2e9), BELOW, "worse", 2),
        "At equal FLOPs of training (1.2e+09 and 1.2e+09), AUC of hstu width @ 64 minus din width @ 200: -0.0071 "
        "[-0.0103, -0.0038], for "
        "all 2 comparisons together: worse.",
    ),
    (
        NoMatch("hstu", "din"),
        "hstu and din overlap in FLOPs of training, but no two points are within 10%: nothing is claimed.",
    ),
    (FewUsers(10), "Fewer than 10 test users: no interval can be trusted, and nothing is said of scaling."),
    (trend(outcome="still"), "hstu width: parameters hardly change, so that nothing is fitted."),
    (
        trend(),
        "hstu width, 10k to 4.32M parameters: 1 - request GAUC = a + b ln x, which falls. Slope -0.0100 [-0.0200, -0.0050].",
    ),
    (
        LAW,
        "hstu width, 10k to 4.32M parameters: 1 - request GAUC = E + A x^-a with E 0.5000 [0.4900, 0.5100], A 6, a "
        "0.50 [0.40, 0.60], "
        "profile [0.30, 0.70] (by AICc, log-linear and parabola would do as well). Slope -0.0100 [-0.0200, -0.0050].",
    ),
    (
        trend(shape="parabola", turn=Turn(True, Estimate(3e5, 2e5, 4e5), True), held_out=HELD_OUT),
        "hstu width, 10k to 4.32M parameters: 1 - request GAUC is a parabola in ln x, lowest at 300k [200k, 400k]. "
        "Slope -0.0100 [-0.0200, "
        "-0.0050]. Fitted without the largest sizes, parabola predicts 0.5100 for the largest, observed 0.5200, error "
        "-0.0100 [-0.0200, "
        "+0.0000].",
    ),
    (
        trend(shape="parabola", turn=OUTSIDE, slope=None),
        "hstu width, 10k to 4.32M parameters: 1 - request GAUC is a parabola in ln x, which turns at none of these sizes.",
    ),
    (
        trend(outcome="no scaling shown", reason="a constant does as well", slope=AROUND),
        "hstu width, 10k to 4.32M parameters: no scaling shown, a constant does as well. Slope +0.0003 [-0.0020, +0.0026].",
    ),
    (
        trend(outcome="not identified", reason="3 sizes, and a law needs 6"),
        "hstu width, 10k to 4.32M parameters: 1 - request GAUC falls, by a law that is not identified: 3 sizes, and a "
        "law needs 6. Slope "
        "-0.0100 [-0.0200, -0.0050].",
    ),
    (
        Otherwise("hstu width", (trend(loss="logloss", axis="FLOPs"), trend(outcome="still"))),
        "hstu width, otherwise: -0.0100 for tenfold, log-linear (logloss over FLOPs); hardly moves (1 - request GAUC "
        "over parameters).",
    ),
    *OF_RUNS,
    *OF_STREAMS,
]


@pytest.mark.parametrize(("statement", "words"), SAID, ids=lambda value: getattr(value, "kind", ""))
def test_a_statement_in_words(statement: typing.Any, words: str) -> None:
    assert sentence(statement) == words


def test_every_kind_has_words_and_a_test_of_them() -> None:
    kinds = set(typing.get_args(typing.get_args(Statement)[0]))
    assert {type(statement) for statement, _ in SAID} == kinds
    assert all(sentence.dispatch(kind) is not sentence.dispatch(object) for kind in kinds)
    names = [kind.__dataclass_fields__["kind"].default for kind in kinds]
    assert len(set(names)) == len(names), "the kind tells a statement of a file apart"


def test_an_outcome_in_a_few_words() -> None:
    assert brief(trend(outcome="not identified", slope=None)) == "too few sizes"
    assert brief(trend(outcome="not identified")) == "-0.0100 for tenfold, law not identified"


def test_what_verdicts_do_not_hold_for_is_said_beside_them() -> None:
    assert "may tell of times after an example" in REMARKS["side information"]
    assert "verdicts and table are of the windows from the second on" in REMARKS["windows"]
