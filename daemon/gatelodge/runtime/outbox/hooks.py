"""
Runs a hook's program for each event that it is for: one after the other, in the order of events, with the event as JSON on its standard input.

It is run once for an event, whether it fails or not; again only when the daemon died, or was stopped, while it ran. What it prints is heard, and only the
last of what it says on stderr is shown, in the event of its failure: no secret of ours is given to it that it could tell.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from gatelodge import programs
from gatelodge.errors import StateError
from gatelodge.model import matches
from gatelodge.runtime.events.files import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import Hook
    from gatelodge.ports import Documents, Events

PLACES = "journal/hooks"

#: What hooks do is told in events too, for which no hook is run: one that fails would be run for that.
_OWN = ("hook.failed",)

#: Fields that are variables too, for programs that read no JSON.
_VARIABLES = ("certificate", "site", "stream", "ca", "not_after", "host", "place")


class HookFollower:
    """
    Implements `followers.Follower` for one hook.
    """

    def __init__(self, *, hook: Hook, directory: str, documents: Documents, events: Events) -> None:
        self._hook = hook
        self._directory = directory
        self._documents = documents
        self._events = events
        self._reader = Reader(directory)

    async def begin(self, after: int) -> None:
        """
        Take up the place in the log, as `Follower` says.
        """
        document = await self._documents.get(PLACES, self._hook.name)
        known = document.get("after") if document else None
        if not isinstance(known, int):
            known = after
            await self._documents.put(PLACES, self._hook.name, {"after": after})
        self._reader = Reader(self._directory, after=known)

    async def step(self, *, last: bool) -> None:
        """
        Run the program for what is new.
        """
        del last
        before = self._reader.seen
        for entry in self._reader.new():
            if entry["event"] not in _OWN and matches(entry["event"], self._hook.events):
                await self._run(entry)
                await self._keep(entry["id"])
        if self._reader.seen != before:
            # What a hook was not for is no news to it either when it is for more one day.
            await self._keep(self._reader.seen)

    async def _keep(self, after: int) -> None:
        with contextlib.suppress(StateError):  # at worst it is run for an event again
            await self._documents.put(PLACES, self._hook.name, {"after": after})

    async def _run(self, entry: Mapping[str, Any]) -> None:
        seconds = self._hook.timeout.total_seconds()
        given = json.dumps(entry, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        program = self._hook.command[0]
        try:
            ran = await programs.run(
                self._hook.command, seconds=seconds, given=given, environment=variables(entry, self._directory)
            )
        except TimeoutError:
            why = f"{program} did not end within {seconds:g} s and was killed; find out what it waits for, or raise `timeout`"
        except (OSError, ValueError) as error:
            what, remedy = programs.unstarted(error)
            why = f"{program} {what}; {remedy}"
        else:
            if not ran.status:
                return
            why = f"{program} {programs.why(ran)}; run it by hand as docs/messages.md shows"
        self._events.emit(
            "hook.failed",
            level="error",
            hook=self._hook.name,
            told=entry["event"],
            event_id=entry["id"],
            error__detail=why,
        )


def variables(entry: Mapping[str, Any], directory: str) -> Mapping[str, str]:
    """
    Return the environment of a hook's program.
    """
    told = {f"GATELODGE_{field.upper()}": entry[field] for field in _VARIABLES if isinstance(entry.get(field), str)}
    names = entry.get("names")
    if isinstance(names, list):
        told["GATELODGE_NAMES"] = " ".join(map(str, names))
    if "GATELODGE_CERTIFICATE" in told:
        told["GATELODGE_DIRECTORY"] = f"{directory}/certificates/{told['GATELODGE_CERTIFICATE']}/current"
    more = {
        "GATELODGE_EVENT": entry["event"],
        "GATELODGE_EVENT_ID": str(entry["id"]),
        "GATELODGE_TIME": str(entry.get("time", "")),
        "GATELODGE_LEVEL": str(entry.get("level", "")),
    }
    return programs.few_variables({name: value.replace("\0", "") for name, value in {**more, **told}.items()})
