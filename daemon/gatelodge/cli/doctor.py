"""
`doctor`: everything that usually goes wrong, looked at from here.
"""

from __future__ import annotations

import collections
import http
import os
import shutil
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import click

from gatelodge.cli import tables, terminal
from gatelodge.cli.look import examined
from gatelodge.cli.options import config_file, config_option, examples, guessed_door, json_option, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from gatelodge.config.shape import Config
    from gatelodge.doctor.findings import Finding

#: How long the daemon may take to say how things stand. Seconds.
_DAEMON_SECONDS = 15

#: How long threads are waited for at the end that only wait for somebody else: a resolver of the system's takes half a minute to give up.
_THREAD_SECONDS = 1.0
_THREADS = "doctor"

_COLOURS = {"broken": "red", "warning": "yellow", "note": "cyan", "ok": "green"}
_WIDTH = 100


@click.command(
    epilog=examples("gatelodge doctor", "gatelodge doctor --json | jq '.findings[] | select(.level == \"broken\")'")
)
@config_option
@json_option
@click.option("--offline", is_flag=True, help="Ask nothing of the internet: no DNS, no CA, no public address.")
@click.option("--no-write", is_flag=True, help="Do not add and delete a DNS record to try a provider's rights.")
def doctor(*, as_json: bool, offline: bool, no_write: bool) -> None:
    """
    Find out what is wrong: configuration, disk, clock, DNS, CAs, ports, nginx and the services behind it.

    Changes nothing, but for a TXT record that is added and deleted at once at each DNS provider (--no-write leaves that out). Exits 1
    when something is broken, 2 when the configuration cannot be used.
    """
    import asyncio
    from concurrent import futures

    executor = futures.ThreadPoolExecutor(max_workers=64, thread_name_prefix=_THREADS)
    loop = asyncio.new_event_loop()
    loop.set_default_executor(executor)
    code, document, found = loop.run_until_complete(_examined(offline=offline, write=not no_write, quiet=as_json))
    if as_json:
        click.echo(tables.dump(document))
    else:
        click.echo("\n".join(_written(found)), color=terminal.asked())
    _leave(executor, code)
    loop.close()
    sys.exit(code)


async def _examined(*, offline: bool, write: bool, quiet: bool) -> tuple[int, dict[str, Any], list[Finding]]:
    from gatelodge.doctor.checks import CHECKS
    from gatelodge.doctor.examining import examine
    from gatelodge.doctor.findings import Level
    from gatelodge.errors import ConfigError, StateError
    from gatelodge.examination import open_patient
    from gatelodge.model import Mistake

    file = config_file()
    try:
        config, mistakes = examined(file)
    except OSError as error:
        # A certificate of the user's that is not this one's to read.
        config = load(file)
        unseen = Mistake(
            path="",
            problem=f"it names {error.filename}, which could not be looked at: {error.strerror}",
            remedy="run this as root, or as the daemon's user",
            warning=True,
        )
        mistakes = (*config.warnings, unseen)

    async def look(config: Config | None) -> list[Finding]:
        async with open_patient(
            config,
            file,
            mistakes=mistakes,
            read=load,
            ask_daemon=lambda: _report(file),
            offline=offline,
            write=write,
        ) as patient:
            return await examine(patient, CHECKS, progress=_progress(quiet=quiet))

    try:
        found = await look(config)
    except ConfigError as error:
        mistakes, config = (*mistakes, *error.mistakes), None
        found = await look(None)
    except StateError as error:
        told = Mistake(path=error.path, problem=error.problem, remedy=error.remedy)
        mistakes, config = (*mistakes, told), None
        found = await look(None)
    count = collections.Counter(finding.level for finding in found)
    code = 2 if config is None or _wrong(mistakes) else 1 if count[Level.BROKEN] else 0
    document = {
        "ok": code == 0,
        "file": str(file),
        "counts": {str(level): count[level] for level in Level},
        "findings": [finding.document() for finding in found],
    }
    return code, document, found


def _wrong(mistakes: Sequence[Any]) -> bool:
    return any(not mistake.warning for mistake in mistakes)


def _report(file: Path) -> dict[str, Any] | None:
    """
    Ask the daemon how things stand, also when the configuration is wrong by now: it goes on with what it read last. None when none answers.
    """
    from gatelodge.api import client

    found = guessed_door(file)
    if found is None:
        return None
    try:
        status, document = client.call(found, "GET", "/v1/status", timeout=_DAEMON_SECONDS)
    except client.NotRunning:
        return None
    return document if status == http.HTTPStatus.OK else None


def _progress(*, quiet: bool) -> Callable[[Sequence[str]], None]:
    """
    Say on a terminal what is still being looked at, on one line that goes away.
    """
    if quiet or not sys.stderr.isatty():
        return lambda _: None

    def tell(left: Sequence[str]) -> None:
        text = f"looking at {', '.join(left)}" if left else ""
        width = shutil.get_terminal_size().columns - 1
        shown = text if len(text) <= width else f"{text[: width - 1]}…"
        click.echo(f"\r\x1b[K{shown}", err=True, nl=False)

    return tell


def _written(found: Sequence[Finding]) -> Iterator[str]:
    """
    Write findings for people: problems first, a paragraph each; what is well on one line each, by check.
    """
    from gatelodge.doctor.checks import CHECKS
    from gatelodge.doctor.findings import Level

    titles = {check.name: check.title for check in CHECKS}
    for finding in found:
        if finding.level is not Level.OK:
            yield f"{_level(finding)}  {titles[finding.check]}: {click.style(_plain(finding.subject), bold=True)}"
            yield from _paragraph("saw", finding.seen)
            yield from _paragraph("why", finding.why)
            yield from _paragraph("do", finding.do)
            yield ""
    well = [finding for finding in found if finding.level is Level.OK]
    for finding in well:
        yield f"{_level(finding)}  {titles[finding.check]}: {_plain(finding.subject)}: {_plain(finding.seen)}"
    count = collections.Counter(finding.level for finding in found)
    if well:
        yield ""
    yield ", ".join(f"{count[level]} {level}" for level in Level)


def _level(finding: Finding) -> str:
    return click.style(f"{finding.level:7}", fg=_COLOURS[finding.level], bold=finding.level == "broken")


def _paragraph(word: str, text: str) -> Iterator[str]:
    lines = [_plain(line) for line in text.splitlines()]
    if len(lines) > 1:
        # Lines to be copied stay as they are.
        yield f"  {word:4}{lines[0]}"
        yield from (f"      {line}".rstrip() for line in lines[1:])
        return
    for line in lines:
        first = f"  {word:4}"
        yield from textwrap.wrap(
            line,
            _WIDTH,
            initial_indent=first,
            subsequent_indent=" " * 6,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]


def _plain(text: str) -> str:
    """
    Return text that others wrote, on one line and without what a terminal would take for a command.
    """
    return "".join(each if each.isprintable() else " " for each in text)


def _leave(executor: ThreadPoolExecutor, code: int) -> None:
    """
    Let threads end, and go without those that only wait for an answer from a network that gives none.
    """
    executor.shutdown(wait=False, cancel_futures=True)
    for thread in threading.enumerate():
        if thread.name.startswith(_THREADS):
            thread.join(_THREAD_SECONDS)
            if thread.is_alive():
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
