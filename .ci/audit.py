"""Looks up the pinned versions of requirements.lock in the vulnerability database of the package index.

Exits with 1 if a pinned version has a known vulnerability. If the database cannot be reached, or knows none of the
packages, as behind a mirror that serves files only, the script says so and exits with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
PROBE = "certifi"
"""Package that is looked up alone first: whether the database answers is then known after a second."""


def look_up(requirements: Path) -> list[dict[str, Any]] | str:
    """Returns pip-audit's findings for the packages that the database knows, or a line that says why there are none."""
    options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", "--timeout=10"]
    command = [sys.executable, "-m", "pip_audit", *options, "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return (done.stderr.strip().splitlines() or [f"pip-audit ended with status {done.returncode}"])[-1]
    return [package for package in packages if "vulns" in package] or packages[0]["skip_reason"]


def main() -> int:
    """Prints what is known about the pinned versions and returns the exit status."""
    blocks = LOCK.read_text("utf-8").replace("\\\n", "").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder, "probe.lock")
        probe.write_text("".join(f"{block}\n" for block in blocks if block.startswith(f"{PROBE}==")))
        report = look_up(probe)
        if not isinstance(report, str):
            report = look_up(LOCK)
    if isinstance(report, str):
        print(f"audit: NOT DONE, the vulnerability database could not be used: {report}")
        return 0
    for package in report:
        for vulnerability in package["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "no release"
            print(f"audit: {package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    print(f"audit: {len(report)} packages looked up")
    return int(any(package["vulns"] for package in report))


if __name__ == "__main__":
    sys.exit(main())
