"""Two hosts on this machine: network namespaces with an address each and a wire between them. Needs Linux, `ip` and root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

IP = shutil.which("ip")


@dataclass(frozen=True)
class Host:
    namespace: str
    address: str
    interface: str

    def command(self, *command: str) -> list[str]:
        """What runs a command there."""
        return [str(IP), "netns", "exec", self.namespace, *command]


def _ip(*arguments: str) -> None:
    subprocess.run([str(IP), *arguments], check=True, capture_output=True)


def why_not() -> str | None:
    """Why this machine cannot have them, or None."""
    if IP is None:
        return "hosts of their own need the command ip"
    name = f"rankbench-{os.getpid()}"
    if subprocess.run([IP, "netns", "add", name], capture_output=True).returncode != 0:
        return "hosts of their own need the right to make network namespaces"
    _ip("netns", "delete", name)
    return None


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Gone at the end, with the wire."""
    own = str(os.getpid())
    pair = tuple(Host(f"rankbench-{own}-{end}", f"10.213.0.{end}", f"w{own}-{end}") for end in (1, 2))
    try:
        for host in pair:
            _ip("netns", "add", host.namespace)
        ends = [(host.interface, "netns", host.namespace) for host in pair]
        _ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for host in pair:
            inside = ("-n", host.namespace)
            _ip(*inside, "address", "add", f"{host.address}/24", "dev", host.interface)
            _ip(*inside, "link", "set", host.interface, "up")
            _ip(*inside, "link", "set", "lo", "up")
        yield pair[0], pair[1]
    finally:
        for host in pair:
            subprocess.run([str(IP), "netns", "delete", host.namespace], capture_output=True)
