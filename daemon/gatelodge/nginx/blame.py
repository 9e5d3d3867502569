"""
Decides from what nginx said whether it is a refusal, which sites are guilty, and what to do about it. Pure: text in, text out.

First the file and line that nginx names, then a certificate's path and who shows it, then a name that two sites claim. When it
can blame nobody, it names nobody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACE = re.compile(r" in (?P<file>/.+?):\d+$", re.MULTILINE)
_CERTIFICATE = re.compile(r'"(?P<file>/[^"\n]+\.pem)"')
_CONFLICT = re.compile(r'conflicting server name "(?P<name>[^"\n]+)"')
_LOG = re.compile(r'\[emerg\] open\(\) "(?P<file>/[^"\n]+)" failed \(\d+: ')

#: Warnings about the age of a text. One that was kept back under an older nginx is served as well as ever, and where its
#: neighbours say the same in a newer way, nginx blames them.
_OUTDATED = re.compile(r"\[warn\] .*(?:directive is deprecated|protocol options redefined for)")

_LEVEL = re.compile(r"\[(?:emerg|alert|crit|error|warn)\] ")


def find_guilty(output: str, sites: Mapping[str, str], *, folder: str, settled: Mapping[str, str]) -> frozenset[str]:
    """
    Return the file names of the sites that nginx blames.

    Args:
        output: what nginx said.
        sites: the text of each site by its file name.
        folder: the tree's folder, in which nginx read them.
        settled: the texts of the sites that nginx already serves; of two that conflict, the one that is not among them is
            guilty, else the later one.
    """
    files = {f"{folder}/sites/{site}.conf": site for site in sites}
    named = {files[place["file"]] for place in _PLACE.finditer(output) if place["file"] in files}
    if named:
        return frozenset(named)
    for found in _CERTIFICATE.finditer(output):
        showing = {site for site, text in sites.items() if found["file"] in text}
        if showing:
            return frozenset(showing)
    for found in _CONFLICT.finditer(output):
        claiming = [site for site, text in sites.items() if _claims(text, found["name"])]
        changed = [site for site in claiming if settled.get(site) != sites[site]]
        if claiming:
            return frozenset({(changed or claiming)[-1]})
    return frozenset()


def find_complaints(output: str, *, folder: str) -> str:
    """
    Return the lines in which nginx complains: refusals, and warnings about our files. Others are about the machine, and stop
    nothing: a log of nginx's package that may not be opened, a limit on open files.
    """
    said = [line.removeprefix("nginx: ") for line in output.splitlines() if _LEVEL.search(line)]
    lines = [line for line in said if not _OUTDATED.search(line)]
    return "\n".join(line for line in lines if "[emerg]" in line or folder in line or _CONFLICT.search(line))


def explain(output: str, *, access_log: str) -> str:
    """
    Add to nginx's words which key of the configuration they are about and what to do, where they do not say so.
    """
    return "\n".join(line + _remedy(line, access_log) for line in output.splitlines())


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
