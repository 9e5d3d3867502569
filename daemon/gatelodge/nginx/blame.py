"""
Decides from what nginx said whether it is a refusal, which parts are guilty, which key of the TOML made the line that it names,
and what to do about it. Pure: text in, text out.

First the file and line that nginx names, then a certificate's path and who shows it, then a name that two sites claim, then the module
that streams need. When it can blame nobody, it names nobody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatelodge.core.parts import place
from gatelodge.model import STREAM_PREFIX
from gatelodge.nginx.writing.quote import END_OF
from gatelodge.nginx.writing.reading import read
from gatelodge.nginx.writing.site import HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gatelodge.core.tree import Rendered
    from gatelodge.model import Listener

_PLACE = re.compile(r" in (?P<file>/.+?):\d+$", re.MULTILINE)
_CERTIFICATE = re.compile(r'"(?P<file>/[^"\n]+\.pem)"')
_CONFLICT = re.compile(r'conflicting server name "(?P<name>[^"\n]+)"')
_MODULE = re.compile(r'stream_module\.so"|unknown directive "stream"')
_LOG = re.compile(r'\[emerg\] open\(\) "(?P<file>/[^"\n]+)" failed \(\d+: ')

#: Warnings about the age of a text. One that was kept back under an older nginx is served as well as ever, and where its
#: neighbours say the same in a newer way, nginx blames them.
_OUTDATED = re.compile(r"\[warn\] .*(?:directive is deprecated|protocol options redefined for)")

_NUMBERED = re.compile(r" in (?P<file>/.+?):(?P<number>\d+)$")
_REMARK = "# "

_LEVEL = re.compile(r"\[(?:emerg|alert|crit|error|warn)\] ")


def find_guilty(output: str, parts: Mapping[str, str], *, folder: str, settled: Mapping[str, str]) -> frozenset[str]:
    """
    Return the names of the parts that nginx blames.

    Args:
        output: what nginx said.
        parts: the text of each part by its name.
        folder: the tree's folder, in which nginx read them.
        settled: the texts of the parts that nginx already serves; of two that conflict, the one that is not among them is
            guilty, else the later one.
    """
    files = {f"{folder}/{place(part)}": part for part in parts}
    named = {files[found["file"]] for found in _PLACE.finditer(output) if found["file"] in files}
    if named:
        return frozenset(named)
    for found in _CERTIFICATE.finditer(output):
        showing = {part for part, text in parts.items() if found["file"] in text}
        if showing:
            return frozenset(showing)
    for found in _CONFLICT.finditer(output):
        claiming = [part for part, text in parts.items() if _claims(text, found["name"])]
        changed = [part for part in claiming if settled.get(part) != parts[part]]
        if claiming:
            return frozenset({(changed or claiming)[-1]})
    return (
        frozenset(part for part in parts if part.startswith(STREAM_PREFIX)) if _MODULE.search(output) else frozenset()
    )


def find_streams(listeners: Iterable[Listener], rendered: Rendered) -> frozenset[str]:
    """
    Return the streams whose listeners these are; nobody when one of them is not a stream's.
    """
    streams = {name: read(text) for name, text in rendered.parts.items() if name.startswith(STREAM_PREFIX)}
    opened = {listener: name for name, named in streams.items() for listener in named.plain | named.tls}
    guilty = {opened.get(listener) for listener in listeners}
    return frozenset(filter(None, guilty)) if None not in guilty else frozenset()


def find_complaints(output: str, *, folder: str) -> str:
    """
    Return the lines in which nginx complains: refusals, and warnings about our files. Others are about the machine, and stop
    nothing: a log of nginx's package that may not be opened, a limit on open files.
    """
    said = [line.removeprefix("nginx: ") for line in output.splitlines() if _LEVEL.search(line)]
    lines = [line for line in said if not _OUTDATED.search(line)]
    return "\n".join(line for line in lines if "[emerg]" in line or folder in line or _CONFLICT.search(line))


def written(rendered: Rendered, *, folder: str) -> dict[str, str]:
    """
    Return the text of each file of a tree that nginx may speak of, by its path.
    """
    parts = {f"{folder}/{place(part)}": text for part, text in rendered.parts.items()}
    return {f"{folder}/prelude.conf": rendered.prelude, **parts}


def explain(output: str, files: Mapping[str, str], *, access_log: str) -> str:
    """
    Add to nginx's words which key of the configuration they are about and what to do, where they do not say so.

    Args:
        files: the text of each file of ours by its path. What was refused is deleted, so its line is told with it.
    """
    return "\n".join(line + _source(line, files) + _remedy(line, access_log) for line in output.splitlines())


def reasons(output: str, guilty: Iterable[str]) -> dict[str, str]:
    """
    Return what was said of each guilty part, for those of which something was said by name.
    """
    lines = output.splitlines()
    said = {part: [line for line in lines if f"/{place(part)}:" in line] for part in guilty}
    return {part: "\n".join(own) for part, own in said.items() if own}


def _source(line: str, files: Mapping[str, str]) -> str:
    """
    Say which line nginx means, and which key made it.
    """
    place = _NUMBERED.search(line)
    if place is None or place["file"] not in files:
        return ""
    rows, number = files[place["file"]].splitlines(), int(place["number"])
    if not 0 < number <= len(rows):
        return ""
    key = _key(rows, number - 1)
    return f"; that is “{rows[number - 1].strip()}”" + (f", made by {key}" if key else "")


def _key(rows: list[str], index: int) -> str | None:
    """
    Return the key of the TOML that made a row: that of a snippet around it, else of what stands nearest around it.
    """
    spans = list(_snippets(rows))
    for start, end, key in spans:
        if start < index < end:
            return key
    hidden = {row for start, end, _ in spans for row in range(start + 1, end)}
    at: int | None = index
    while at is not None:
        remark = rows[at - 1].strip() if at > 0 else ""
        ours = remark != HEADER.strip() and not remark.startswith(_REMARK + END_OF)
        if ours and remark.startswith(_REMARK) and _indent(rows[at - 1]) == _indent(rows[at]):
            return remark.removeprefix(_REMARK)
        outer = (row for row in range(at - 1, -1, -1) if row not in hidden and rows[row].strip())
        at = next((row for row in outer if _indent(rows[row]) < _indent(rows[at or 0])), None)
    return None


def _snippets(rows: list[str]) -> Iterator[tuple[int, int, str]]:
    """
    Yield where texts of the user's own begin and end, and the key of each.
    """
    open_at: dict[str, int] = {}
    for row, text in enumerate(rows):
        if not text.strip().startswith(_REMARK):
            continue
        remark = text.strip().removeprefix(_REMARK)
        ended = remark.removeprefix(END_OF)
        if remark.startswith(END_OF) and ended in open_at:
            yield open_at.pop(ended), row, ended
        else:
            open_at[remark] = row


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" "))


def _remedy(line: str, access_log: str) -> str:
    refused = _LOG.search(line)
    if refused is None:
        return ""
    folder = refused["file"].rpartition("/")[0] or "/"
    if refused["file"] == access_log:
        return f'; this is [nginx] access_log: make {folder} a folder that nginx may write to, or write another path or "off"'
    if refused["file"].endswith("/log/error.log"):
        return f"; this is nginx's error log: make {folder} a folder that nginx may write to"
    return ""


def _claims(text: str, name: str) -> bool:
    return any(name in line.rstrip(";\n").split() for line in text.splitlines() if "server_name " in line)
