"""
The configuration: every mistake and warning of `check`, and the files with secrets that it names.
"""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.credentials import fetch
from gatelodge.durable import in_thread
from gatelodge.errors import SecretMissing
from gatelodge.model import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient

#: Options of DNS providers that name files with secrets in them.
_CREDENTIALS = "credentials_file"


async def look(patient: Patient, findings: Findings) -> None:
    """
    Tell every mistake, and how it is with secrets.
    """
    for mistake in patient.mistakes:
        place = f"{patient.file}:{mistake.line}" if mistake.line else patient.file
        seen = f"{mistake.path}: {mistake.problem}" if mistake.path else mistake.problem
        if mistake.warning:
            findings.warn(place, seen, why="it does something else than was meant, or will", do=mistake.remedy)
        else:
            findings.broken(
                place, seen, why="the daemon refuses a configuration with mistakes, and goes on as before, or does not start",
                do=mistake.remedy,
            )  # fmt: skip
    if patient.config is None:
        return
    if not patient.mistakes:
        findings.ok(patient.file, "it has no mistakes")
    await in_thread(lambda: _look_at_secrets(patient, findings))


def _look_at_secrets(patient: Patient, findings: Findings) -> None:
    told: set[str] = set()
    for key, ref in _refs(patient.config):
        if isinstance(ref, SecretRef) and ref.env is not None:
            _look_at_variable(key, ref, findings)
            continue
        file = ref if isinstance(ref, str) else ref.file
        if file is not None and file not in told:
            told.add(file)
            _look_at_file(key, file, findings)


def _look_at_variable(key: str, ref: SecretRef, findings: Findings) -> None:
    try:
        fetch(ref)
    except SecretMissing:
        findings.note(
            key,
            f"the environment variable {ref.env} is not set for this command",
            why="the daemon has an environment of its own, which cannot be seen from here; without the secret it fails",
            do=f"see that the service has it (Environment= or EnvironmentFile=), or run this with {ref.env} set",
        )


def _look_at_file(key: str, file: str, findings: Findings) -> None:
    why = "without it, what needs the secret fails"
    try:
        found = Path(file).stat()
        if stat.S_ISREG(found.st_mode):
            with Path(file).open("rb") as opened:
                empty = not opened.read(1)
        else:
            empty = True
    except PermissionError:
        findings.unseen(file, f"{key}: this user may not read it", do="run it again as root, or as the daemon's user")
        return
    except OSError as error:
        findings.broken(
            file, f"{key}: it cannot be read: {error.strerror}", why=why, do="write the file, or name another"
        )
        return
    mode = stat.S_IMODE(found.st_mode)
    if empty:
        findings.broken(file, f"{key}: it is empty, or no file", why=why, do="write the secret into it, alone")
    elif mode & (stat.S_IROTH | stat.S_IWOTH):
        findings.warn(
            file,
            f"{key}: it holds a secret, and its mode is {mode:04o}",
            why="everybody on this machine may read or change it",
            do=f"chmod o-rwx {file}",
        )
    else:
        findings.ok(file, f"{key}: readable, mode {mode:04o}")


def _refs(config: object) -> Iterator[tuple[str, SecretRef | str]]:
    """
    Yield where secrets are, by the key that says so: in files and variables.
    """
    yield from _under("", config, set())


def _under(key: str, value: object, seen: set[int]) -> Iterator[tuple[str, SecretRef | str]]:
    if isinstance(value, SecretRef):
        if value.literal is None:
            yield key, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if name == _CREDENTIALS and isinstance(each, str):
                yield f"{key}.{name}", each
            else:
                yield from _under(f"{key}.{name}".lstrip("."), each, seen)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            # What a table says by itself has no name of a field's in the TOML.
            inner = key if field.name == "options" else f"{key}.{field.name}".lstrip(".")
            yield from _under(inner, getattr(value, field.name), seen)
