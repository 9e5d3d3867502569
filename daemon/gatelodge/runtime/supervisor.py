"""
Tells the service manager that started the daemon how it stands, in the words of sd_notify(3): ready, reloading, stopping, a line
for people, and a sign of life.

It decides when the daemon is ready, and what proves that it lives: not that the event loop turns, but that the reconciler's loop
ends its passes. It never raises, never blocks and never says a secret; where no service manager listens, it does nothing.
"""

from __future__ import annotations

import collections
import datetime as dt
import os
import socket
from typing import TYPE_CHECKING, Self

from gatelodge.core.actions import NGINX, key
from gatelodge.runtime.standing.summary import summary

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from gatelodge.ports import Clock
    from gatelodge.runtime.look import Look
    from gatelodge.runtime.reconcile import Reconciler

#: How long others wait for nginx before the daemon counts as started without it: a dead CA or a missing nginx is no reason to
#: fail at the start, since it is tried again, and what is there is served. Seconds.
READY_SECONDS = 15.0

#: The manager grants this much from the beginning, however long reading the state took before. Seconds.
_START_SECONDS = READY_SECONDS + 30

#: The loop is asked for a pass when it had no reason for one for so long. Seconds.
PROBE_SECONDS = 60.0

#: A pass may take long, where ten thousand certificates lie on a slow card; longer than this it hangs. Seconds.
LONGEST_PASS = 300.0

#: How often it is looked whether there is something to tell; in the beginning others wait for it. Seconds.
_TICK_SECONDS = 1.0
_START_TICK_SECONDS = 0.1

#: Messages that are kept for a manager that is busy, and the longest line for people: the manager reads 4096 bytes.
_KEPT = 32
_LONGEST_STATUS = 500

#: A number of microseconds has fewer.
_DIGITS = 18

_REFUSED = "a changed configuration was refused, see the log; the one before goes on; "
_HANGING = f"no look at everything was ended for {LONGEST_PASS / 60:.0f} minutes; "


class Supervisor:
    """
    Speaks to the manager at `address`, a path or an abstract name with `@`; to nobody without one.
    """

    def __init__(self, *, address: str | None, watchdog: float | None = None, clock: Clock) -> None:
        """
        Args:
            watchdog: after how many seconds without a sign of life the manager ends the daemon; None if it never does.
        """
        self._address = address
        self._watchdog = watchdog
        self._clock = clock
        self._unsent: collections.deque[bytes] = collections.deque(maxlen=_KEPT)
        self._ready = False
        self._stopping = False
        self._refused = False
        self._status = ""
        self._standing = ""
        self._begun_at = clock.monotonic()
        self._answer: tuple[Look | None, Exception | None] = (None, None)
        self._answered_at = self._begun_at
        self._alive_at = self._begun_at

    @classmethod
    def of(cls, environment: MutableMapping[str, str], *, clock: Clock) -> Self:
        """
        Return the one that an environment names, and take its names out: no program that the daemon starts is meant.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        period, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        watched = pid in ("", str(os.getpid())) and period.isascii() and period.isdigit() and len(period) < _DIGITS
        return cls(
            address=address if len(address) > 1 and address[0] in "/@" else None,
            watchdog=int(period) / 1e6 if watched else None,
            clock=clock,
        )

    def begin(self) -> None:
        """
        Say that the daemon begins.
        """
        self._begun_at = self._answered_at = self._clock.monotonic()
        self._say(f"EXTEND_TIMEOUT_USEC={_START_SECONDS * 1e6:.0f}", status="starting")

    async def attend(self, reconciler: Reconciler) -> None:
        """
        Tell what there is to tell, for as long as the daemon runs.
        """
        if self._address is None:
            return
        tick = min(_TICK_SECONDS, self._watchdog / 4) if self._watchdog else _TICK_SECONDS
        while not self._stopping:
            self._send()
            self._listen(reconciler)
            self._tell()
            await self._clock.sleep(tick if self._ready else min(tick, _START_TICK_SECONDS))

    def reload(self, read: Callable[[], bool]) -> None:
        """
        Read the configuration again, and say so.

        Args:
            read: does it, and tells whether the configuration was taken.
        """
        announced = self._ready and not self._stopping
        if announced:
            since = int(self._clock.monotonic() * 1e6)
            self._say("RELOADING=1", f"MONOTONIC_USEC={since}", status="reading the configuration again")
        self._refused = True
        try:
            self._refused = not read()
        finally:
            # Also when it was refused: the daemon goes on, and whoever waits for the reload is told why.
            if announced:
                self._say("READY=1", status=self._words())

    def stopping(self) -> None:
        """
        Say that the daemon ends.
        """
        self._stopping = True
        self._say("STOPPING=1", status="stopping")

    def _listen(self, reconciler: Reconciler) -> None:
        """
        Note when the loop ended its last pass, and ask it for one if that is long ago. Each pass makes another look, or fails.
        """
        now = self._clock.monotonic()
        look, trouble = reconciler.latest, reconciler.trouble
        if look is not self._answer[0] or trouble is not self._answer[1]:
            self._answer, self._answered_at = (look, trouble), now
            if trouble is not None:
                self._standing = str(trouble)
            elif look is not None:
                self._standing = summary(look, self._clock.now())
        elif now - self._answered_at >= PROBE_SECONDS:
            reconciler.wake()

    def _tell(self) -> None:
        now = self._clock.monotonic()
        news = []
        left = self._begun_at + READY_SECONDS - now
        until = self._clock.now() + dt.timedelta(seconds=left)
        if not self._ready and (left <= 0 or _nginx_is_settled(self._answer[0], until)):
            self._ready = True
            news.append("READY=1")
        self._say(*news, status=self._words())
        if self._watchdog and now - self._alive_at >= self._watchdog / 2 and not self._hangs():
            self._alive_at = now
            self._post("WATCHDOG=1")

    def _hangs(self) -> bool:
        return self._clock.monotonic() - self._answered_at >= LONGEST_PASS

    def _words(self) -> str:
        return f"{_REFUSED if self._refused else ''}{_HANGING if self._hangs() else ''}{self._standing or 'starting'}"

    def _say(self, *news: str, status: str) -> None:
        """
        Tell news with the line for people; that line alone when it is another one now.
        """
        line = _one_line(status)
        if news or line != self._status:
            self._status = line
            self._post("\n".join([*news, f"STATUS={line}"]))

    def _post(self, message: str) -> None:
        if self._address is not None:
            self._unsent.append(message.encode(errors="replace"))
            self._send()

    def _send(self) -> None:
        """
        Send what is unsent, in order. What the manager cannot take now is kept: nobody else says READY in its place.
        """
        while self._unsent:
            try:
                _send(self._address or "", self._unsent[0])
            except OSError:
                return
            self._unsent.popleft()


def _one_line(words: str) -> str:
    """
    Make words one line, and no longer than fits.
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in words).split())
    return line if len(line) <= _LONGEST_STATUS else f"{line[: _LONGEST_STATUS - 1]}…"


def _send(address: str, message: bytes) -> None:
    # A file name in the environment need not be text; abstract names begin with a zero byte (unix(7)).
    name = os.fsencode(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.setblocking(False)
        line.sendto(message, b"\0" + name[1:] if address[0] == "@" else name)


def _nginx_is_settled(look: Look | None, until: dt.datetime) -> bool:
    """
    Tell whether nginx serves and nothing is being done about it, or it is known that it will not before `until`.
    """
    if look is None or NGINX in look.observed.jobs or any(key(action) == NGINX for action in look.plan.actions):
        return False
    observed = look.observed
    failed = [attempt for tries, attempt in observed.attempts.items() if tries.startswith(f"{NGINX}/")]
    return (
        observed.nginx.running is not None
        or observed.nginx.missing is not None
        or any(attempt.retry_at > until for attempt in failed)
    )
