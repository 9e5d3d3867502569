"""
Somebody else's nginx, by what its `nginx -T` says: whether it takes its configuration, whether ours is in it, and whether two servers are there
for strangers. What it says may hold secrets, and none of it but lines about these is shown.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

from gatelodge.durable import in_thread

if TYPE_CHECKING:
    from gatelodge.core.tree import Capabilities
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient

_TEST_SECONDS = 15

_INCLUDED = re.compile(r"^\s*include\s+[\"']?(?P<path>[^;\"']+)[\"']?\s*;", re.MULTILINE)
_DEFAULT = re.compile(r"^\s*listen\s+[^;]*\bdefault_server\b[^;]*;", re.MULTILINE)


async def look_at_foreign(patient: Patient, found: Capabilities, findings: Findings) -> None:
    """
    Look into somebody else's configuration: is ours included, and are there two servers for strangers?
    """
    try:
        done = await in_thread(
            lambda: subprocess.run(  # noqa: S603 - the program that the configuration names
                [found.binary, "-T"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TEST_SECONDS,
                check=False,
                cwd="/",
            )
        )
    except subprocess.TimeoutExpired:
        findings.unseen("nginx -T", f"it did not end within {_TEST_SECONDS} s")
        return
    said, complaint = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace").strip()
    if done.returncode:
        denied = "Permission denied" in complaint and os.geteuid() != 0
        if denied:
            findings.unseen(
                "nginx -T", f"it cannot be run by this user: {complaint.splitlines()[-1]}", do="run it again as root"
            )
        else:
            findings.broken(
                "nginx -T", f"nginx refuses its configuration: {_last(complaint)}", why="the next reload, or its next start, fails",
                do="mend the line that is named",
            )  # fmt: skip
        return
    entry = patient.tools.entry or ""
    folder = f"{patient.wanted.state_directory}/nginx"
    included = [match["path"].strip() for match in _INCLUDED.finditer(said)]
    if entry not in included and not any(path.startswith(folder) for path in included):
        findings.broken(
            "nginx.conf",
            "its http {} does not include Gatelodge's tree",
            why="nothing that Gatelodge writes is served",
            do=f"add the line: include {entry};",
        )
    else:
        findings.ok("nginx.conf", f"it includes {entry}")
    own, others = _defaults(said, folder)
    both = own & others
    if both:
        findings.broken(
            "nginx.conf", f"two default servers for {', '.join(sorted(both))}", why="nginx refuses that",
            do='leave [nginx] default_server at "auto", or write false',
        )  # fmt: skip


def _defaults(said: str, folder: str) -> tuple[set[str], set[str]]:
    """
    Return the addresses that have a default server of ours, and of others.
    """
    own: set[str] = set()
    others: set[str] = set()
    for part in re.split(r"^# configuration file ", said, flags=re.MULTILINE)[1:]:
        path, _, text = part.partition(":\n")
        places = {match[0].split()[1] for match in _DEFAULT.finditer(text)}
        (own if path.startswith(f"{folder}/") else others).update(places)
    return own, others


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if "[emerg]" in line] or said.splitlines() or ["it said nothing"]
    return lines[-1]
