"""docs/reference/kernels.md: every operation with its implementations, as they are registered."""

from __future__ import annotations

from ....kernels.dispatch import OPERATIONS, USERS, Implementation
from ... import implementations  # noqa: F401  registers every operation
from ..board_files import markdown_table

DEVICES = {
    "cpu": "CPU, with a C++ compiler",
    "cuda": "NVIDIA GPU",
    "npu": "Ascend NPU, with RecSDK's operators",
    None: "any device",
}
DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def page() -> str:
    """The whole page."""
    rows = [["operation", "used by", "implementation", "runs on", "dtypes", "what it is"]]
    for operation, found in sorted(OPERATIONS.items()):  # not in the order in which modules happened to be imported
        for at, one in enumerate(found):
            first = [f"`{operation}`", USERS[operation]] if at == 0 else ["", ""]
            rows.append([*first, f"`{one.name}`", DEVICES[one.device], _dtypes(one), one.what])
    table = "\n".join(markdown_table(rows))
    return f"""\
# Kernels

Generated from the code by `rankbench ls kernels --markdown`; a test holds it up to date. These operations have more than one
implementation. Of each operation, the first implementation in the order of this table is chosen that takes the device and
the dtype and works on the machine. `rankbench ls kernels` shows the choice on the machine at hand, and `rankbench run
--kernel OPERATION=IMPLEMENTATION` forces another one; [choosing kernels](../howto/kernels.md) says more.

{table}
"""


def _dtypes(one: Implementation) -> str:
    return "any" if one.dtypes is None else ", ".join(DTYPES[str(dtype).removeprefix("torch.")] for dtype in one.dtypes)
