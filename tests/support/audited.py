"""What `make supply-chain` says of known vulnerabilities: how many packages were asked about, and whether anybody answered.

pip-audit ends well and says "No known vulnerabilities found" also if its database knew none of the packages.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def verdict(report: str | None) -> tuple[str, int]:
    """Lines and exit code for pip-audit's report in JSON; None if it wrote none."""
    packages = json.loads(report)["dependencies"] if report else []
    asked = [one for one in packages if "skip_reason" not in one]
    if not asked:
        return f"NOT AUDITED: the database of vulnerabilities could not be reached, for none of {len(packages)} packages", 1
    known = [
        f"{one['name']} {one['version']}: {', '.join(fault['id'] for fault in one['vulns'])}" for one in asked if one["vulns"]
    ]
    left_out = [one["name"] for one in packages if "skip_reason" in one]
    said = f"{len(asked)} packages audited, {len(known)} with known vulnerabilities"
    lines = [said, *known, *([f"not known to the database: {', '.join(left_out)}"] if left_out else [])]
    return "\n".join(lines), int(bool(known))


if __name__ == "__main__":
    path = Path(sys.argv[1])
    words, code = verdict(path.read_text(encoding="utf-8") if path.exists() else None)
    print(words)
    sys.exit(code)
