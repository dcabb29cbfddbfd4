"""Known vulnerabilities of the installed packages: `python -m tests.audit`, part of `make check`.

pip-audit queries a service; if that cannot be reached, it may still end with "none found". So its answer is parsed: a
skipped package is reported, and if most were skipped, the audit counts as not done.

Exit status: 0 for a clean audit, and with `--if-reachable` for one that was not done; 1 for vulnerabilities; 2 for an
audit that was not done.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

ACCEPTED = {
    "CVE-2026-45829": "chromadb's Python server, which is never started here; there is no mended release",
    "CVE-2026-45833": "chromadb's Python server, which is never started here; there is no mended release",
}
"""Accepted vulnerabilities by any of their names, with the reason why they do not affect this program."""
ASK = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--timeout", "20"]
NOT_DONE = "AUDIT NOT DONE: known vulnerabilities were not looked up. {}"


@dataclass(frozen=True)
class Audit:
    """The result of an audit. `trouble` is empty if the audit was done."""

    checked: int
    skipped: int
    found: tuple[str, ...]
    accepted: tuple[str, ...]
    trouble: str = ""

    @property
    def lines(self) -> list[str]:
        """Return the result as lines to print."""
        if self.trouble:
            return [NOT_DONE.format(self.trouble)]
        told = f"Audit of {self.checked} packages: {len(self.found) or 'no'} known vulnerabilities."
        skipped = f" {self.skipped} more are unknown to the service." if self.skipped else ""
        return [told + skipped, *self.found, *(f"accepted: {one}" for one in self.accepted)]

    def status(self, *, if_reachable: bool) -> int:
        """Return the exit status of the command."""
        return 1 if self.found else 2 if self.trouble and not if_reachable else 0


def read(output: str, errors: str) -> Audit:
    """Parse pip-audit's JSON; without JSON, report its last line of errors."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Audit(0, 0, (), (), f"pip-audit said: {(errors.strip().splitlines() or ['nothing'])[-1][:200]}")
    checked = [package for package in packages if "skip_reason" not in package]
    found, accepted = [], []
    for package in checked:
        for hole in package["vulns"]:
            said = f"{package['name']} {package['version']}: {hole['id']}, mended in {hole['fix_versions'] or 'none'}"
            reason = next((ACCEPTED[name] for name in (hole["id"], *hole["aliases"]) if name in ACCEPTED), "")
            (accepted if reason else found).append(f"{said} ({reason})" if reason else said)
    skipped = len(packages) - len(checked)
    lost = "" if len(checked) > skipped else f"The service knew {len(checked)} of {len(packages)} packages."
    return Audit(len(checked), skipped, tuple(found), tuple(accepted), lost if not found else "")


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    ran = subprocess.run(ASK, capture_output=True, text=True, check=False)
    audit = read(ran.stdout, ran.stderr)
    sys.stdout.write("\n".join(audit.lines) + "\n")
    return audit.status(if_reachable="--if-reachable" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
