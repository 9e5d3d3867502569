"""
Publishes records by a program of the user's: docs/exec.md is the contract.

The program is run without a shell, with few variables, and for a limited time; when it ends, what it started ends too. What it
prints on stderr is shown when it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from typing import TYPE_CHECKING, cast

from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from gatelodge.dns.providers import Parts
    from gatelodge.model import DnsSettings
    from gatelodge.ports import Resolver, TxtRecord

_SECONDS = 60.0

#: Programs that run at once.
_AT_ONCE = 4

#: EX_TEMPFAIL of sysexits(3): it may work later.
_LATER = 75

#: What is kept of the daemon's environment.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Characters of stderr that are shown, and of a record's id that are kept.
_MOST_SHOWN = 500

#: What is kept of a program's output, however much it prints. Bytes.
_MOST_HEARD = 8192


def make(settings: DnsSettings, parts: Parts) -> Exec:
    """
    Make the provider of a `[dns.NAME]`.
    """
    timeout = settings.options.get("timeout")
    return Exec(
        name=settings.name,
        command=cast("tuple[str, ...]", settings.options["command"]),
        seconds=cast("dt.timedelta", timeout).total_seconds() if timeout else _SECONDS,
        ttl=settings.ttl,
        zone=cast("str | None", settings.options.get("zone")),
        resolver=parts.resolver,
    )


class Exec:
    """
    Implements `ports.DnsProvider`.
    """

    def __init__(
        self,
        *,
        name: str,
        command: tuple[str, ...],
        seconds: float,
        ttl: int | None,
        zone: str | None,
        resolver: Resolver,
    ) -> None:
        self._name = name
        self._zone = zone
        self._command = command
        self._seconds = seconds
        self._ttl = ttl
        self._resolver = resolver
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def zone_of(self, name: str) -> str:
        """
        Return the configured zone, else the one that the public DNS has for a name, as `ports.DnsProvider` says. The program is not
        asked, only looked for.
        """
        if shutil.which(self._command[0]) is None:
            detail = f"{name}: {self._command[0]} of [dns.{self._name}] is no program that can be run; give its absolute path, and make "
            raise DnsError(Problem(type="dnsProvider", detail=f"{detail}it executable"))
        if self._zone is None:
            return (await self._resolver.authority(name)).zone
        if name == self._zone or name.endswith(f".{self._zone}"):
            return self._zone
        detail = f"{name}: `zone` of [dns.{self._name}] is {self._zone}; use another provider for this name"
        raise DnsError(Problem(type="dnsZone", detail=detail))

    async def name_servers(self, zone: str) -> frozenset[str] | None:
        """
        Return None: a program tells no name servers.
        """
        del zone
        return None

    async def add(self, record: TxtRecord) -> str | None:
        """
        Run the program with `add`. The last line that it prints is how it calls the record.
        """
        lines = [line.strip() for line in (await self._run("add", record, None)).splitlines() if line.strip()]
        known_as = lines[-1] if lines else ""
        # What would not come back to the program as it said it is no id.
        return known_as if known_as.isprintable() and 0 < len(known_as) <= _MOST_SHOWN else None

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Run the program with `remove`.
        """
        await self._run("remove", record, known_as)

    async def _run(self, action: str, record: TxtRecord, known_as: str | None) -> str:
        """
        Run the program and return what it printed.

        Raises:
            DnsError: it could not be run, failed, or took too long.
        """
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment = {
            "PATH": _PATH,
            **kept,
            "GATELODGE_ACTION": action,
            "GATELODGE_ZONE": record.zone,
            "GATELODGE_NAME": record.name,
            "GATELODGE_VALUE": record.value,
            **({"GATELODGE_TTL": str(self._ttl)} if self._ttl else {}),
            **({"GATELODGE_ID": known_as} if known_as else {}),
        }
        async with self._slots:
            with _hearing() as (out, printed), _hearing() as (err, complained):
                try:
                    process = await asyncio.create_subprocess_exec(
                        *self._command, action, record.name, record.value,
                        stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=err,
                        env=environment, cwd="/", start_new_session=True,
                    )  # fmt: skip
                except (OSError, ValueError) as error:
                    why = getattr(error, "strerror", None) or str(error)
                    raise self._failed(
                        action, record, f"cannot be run: {why}; give its absolute path, and make it executable"
                    ) from error
                await self._ended(process, action, record)
                said = printed()
                if process.returncode:
                    raise self._failed(action, record, _why(process.returncode, _shown(complained())))
        return said.decode(errors="replace")

    async def _ended(self, process: asyncio.subprocess.Process, action: str, record: TxtRecord) -> None:
        """
        Wait for the program. Whatever ends the wait ends it and all that it started.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await process.wait()
        except TimeoutError:
            raise self._failed(
                action,
                record,
                f"did not end within {self._seconds:g} s and was killed; find out what it waits for, or raise `timeout`",
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.returncode is None:
                await process.wait()

    def _failed(self, action: str, record: TxtRecord, what: str) -> DnsError:
        return DnsError(
            Problem(
                type="dnsProvider",
                detail=f"{record.name}: the program of [dns.{self._name}], {self._command[0]}, run to {action} it, {what}",
            )
        )


def _why(status: int, said: str) -> str:
    """
    Say how a program failed, and what helps.
    """
    ended = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
    remedy = "it is tried again later" if status == _LATER else "run it by hand as docs/exec.md shows"
    return f"{ended}: {said or 'it said nothing on stderr'}; {remedy}"


@contextlib.contextmanager
def _hearing() -> Iterator[tuple[int, Callable[[], bytes]]]:
    """
    Listen to a pipe inside the context. Yields the end to write into, and what returns the last that was written.

    asyncio's own pipes keep whoever waits for a process waiting for all that hold its pipes; this one does not.
    """
    loop = asyncio.get_running_loop()
    read, write = os.pipe()
    os.set_blocking(read, False)
    heard = b""

    def hear() -> bytes:
        nonlocal heard
        try:
            more = os.read(read, 65536)
        except BlockingIOError:
            return heard
        heard = (heard + more)[-_MOST_HEARD:]
        return heard

    loop.add_reader(read, hear)
    try:
        yield write, hear
    finally:
        loop.remove_reader(read)
        os.close(read)
        os.close(write)


def _shown(output: bytes) -> str:
    """
    Return what a program printed in a form that is safe to show.
    """
    text = " ".join(output.decode(errors="replace").split())
    return "".join(each if each.isprintable() else "?" for each in text)[-_MOST_SHOWN:]
