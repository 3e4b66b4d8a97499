"""Processes that are forked from one that has imported everything: each is there at once."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def forked(work: Callable[[], int]) -> int:
    """The process that does the work, whose exit code is what that returns; 1 if it fails, which it says."""
    if (child := os.fork()) == 0:
        code = 1
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return child


def exit_code(child: int) -> int:
    """Of a process that is waited for; minus its number, if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
