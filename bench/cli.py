"""The command line: what commands there are, errors and exit codes. A command's file in commands/ has its options and its code.

Exit codes: 0 done, 1 a run or a check failed, 2 wrong usage or input, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__  # pyright: ignore[reportMissingImports]  (the folder above is a package only through src/rankbench)
from . import registry
from .commands import COMMANDS
from .commands.parser import Parser
from .errors import UserError, of_machine

EXAMPLES = ("rankbench doctor", "rankbench run", "rankbench run --models din,hstu --dataset my.yaml --seeds 5", "rankbench board")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code of the process."""
    try:
        args = build_parser().parse_args(argv)
        registry.load_own()
        code = args.run(args)
        sys.stdout.flush()
        return code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else _fail(str(end.code))
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:
        # Whoever read the output has left; what remains in the buffer goes nowhere, without a second error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (OSError, MemoryError, RuntimeError) as error:
        if (lacking := of_machine(error)) is not None:
            return _fail(str(lacking))
        if "TORCH_DEVICE_BACKEND_AUTOLOAD" not in str(error):
            raise
        from .doctor import why_torch_fails

        return _fail(why_torch_fails(error))


def interrupted() -> int:
    """Ctrl-C, in one line."""
    print("rankbench: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
    return 130


def process() -> NoReturn:
    """The whole process of a command: its exit code, and for one of several that trained together an end without Python's own.

    Threads of torch.distributed outlive their group; one that still wants the interpreter while that is taken down aborts all,
    and torchrun then ends the others, finished or not.
    """
    try:
        code = main()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done, and Python's own end is none of the user's business
    except KeyboardInterrupt:  # a second one, or one at the last moment
        code = interrupted()
    if "torch.distributed" in sys.modules and os.environ.get("WORLD_SIZE", "1") != "1":
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _fail(message: str) -> int:
    print("rankbench: error:", " ".join(message.split("\n")), file=sys.stderr)
    return 2


def build_parser() -> Parser:
    """The parser of the whole command line."""
    description = "Generative rankers against classical ones, on identical examples."
    parser = Parser(prog="rankbench", description=description, examples=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"rankbench {__version__}")
    parser.add_modules("command", f"{__package__}.commands", COMMANDS)
    return parser
