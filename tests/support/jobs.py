"""What processes are given to do in tests: functions that a fresh process can import."""

from __future__ import annotations

import os
import signal
import time

from rankbench.bench.errors import UserError
from rankbench.bench.training.progress import EpochStarted, Send
from support.events import cell


def work(job: str, send: Send) -> tuple[str, int]:
    """Sends its name and returns it with the process's number; some names go wrong in their own way."""
    send(cell(job), EpochStarted(1, 2, 3, 0))
    match job:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "ends":
            os._exit(7)
        case "refused":
            raise UserError("the file is wrong")
        case "broken":
            raise ZeroDivisionError("a fault of the program")
        case "slow":
            time.sleep(60)
    return job, os.getpid()
