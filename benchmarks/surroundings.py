"""
Says where and when something is measured: the machine, the load on it, and the versions of all that may take part.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path

import gatelodge

#: What tells the version of each program that may take part.
_VERSIONS: dict[str, tuple[str, ...]] = {
    "nginx": ("nginx", "-v"),
    "pebble": ("dpkg-query", "-W", "-f", "${Version}", "pebble"),
    "caddy": ("caddy", "version"),
    "traefik": ("traefik", "version"),
    "certbot": ("certbot", "--version"),
    "lego": ("dpkg-query", "-W", "-f", "${Version}", "lego"),
    "dehydrated": ("dpkg-query", "-W", "-f", "${Version}", "dehydrated"),
    "h2load": ("h2load", "--version"),
}

_NUMBER = re.compile(r"\d+\.\d+[\w.+~-]*")

_MODEL = re.compile(r"^model name\s*: (.+)$", re.MULTILINE)
_MEMORY = re.compile(r"^MemTotal: +(\d+) kB$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """
    The machine in a few words, the versions by program, and the load average over a minute (getloadavg(3)) at the moment of `at`,
    which is UTC: before the work what others let the machine do.
    """

    machine: str
    versions: dict[str, str]
    at: str
    load: float


def look() -> Surroundings:
    """
    Look around, now.
    """
    return Surroundings(
        machine=_machine(),
        versions={"gatelodge": _ours(), "python": platform.python_version(), **_versions()},
        at=time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        load=round(os.getloadavg()[0], 2),
    )


def words(found: Surroundings) -> str:
    """
    Say in a line what `look` found.
    """
    programs = ", ".join(f"{name} {number}" for name, number in found.versions.items())
    return f"{found.at} UTC, {found.machine}, load {found.load} before; {programs}"


def _ours() -> str:
    """
    Return our version, with the commit where this is a checkout; `dirty` when it is not all committed.
    """
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return gatelodge.__version__
    return f"{gatelodge.__version__} ({commit})"


def _machine() -> str:
    model = _MODEL.search(_text("/proc/cpuinfo"))
    memory = _MEMORY.search(_text("/proc/meminfo"))
    parts = [f"{os.cpu_count()} processors", model.group(1).strip() if model else platform.machine()]
    if memory:
        parts.append(f"{int(memory.group(1)) / 1e6:.0f} GB")
    return ", ".join(parts)


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _versions() -> dict[str, str]:
    found = {}
    for name, command in _VERSIONS.items():
        if shutil.which(name) and shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, check=False, text=True)
            number = _NUMBER.search(done.stdout + done.stderr)
            if number:
                found[name] = number.group()
    return found
