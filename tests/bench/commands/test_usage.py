"""How commands are called: help, examples, and nothing that is given without being used."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rankbench.bench import cli
from rankbench.bench.commands import following, limits, measured, on_data, peers, running, settings, speed, streams
from rankbench.bench.commands.parser import Parser
from rankbench.bench.config import Settings
from rankbench.bench.data.sources import DATASETS
from rankbench.bench.data.splits import SPLITS
from rankbench.bench.registry import MODELS, select
from rankbench.bench.runs.cell import plan
from rankbench.bench.studies.catalog import find
from rankbench.bench.studies.points import cells
from support.shell import refused
from support.studies import scope

pytestmark = pytest.mark.usefixtures("own_folders")


GROUPS = {"speed": speed, "peers": peers}
"""Commands whose verbs have files of their own."""


def _commands() -> Iterator[tuple[tuple[str, ...], ModuleType]]:
    """Every command and every verb that has a file, with its module."""
    for name in cli.COMMANDS:
        yield (name,), importlib.import_module(f"rankbench.bench.commands.{name}")
    for name, group in GROUPS.items():
        for verb in group.VERBS:
            yield (name, verb), importlib.import_module(f"rankbench.bench.commands.{name}.{verb}")


COMMANDS = dict(_commands())
EXAMPLES = [*cli.EXAMPLES, *(line for module in COMMANDS.values() for line in module.EXAMPLES)]


VERBS = [("data", "get"), ("data", "describe"), ("ls", "models"), ("ls", "kernels")]


@pytest.mark.parametrize("words", [*COMMANDS, *VERBS], ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: rankbench {' '.join(words)} ")
    if words in COMMANDS:
        assert COMMANDS[words].HELP in shown and all(f"  {line}" in shown for line in COMMANDS[words].EXAMPLES)


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_in_the_help_are_valid(line: str) -> None:
    launcher, called, arguments = line.partition("rankbench ")
    assert called and launcher in ("", "torchrun --nproc-per-node 8 -m ")
    args = cli.build_parser().parse_args(shlex.split(arguments))
    for name in ("dataset", "name") if args.command != "study" else ("dataset",):
        assert set((getattr(args, name, None) or "my.yaml").split(",")) <= {"my.yaml", *DATASETS}
    assert getattr(args, "split", None) in (None, *SPLITS)
    if args.command == "study":
        study = find(args.name)
        models = select(args.models) if args.models else study.models[args.size]
        points = study.grid(scope(models, args.size, series=tuple(args.series)))
        assert all(cells(point, point.candidates[0], Settings().changed(args.set, tuple(MODELS)), 1) for point in points)
    if args.command == "run":
        # A file of the reader's own is not here.
        here = ",".join(word for word in args.models.split(",") if not word.endswith(".py"))
        assert plan(select(here), Settings().changed(args.set, tuple(MODELS)), args.seeds)


def test_help_and_lists_import_no_library() -> None:
    """That is why they answer at once."""
    libraries = {"torch", "numpy", "pandas", "scipy", "rich", "matplotlib", "optuna", "deepctr_torch", "pyarrow"}
    kinds = ("models", "datasets", "protocols", "metrics", "studies")
    lists = [["ls"], *(["ls", kind] for kind in kinds), ["--help"], ["speed", "--help"]]
    helps = [[*words, "--help"] for words in COMMANDS]
    code = (
        f"import sys; from rankbench.bench import cli; assert not any(cli.main(words) for words in {lists}); "
        "assert 'yaml' not in sys.modules; "
        f"assert not any(cli.main(words) for words in {helps}); print(sorted({libraries} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def _options(parser: Parser) -> set[str]:
    """Names of the values of a parser and of its verbs."""
    parser.load()
    own = {action.dest for action in parser._actions if action is not parser.verbs} - {"help"}
    return own.union(*(_options(verb) for verb in parser.verbs.choices.values())) if parser.verbs else own


def _parser(words: tuple[str, ...]) -> Parser:
    parser = cli.build_parser()
    for word in words:
        parser.load()
        assert parser.verbs is not None
        parser = parser.verbs.choices[word]
    return parser


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] not in GROUPS or len(words) > 1], ids=" ".join)
def test_a_command_reads_every_option_that_it_has_and_no_other(words: tuple[str, ...]) -> None:
    """An option that no code reads would be swallowed."""
    source = _source(COMMANDS[words])
    for helper in (settings, measured, running, streams, following, limits, on_data):
        if re.search(rf"^from \.+{helper.__name__.rpartition('.')[2]} import", source, re.M):
            source += _source(helper)
    read = set(re.findall(r"\bargs\.(\w+)", source))
    by_name = set(re.findall(r'"(\w+)"', source))
    options = _options(_parser(words))
    assert read - {"given", "action", "kind"} <= options <= read | by_name


def _source(module: ModuleType) -> str:
    assert module.__file__ is not None
    return Path(module.__file__).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("rn",), "did you mean 'run'?"),
        (("ls", "model"), "did you mean 'models'?"),
        (("study", "negative"), "did you mean 'negatives'?"),
        (("study", "time", "--size", "large"), "invalid choice: 'large'"),
        (("study", "time", "--models", "hstuu"), "unknown model 'hstuu'; did you mean 'hstu'?"),
        (("run", "--model", "din"), "did you mean '--models'?"),
        (("run", "--seeds", "0"), "argument --seeds: must be a whole number above 0, not '0'"),
        (("run", "--models", "hstuu"), "unknown model 'hstuu'; did you mean 'hstu'?"),
        (("run", "--set", "lr=1"), "write section.key=value"),
        (("run", "--set", "trian.lr=1"), "unknown section in --set 'trian'; did you mean 'train'?"),
        (("run", "--set", "train.lrr=1"), "unknown key in train 'lrr'; did you mean 'lr'?"),
        (("run", "--set", "train.epochs=many"), "train.epochs must be a whole number, not 'many'"),
        (("run", "--set", "data.history_length=0"), "data.history_length must be at least 1, not 0"),
        (("run", "--config", "none.yaml"), "config file none.yaml does not exist"),
        (("run", "--data-root", "nowhere"), "--data-root names nowhere, which is not a folder"),
        (("run", "--device", "gpu"), "unknown device 'gpu'"),
        (("run", "--kernel", "hstu_atention=torch"), "unknown operation 'hstu_atention'; did you mean 'hstu_attention'?"),
        (("run", "--kernel", "hstu_attention=touch"), "did you mean 'torch'?"),
        (("run", "--kernel", "torch"), "--kernel 'torch' is not OPERATION=IMPLEMENTATION"),
        (("ls", "kernels", "--device", "gpu"), "unknown device 'gpu'"),
        (("run", "--dataset", "ml100k"), "unknown data set 'ml100k'; did you mean 'ml-100k'?"),
        (("run", "--dataset", "none.yaml"), "data set file none.yaml does not exist"),
        (("data", "describe", "ml100k"), "did you mean 'ml-100k'?"),
        (("data", "drop", "ml-100k"), "invalid choice: 'drop'"),
        (("speed",), "the following arguments are required: VERB"),
        (("speed", "layer"), "did you mean 'layers'?"),
        (("peers", "quality"), "the following arguments are required: --models-from"),
        (("peers", "quality", "--models-from", "nowhere"), "--models-from nowhere has no DIN/src/DIN.py"),
        (("peers", "speed", "--python", "python3"), "peers speed --python needs --models-from, the folder model_zoo of a"),
        (("peers", "speed", "--models-from", "nowhere"), "--models-from nowhere has no DIN/src/DIN.py"),
        (
            ("peers", "quality", "--models-from", "nowhere", "--dropout", "1"),
            "--dropout: must be a number from 0 to below 1, not '1'",
        ),
        (("board",), "no run matches in results/local (it holds no run at all); start with: rankbench run"),
        (("score",), "no run with scores in results/local; start with: rankbench run"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("speed", "layers", "--dataset", "ml-100k"),
            "arguments: --dataset ml-100k (see rankbench speed layers --help)",
        ),
        (("speed", "layers", "--device", "cuda"), "unrecognized arguments: --device"),
        (("speed", "kernels", "--seconds", "3"), "unrecognized arguments: --seconds"),
        (("speed", "train", "--dtype", "bf16"), "unrecognized arguments: --dtype"),
        (("peers", "speed", "--models", "din"), "unrecognized arguments: --models"),
        (("peers", "quality", "--models-from", "nowhere", "--rounds", "3"), "unrecognized arguments: --rounds"),
        (("speed", "--rounds", "3", "kernels"), "unrecognized arguments: --rounds; what belongs to a VERB comes after it"),
        (("--models", "din", "run"), "unrecognized arguments: --models; what belongs to a COMMAND comes after it"),
        (("ls", "models", "--device", "cpu"), "unrecognized arguments: --device"),
        (("ls", "--device", "cpu"), "unrecognized arguments: --device"),
        (("ls", "metrics", "--markdown"), "unrecognized arguments: --markdown"),
        (("ls", "--markdown"), "unrecognized arguments: --markdown; what belongs to a KIND comes after it"),
        (("run", "--models", "din", "--models=hstu"), "argument --models: given twice, and only one can count"),
        (("run", "--resume", "--no-resume"), "argument --resume/--no-resume: given twice"),
        (("run", "--set", "train.lr=1", "--set", "train.lr=2"), "argument --set: train.lr is given twice"),
        (("run", "--kernel", "linear=torch", "--kernel", "linear=cpu"), "argument --kernel: linear is given twice"),
        (
            ("run", "--dataset", "ml-1m", "--set", "data.dataset=ml-100k"),
            "--dataset and --set data.dataset say the same",
        ),
        (
            ("study", "time", "--split", "chrono-rank", "--set", "data.split=global-time"),
            "--split and --set data.split say",
        ),
        (("sweep", "--redraw", "--models", "core"), "--redraw makes no use of --models; leave it out"),
        (("sweep", "--redraw", "--no-prune", "--results", "r"), "--redraw makes no use of --prune; leave it out"),
        (("sweep", "--config", "tuned"), "--config tuned is what a sweep finds"),
        (("report", "--markdown", "--out", "page.html"), "--out page.html: a name that ends in .md goes with --markdown"),
        (("report", "--out", "LEADERBOARD.md"), "--out LEADERBOARD.md: a name that ends in .md goes with --markdown"),
        (("predict", "a.safetensors", "--user", "1", "--results", "r"), "the file a.safetensors makes no use of --results"),
        (("predict", "din", "--user", "1", "--context", "tab=1", "--context", "tab=2"), "argument --context: tab is given twice"),
    ],
)
def test_what_would_do_nothing_is_an_error(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert message in refused(capsys, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"], "nothing was begun"


@pytest.mark.parametrize(
    ("arguments", "other"),
    [
        (("doctor", "--modles", "x"), "--models"),
        (("speed", "layers", "--dtyp", "fp32"), "--dtype"),
        (("ls", "--devic", "cpu"), "--device"),
    ],
)
def test_a_hint_names_only_what_the_same_command_has(
    arguments: tuple[str, ...], other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, *arguments)
    assert "did you mean" not in line and f"{other}'" not in line


def test_a_value_that_follows_two_dashes_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    args = cli.build_parser().parse_args(["check", "--dataset", "my.yaml", "--", "--dataset"])
    assert str(args.folder) == "--dataset" and args.given == {"--dataset"}
