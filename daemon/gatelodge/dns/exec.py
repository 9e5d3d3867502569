"""
Publishes records by a program of the user's: docs/exec.md is the contract.

The program is run without a shell, with few variables, and for a limited time. What it prints on stderr is shown when it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, cast

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

#: What is kept of the daemon's environment.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MOST_SHOWN = 500


def make(settings: DnsSettings, parts: Parts) -> Exec:
    """
    Make the provider of a `[dns.NAME]`.
    """
    timeout = settings.options.get("timeout")
    return Exec(
        command=cast("tuple[str, ...]", settings.options["command"]),
        seconds=cast("dt.timedelta", timeout).total_seconds() if timeout else _SECONDS,
        resolver=parts.resolver,
    )


class Exec:
    """
    Implements `ports.DnsProvider`.
    """

    def __init__(self, *, command: tuple[str, ...], seconds: float, resolver: Resolver) -> None:
        self._command = command
        self._seconds = seconds
        self._resolver = resolver
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def zone_of(self, name: str) -> str:
        """
        Return the zone that the public DNS has for a name, as `ports.DnsProvider` says: a program is not asked.
        """
        return (await self._resolver.authority(name)).zone

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
        printed = await self._run("add", record, None)
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        return lines[-1][:_MOST_SHOWN] if lines else None

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Run the program with `remove`.
        """
        await self._run("remove", record, known_as)

    async def _run(self, action: str, record: TxtRecord, known_as: str | None) -> str:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {
            "PATH": environment.get("PATH", _PATH),
            "GATELODGE_ACTION": action,
            "GATELODGE_ZONE": record.zone,
            "GATELODGE_NAME": record.name,
            "GATELODGE_VALUE": record.value,
            **({"GATELODGE_ID": known_as} if known_as else {}),
        }
        async with self._slots:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command, action, record.name, record.value,
                    stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                    env=environment, start_new_session=True,
                )  # fmt: skip
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                raise self._failed(
                    action, record, f"cannot be run: {why}", "give its absolute path; make it executable"
                ) from error
            out, err = await self._outcome(process, action, record)
        if process.returncode:
            passing = "; it is tried again later" if process.returncode == _LATER else ""
            said = _shown(err) or "it said nothing on stderr"
            status = (
                f"ended with {process.returncode}"
                if process.returncode > 0
                else f"was ended by signal {-process.returncode}"
            )
            raise self._failed(action, record, f"{status}: {said}{passing}", "run it by hand with these arguments")
        return out.decode(errors="replace")

    async def _outcome(
        self, process: asyncio.subprocess.Process, action: str, record: TxtRecord
    ) -> tuple[bytes, bytes]:
        """
        Wait for the program. Whatever ends the wait ends it and all that it started.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await process.communicate()
        except TimeoutError:
            raise self._failed(
                action, record, f"did not end within {self._seconds:g} s and was killed", "raise `timeout`, or mend it"
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.returncode is None:
                await process.wait()

    def _failed(self, action: str, record: TxtRecord, what: str, remedy: str) -> DnsError:
        program = self._command[0]
        return DnsError(
            Problem(type="dnsProvider", detail=f"{record.name}: {program} {action} {what}; {remedy} (docs/exec.md)")
        )


def _shown(output: bytes) -> str:
    """
    Return what a program printed in a form that is safe to show.
    """
    text = " ".join(output[-4 * _MOST_SHOWN :].decode(errors="replace").split())
    return "".join(each if each.isprintable() else "?" for each in text)[-_MOST_SHOWN:]
