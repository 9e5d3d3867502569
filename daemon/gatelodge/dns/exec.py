"""
Publishes records by a program of the user's: docs/exec.md is the contract.

The program is run without a shell, with few variables, and for a limited time; when it ends, what it started ends too. What it
prints on stderr is shown when it fails.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, cast

from gatelodge import programs
from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    import datetime as dt

    from gatelodge.dns.providers import Parts
    from gatelodge.model import DnsSettings
    from gatelodge.ports import Resolver, TxtRecord

_SECONDS = 60.0

#: Programs that run at once.
_AT_ONCE = 4

#: EX_TEMPFAIL of sysexits(3): it may work later.
_LATER = 75

#: Characters of a record's id that are kept.
_MOST_KEPT = 500


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
        return known_as if known_as.isprintable() and 0 < len(known_as) <= _MOST_KEPT else None

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
        environment = programs.few_variables(
            {
                "GATELODGE_ACTION": action,
                "GATELODGE_ZONE": record.zone,
                "GATELODGE_NAME": record.name,
                "GATELODGE_VALUE": record.value,
                **({"GATELODGE_TTL": str(self._ttl)} if self._ttl else {}),
                **({"GATELODGE_ID": known_as} if known_as else {}),
            }
        )
        command = (*self._command, action, record.name, record.value)
        try:
            async with self._slots:
                ran = await programs.run(command, seconds=self._seconds, environment=environment)
        except TimeoutError:
            late = (
                f"did not end within {self._seconds:g} s and was killed; find out what it waits for, or raise `timeout`"
            )
            raise self._failed(action, record, late) from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            told = f"cannot be run: {why}; give its absolute path, and make it executable"
            raise self._failed(action, record, told) from error
        if ran.status:
            remedy = "it is tried again later" if ran.status == _LATER else "run it by hand as docs/exec.md shows"
            raise self._failed(action, record, f"{programs.why(ran)}; {remedy}")
        return ran.out.decode(errors="replace")

    def _failed(self, action: str, record: TxtRecord, what: str) -> DnsError:
        return DnsError(
            Problem(
                type="dnsProvider",
                detail=f"{record.name}: the program of [dns.{self._name}], {self._command[0]}, run to {action} it, {what}",
            )
        )
