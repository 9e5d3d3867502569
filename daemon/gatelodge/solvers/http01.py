"""
Answers http-01 through files that nginx serves (RFC 8555 §8.3), and looks through nginx before the CA does.

A failed check by the CA costs its limits (Let's Encrypt: 5 an hour and name); a failed look of ours costs nothing, since the CA
is told nothing and the issuer keeps the order. Only nginx's own listener is asked: what the public addresses answer from inside says little about what the CA will see.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

from gatelodge.errors import HttpDisconnected, HttpUnreachable, IssuanceError, Problem, Subproblem
from gatelodge.model import is_wildcard
from gatelodge.solvers import webroot_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from gatelodge.model import Name
    from gatelodge.ports import Challenge, Clock, Http

#: How long nginx may take to serve a token: it may just have been reloaded or started.
DEADLINE = 5.0

#: Tokens older than this are nobody's any more: no order is worked on for so long.
_OLD = dt.timedelta(days=1)

_FIRST_WAIT = 0.05
_GROWTH = 2.0
_REQUEST_SECONDS = 3.0
_OK = 200
_MOST_SHOWN = 200


class Webroot:
    """
    Implements `ports.Solver` for http-01.
    """

    def __init__(self, *, directory: str, http: Http, origin: str, clock: Clock, own: bool = False) -> None:
        """
        Args:
            directory: the webroot.
            own: nobody else puts tokens there, so that old ones, which a killed process left, may be removed.
            origin: nginx's plain listener as seen from here, `http://127.0.0.1:80`.
        """
        self._directory = directory
        self._http = http
        self._origin = origin.rstrip("/")
        self._clock = clock
        # Two orders can share an authorization, and with it a token: the last one out removes the file.
        self._uses: collections.Counter[str] = collections.Counter()
        self._own = own
        self._unswept = own

    @property
    def type(self) -> str:
        """
        The challenge type.
        """
        return "http-01"

    async def refuses(self, names: Sequence[Name], *, alias: Name | None) -> Mapping[Name, Problem]:
        """
        Refuse wildcards, which http-01 does not know (RFC 8555 §8.3).
        """
        del alias
        return {
            name: Problem(type="noSolver", detail=f"{name}: http-01 proves no wildcard (RFC 8555 §8.3)")
            for name in names
            if is_wildcard(name)
        }

    @contextlib.asynccontextmanager
    async def published(
        self, challenges: Sequence[Challenge], *, progress: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[None]:
        """
        Keep the answers visible, as `ports.Solver` says.
        """
        if self._unswept:
            self.sweep()
        with contextlib.ExitStack() as files:
            for challenge in challenges:
                self._write(challenge, files)
            progress(f"looking at {_tokens(challenges)} through nginx, as the CA will")
            await self._see(challenges)
            yield

    def sweep(self) -> None:
        """
        Remove the tokens that a killed process left, once they are old. Nothing happens in a webroot that others use too.
        """
        self._unswept = False
        if self._own:
            webroot_files.sweep(self._directory, before=(self._clock.now() - _OLD).timestamp())

    def _write(self, challenge: Challenge, files: contextlib.ExitStack) -> None:
        try:
            webroot_files.write(self._directory, challenge.token, challenge.key_authorization)
        except ValueError as error:
            raise IssuanceError(Problem(type="badAnswer", detail=f"{challenge.name}: {error}")) from None
        except OSError as error:
            raise IssuanceError(
                Problem(
                    type="selfCheck",
                    detail=f"{challenge.name}: the token cannot be written below {self._directory}: "
                    f"{error.strerror or error}; make it a folder that this user can write, without symbolic links in it",
                )
            ) from error
        self._uses[challenge.token] += 1
        files.callback(self._release, challenge.token)

    def _release(self, token: str) -> None:
        self._uses[token] -= 1
        if not self._uses[token]:
            del self._uses[token]
            webroot_files.remove(self._directory, token)

    async def _see(self, challenges: Sequence[Challenge]) -> None:
        """
        Fetch all tokens through nginx.

        Raises:
            IssuanceError: `selfCheck`, naming every token that is not served.
        """
        async with asyncio.TaskGroup() as group:
            looks = [group.create_task(self._look(challenge)) for challenge in challenges]
        missing = [look.result() for look in looks]
        failed = [
            Subproblem(type="selfCheck", detail=why, identifier=challenge.name)
            for challenge, why in zip(challenges, missing, strict=True)
            if why
        ]
        if not failed:
            return
        first, *_ = failed
        raise IssuanceError(
            Problem(
                type="selfCheck",
                detail=f"{first.identifier}: {first.detail}; the CA was not asked. Is nginx running, and does it serve "
                f"/{'/'.join(webroot_files.FOLDERS)}/ of every host on that port from {self._directory}?",
                subproblems=tuple(failed),
            )
        )

    async def _look(self, challenge: Challenge) -> str | None:
        """
        Fetch a token until it is there. Returns why not when time is up.
        """
        url = "/".join((self._origin, *webroot_files.FOLDERS, challenge.token))
        deadline = self._clock.monotonic() + DEADLINE
        wait = _FIRST_WAIT
        while (why := await self._ask(url, challenge)) and self._clock.monotonic() < deadline:
            await self._clock.sleep(wait)
            wait *= _GROWTH
        return why

    async def _ask(self, url: str, challenge: Challenge) -> str | None:
        try:
            answer = await self._http.request(
                "GET", url, headers={"Host": host_header(challenge.name)}, timeout=_REQUEST_SECONDS
            )
        except (HttpUnreachable, HttpDisconnected) as error:
            return f"{url}: {error}"
        if answer.status != _OK:
            elsewhere = answer.header("location")
            where = f" to {elsewhere[:_MOST_SHOWN]!r}" if elsewhere else ""
            return f"{url} answered {answer.status}{where}, not the token"
        # White space at the end is allowed (RFC 8555 §8.3).
        if answer.body.rstrip() != challenge.key_authorization.encode():
            return f"{url} answered something else than the token"
        return None


def _tokens(challenges: Sequence[Challenge]) -> str:
    first, *more = [each.name for each in challenges]
    return f"the token of {first}" + (f" and {len(more)} more" if more else "")


def host_header(name: Name) -> str:
    """
    Write a name as a Host header has it (RFC 9110 §7.2).
    """
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name
    return f"[{address}]" if address.version == 6 else name  # noqa: PLR2004 - IPv6
