"""
The state directory: whether it is there and stays, who may read it, how much room is left, and who works on it.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.durable import in_thread
from gatelodge.errors import StateError
from gatelodge.stores import lock
from gatelodge.stores.mounts import passing
from gatelodge.stores.state import check_format, find_open_folders

if TYPE_CHECKING:
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient

#: Below these a full disk is near, or here: a tree and a certificate take some hundred kilobytes, logs up to 40 MB.
_LOW_BYTES, _NO_BYTES = 100 * 1024**2, 5 * 1024**2
_LOW_FILES, _NO_FILES = 2000, 100

#: Files whose owner is looked at.
_MOST_FILES = 5000

_MEGABYTE = 1024**2


async def look(patient: Patient, findings: Findings) -> None:
    """
    Look at the directory. Everything blocks, so it is done in a thread.
    """
    if patient.state_directory is not None:
        top = Path(patient.state_directory)
        await in_thread(lambda: _look(patient, top, findings))


def _look(patient: Patient, top: Path, findings: Findings) -> None:
    try:
        top.stat()
    except FileNotFoundError:
        findings.note(
            str(top), "it is not there yet", why="`gatelodge run` makes it; until then nothing is held and nothing is served",
            do="start the daemon",
        )  # fmt: skip
        top = next(each for each in top.parents if each.exists())
        _look_at_room(top, findings)
        return
    _look_at_kind(patient, top, findings)
    _look_at_room(top, findings)
    _look_at_modes(top, findings)
    _look_at_owners(top, findings)
    _look_at_lock(patient, top, findings)


def _look_at_kind(patient: Patient, top: Path, findings: Findings) -> None:
    acme = patient.config.acme if patient.config else None
    lies_on = passing(str(top))
    if lies_on is None:
        findings.ok(str(top), "it is kept over restarts")
    elif acme is not None and not acme.allow_ephemeral_state and _asks_production(patient):
        findings.broken(
            str(top),
            f"it lies on {lies_on}, and is gone at the next start",
            why="a production CA is not asked from there: each restart would take up its limits again",
            do="mount a volume or a disk there, or write allow_ephemeral_state = true in [acme]",
        )
    else:
        findings.warn(
            str(top),
            f"it lies on {lies_on}, and is gone at the next start",
            why="with it go the account, the certificates and the local CA's root",
            do="mount a volume or a disk there",
        )
    try:
        check_format(top)
    except StateError as error:
        findings.broken(error.path, error.problem, why="the daemon does not start on it", do=error.remedy)


def _asks_production(patient: Patient) -> bool:
    return any(patient.wanted.authorities[ca].production for ca in patient.wanted.asked)


def _look_at_room(top: Path, findings: Findings) -> None:
    found = os.statvfs(top)
    room, files = found.f_bavail * found.f_frsize, found.f_favail if found.f_files else _LOW_FILES
    said = (
        f"{room // _MEGABYTE} MB and {files} files are free there"
        if found.f_files
        else f"{room // _MEGABYTE} MB are free there"
    )
    why = "a certificate that cannot be stored is not asked for, and a log that cannot be written is lost"
    if room < _NO_BYTES or files < _NO_FILES:
        findings.broken(str(top), said, why=why, do="make room on that file system")
    elif room < _LOW_BYTES or files < _LOW_FILES:
        findings.warn(str(top), said, why=why, do="make room on that file system soon")
    elif os.access(top, os.W_OK) or os.geteuid() != 0:
        findings.ok(str(top), said)
    else:
        findings.broken(str(top), "the file system is read-only", why=why, do="mount it writable")


def _look_at_modes(top: Path, findings: Findings) -> None:
    opened = list(find_open_folders(top))
    for path, said in opened:
        findings.warn(
            str(path), said, why="private keys, accounts and credentials lie there",
            do="start the daemon once, which mends it, or chmod o-rwx it",
        )  # fmt: skip
    if not opened:
        findings.ok(str(top), "nobody else may read its secrets")


def _look_at_owners(top: Path, findings: Findings) -> None:
    owner = top.stat().st_uid
    strangers: dict[int, list[str]] = {}
    closed = 0
    for place in ("accounts", "certificates", "journal", "nginx", "ca"):
        for folder, folders, files in os.walk(top / place, onerror=lambda _: None):
            for name in (*folders, *files):
                try:
                    uid = os.lstat(f"{folder}/{name}").st_uid
                except OSError:
                    continue
                if uid != owner and len(strangers.setdefault(uid, [])) < _MOST_FILES:
                    strangers[uid].append(f"{folder}/{name}")
        closed += (top / place).exists() and not os.access(top / place, os.R_OK | os.X_OK)
    for uid, paths in strangers.items():
        if uid == 0 or owner != 0:
            findings.broken(
                paths[0],
                f"{len(paths)} files belong to {_user(uid)}, and {top} to {_user(owner)}",
                why="the daemon cannot read or replace what another user wrote there, as by `sudo gatelodge` in a service's directory",
                do=f"chown -R --from={uid} {_user(owner)} {top}",
            )
    if closed:
        findings.unseen(
            str(top),
            f"{_user(os.geteuid())} may not look into its folders",
            do="run it again as root, or as the daemon's user",
        )
    elif not strangers:
        findings.ok(str(top), f"everything in it belongs to {_user(owner)}")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _look_at_lock(patient: Patient, top: Path, findings: Findings) -> None:
    held = lock.held_by(str(top), locks=patient.proc / "locks")
    if held is None:
        findings.note(
            str(top),
            "no daemon works on it now",
            why="nothing is renewed while none runs",
            do="start it: `gatelodge run`, or the service",
        )
    else:
        findings.ok(str(top), f"in use by {held}")
