"""
Reads a tree of the daemon's, has every file of it checked, and returns the files of the copy that nginx is to read.

It decides which files make a tree: http.conf, what that includes, the snippets for hand-written blocks, and the certificates that
any of them shows. Nothing else of the state directory is looked at, and nothing is written.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from gatelodge.rootside.check import certificate_path, check, entry, write_entry
from gatelodge.rootside.rules import NAME, Rules
from gatelodge.rootside.source import Source, listed
from gatelodge.rootside.syntax import RefusedError, shown

if TYPE_CHECKING:
    from gatelodge.rootside.check import Version
    from gatelodge.rootside.rules import Ground

#: The snippets for hand-written server blocks.
_CHALLENGE = "acme-challenge.conf"
_TLS = "tls"

#: The files of a version that nginx reads.
PUBLIC, PRIVATE = "fullchain.pem", "privkey.pem"

#: No chain or key is near this size.
_MOST_PEM = 256 * 1024

_SNIPPET = re.compile(rf"{NAME}\.conf")


def copied(source: Source, ground: Ground, number: int, *, copy: str) -> dict[str, bytes]:
    """
    Return the files of a tree's copy, by their path in it.

    Args:
        copy: the folder that the copy will lie in.

    Raises:
        RefusedError: something in it is not as Gatelodge renders it, or cannot be read.
    """
    rules = Rules(ground, number)
    steps = ("nginx", "generations", str(number))
    place = "/".join((ground.state, *steps))
    files: dict[str, bytes] = {}
    shows: dict[Version, str] = {}
    with source.folder(*steps) as folder:
        included = entry(source.read(folder, "http.conf", f"{place}/http.conf"), rules, place=f"{place}/http.conf")
        read = {"prelude.conf": source.read(folder, "prelude.conf", f"{place}/prelude.conf")}
        read |= _optional(source, folder, place)
    with source.folder(*steps, "sites") as folder:
        for file in included[1:]:
            read[file] = source.read(folder, file.removeprefix("sites/"), f"{place}/{file}")
    read |= _snippets(source, steps, place)
    for file, content in read.items():
        checked = check(content, rules, ground, file=file, place=f"{place}/{file}", copy=copy)
        files[file] = checked.text.encode()
        for version, line in checked.certificates.items():
            shows.setdefault(version, f"{place}/{file}:{line}")
    files["http.conf"] = write_entry(included, number, copy=copy).encode()
    for version, where in shows.items():
        files |= _certificate(source, ground, version, where)
    return files


def _optional(source: Source, folder: int, place: str) -> dict[str, bytes]:
    if _CHALLENGE not in listed(folder, place):
        return {}
    return {_CHALLENGE: source.read(folder, _CHALLENGE, f"{place}/{_CHALLENGE}")}


def _snippets(source: Source, steps: tuple[str, ...], place: str) -> dict[str, bytes]:
    with contextlib.ExitStack() as stack:
        above = stack.enter_context(source.folder(*steps))
        if _TLS not in listed(above, place):
            return {}
        folder = stack.enter_context(source.folder(*steps, _TLS))
        names = listed(folder, f"{place}/{_TLS}")
        for name in names:
            if not _SNIPPET.fullmatch(name):
                raise RefusedError(f"the helper refuses the name {shown(name)} in {place}/{_TLS}")
        return {f"{_TLS}/{name}": source.read(folder, name, f"{place}/{_TLS}/{name}") for name in names}


def _certificate(source: Source, ground: Ground, version: Version, where: str) -> dict[str, bytes]:
    path = certificate_path(version)
    try:
        with source.folder(*path.split("/")) as folder:
            return {
                f"{path}/{file}": source.read(folder, file, f"{ground.state}/{path}/{file}", most=_MOST_PEM)
                for file in (PUBLIC, PRIVATE)
            }
    except RefusedError as error:
        # With the line that shows it, so that the daemon knows which site to keep back.
        raise RefusedError(f"{error}; it is shown in {where}") from error
