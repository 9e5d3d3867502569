"""
Reads `[[notify]]` and `[[hook]]`: whom events are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gatelodge.config.document.fields import given
from gatelodge.model import Hook, Notify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.config.document.outbox_tables import HookTable, NotifyTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes


_Table = TypeVar("_Table", "NotifyTable", "HookTable")


def notify(tables: tuple[NotifyTable, ...], found: Mistakes) -> tuple[Notify, ...]:
    """
    Return the services that messages are sent to, as far as they could be read.
    """
    read = []
    for name, path, table in _named("notify", tables, found):
        if table.url is None:
            if not found.unread((*path, "url")):
                found.add(
                    path, "it does not say where messages are sent", 'write url = { file = "/…" }, or { env = "NAME" }'
                )
            continue
        _no_empty_events(path, table.events, found)
        read.append(Notify(name=name, url=table.url, **given(table, "events", "level")))
    return tuple(read)


def hooks(tables: tuple[HookTable, ...], found: Mistakes) -> tuple[Hook, ...]:
    """
    Return the programs that are run, as far as they could be read.
    """
    read = []
    for name, path, table in _named("hook", tables, found):
        for key, example in (("events", '["certificate.*"]'), ("command", '["/path/to/program"]')):
            if getattr(table, key) is None and not found.unread((*path, key)):
                found.add(path, f"it has no {key}", f"write {key} = {example}")
        _no_empty_events(path, table.events, found)
        if table.events and table.command:
            read.append(Hook(name=name, events=table.events, command=table.command, **given(table, "timeout")))
    return tuple(read)


def exposed(targets: tuple[Notify, ...]) -> Iterator[str]:
    """
    Yield the keys under which URLs stand in the file itself.
    """
    for position, target in enumerate(targets):
        if target.url.literal is not None:
            yield f"notify[{position}].url"


def _named(kind: str, tables: tuple[_Table, ...], found: Mistakes) -> Iterator[tuple[str, Path, _Table]]:
    """
    Yield tables with their names and where they stand. Of two with one name the second is a mistake.
    """
    seen: set[str] = set()
    for position, table in enumerate(tables):
        path: Path = (kind, position)
        name = table.name or str(position + 1)
        if name in seen:
            found.add(path, f"there is a [[{kind}]] called {name} already", "give each a name of its own")
        seen.add(name)
        yield name, path, table


def _no_empty_events(path: Path, events: tuple[str, ...] | None, found: Mistakes) -> None:
    if events == () and not found.unread((*path, "events")):
        found.add((*path, "events"), "it is empty", 'write names such as "certificate.*", or leave it out')
