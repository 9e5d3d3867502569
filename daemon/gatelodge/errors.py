"""
Everything that Gatelodge raises on purpose.

    GatelodgeError
    ├── ConfigError              the TOML is wrong: a person edits it
    ├── StateError               the state directory cannot be used: full, read-only, of a newer format
    │   ├── StateDamaged         one document makes no sense: its reader decides whether it can be done without
    │   └── StateLocked          another daemon holds it
    ├── SecretMissing            a secret is not where the configuration says
    ├── TransientError           try again later; `retry_after` when the other side said when
    │   ├── HttpUnreachable      nothing was sent
    │   └── HttpDisconnected     something was sent, no answer came
    ├── IssuanceError            a certificate was not issued; carries a `Problem`
    ├── ExportError              a copy of a certificate was not made for another program
    ├── NotSent                  a service did not take a message
    ├── DnsError                 a DNS provider or name server did not do what was asked; carries a `Problem`
    └── NginxError
        ├── NginxMissing         there is no nginx to run
        ├── NginxRefused         nginx said no to a configuration; carries its output and the guilty sites
        └── NginxUnproven        nginx said yes, but does not serve what it was given

Branch on what the caller can do. Exceptions carry fields; the sentence is made in `__str__` and says what happened, to which
name, and what to do. Foreign exceptions become one of these in the adapter that met them, and nowhere else.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from gatelodge.model import Listener, Mistake


class GatelodgeError(Exception):
    """
    The root: catch this to show a message instead of a traceback.
    """


class ConfigError(GatelodgeError):
    """
    A configuration with mistakes, all of them.
    """

    def __init__(self, mistakes: tuple[Mistake, ...], file: str | None = None) -> None:
        super().__init__(mistakes, file)
        self.mistakes = mistakes
        self.file = file

    def __str__(self) -> str:
        return "\n".join(describe_mistake(mistake, self.file) for mistake in self.mistakes)


def describe_mistake(mistake: Mistake, file: str | None) -> str:
    """
    Write a mistake as one line: `FILE:LINE: KEY: problem; remedy`.
    """
    place = ":".join(str(part) for part in (file, mistake.line) if part is not None)
    head = ": ".join(part for part in (place, mistake.path) if part)
    kind = "warning: " if mistake.warning else ""
    return (
        f"{head}: {kind}{mistake.problem}; {mistake.remedy}" if head else f"{kind}{mistake.problem}; {mistake.remedy}"
    )


class StateError(GatelodgeError):
    """
    The state directory cannot be read or written as it must be.
    """

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(path, problem, remedy)
        self.path = path
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.remedy}"


class StateDamaged(StateError):
    """
    A document cannot be understood, as against one that this Gatelodge must not touch.
    """


class StateLocked(StateError):
    """
    Another process works on this state directory.
    """


class SecretMissing(GatelodgeError):
    """
    A secret is not where the configuration says. `where` is a file or variable, never the secret.
    """

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(where, problem, remedy)
        self.where = where
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.where} {self.problem}; {self.remedy}"


class TransientError(GatelodgeError):
    """
    It did not work now and may work later.
    """

    def __init__(self, what: str, *, retry_after: dt.timedelta | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.what


class HttpUnreachable(TransientError):
    """
    The server could not be reached: name, route, TLS, or a refused connection. Nothing was sent.
    """


class HttpDisconnected(TransientError):
    """
    The connection ended, or time ran out, before an answer came. The server may have acted on the request.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subproblem:
    """
    One identifier's part in a problem (RFC 8555 §6.7.1).
    """

    type: str
    detail: str
    identifier: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """
    Why an issuance failed: a CA's problem document (RFC 9457, RFC 8555 §6.7), or ours in the same form.

    `type` is the CA's URN shortened to its last part (`rateLimited`, `dns`, …); unknown ones stay as they came. Problems
    found on our side have types of our own: `unreachable`, `selfCheck`, `noSolver`, `badAnswer`, `timeout`,
    `internal`.
    """

    type: str
    detail: str
    status: int | None = None
    subproblems: tuple[Subproblem, ...] = ()
    retry_after: dt.timedelta | None = None
    instance: str | None = None

    def __str__(self) -> str:
        parts = [f"{self.type}: {self.detail}"]
        untold = (sub for sub in self.subproblems if sub.detail not in self.detail)
        parts += [f"{sub.identifier or 'unnamed'}: {sub.type}: {sub.detail}" for sub in untold]
        return "; ".join(parts)


class IssuanceError(GatelodgeError):
    """
    A certificate was not issued.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.problem)


class NotSent(GatelodgeError):
    """
    A message was not taken by a service. `why` holds no secret.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


class ExportError(GatelodgeError):
    """
    A certificate was not copied to where another program wants it, or that was not told.
    """

    def __init__(self, place: str, problem: str, remedy: str) -> None:
        super().__init__(place, problem, remedy)
        self.place = place
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}; {self.remedy}"


class DnsError(GatelodgeError):
    """
    A DNS provider, or the DNS itself, did not do what was asked.

    The problem's type says what helps: `dnsProvider` passes by itself (unreachable, throttled, broken; `retry_after` when it said
    when), `dnsCredentials` wants another key or permission, `dnsZone` another zone (none that holds the name, expired, locked,
    somebody else's), `dnsRecord` a change at the record (a CNAME in the way, too many values), `dnsDelegation` other name servers
    or an `alias`, `propagation` time: some name server does not have it.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.problem)


class NginxError(GatelodgeError):
    """
    nginx does not do what it should.
    """


class NginxMissing(NginxError):
    """
    There is no nginx program to run.
    """

    def __init__(self, binary: str, why: str) -> None:
        super().__init__(binary, why)
        self.binary = binary
        self.why = why

    def __str__(self) -> str:
        return (
            f"nginx cannot be run as {self.binary!r}: {self.why}; install it (Debian: apt install nginx-light, "
            "PyPI: pip install 'gatelodge[nginx]') or set [nginx] binary to its path"
        )


class NginxAway(NginxMissing):
    """
    An nginx that others run cannot be asked, or told.
    """

    def __str__(self) -> str:
        return f"{self.binary}: {self.why}"


class NginxRefused(NginxError):
    """
    nginx refused a configuration, or could not be started with it.

    `output` is what nginx said and stands alone, `guilty` the file names of the sites it blamed; none when nobody could be
    blamed. `reasons` are the parts of `output` that are about single sites.
    """

    def __init__(
        self, output: str, guilty: frozenset[str] = frozenset(), reasons: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(output, guilty, reasons)
        self.output = output
        self.guilty = guilty
        self.reasons = reasons or {}

    def reason(self, site: str) -> str:
        """
        Return what was said of a site; all that was said when nothing names it.
        """
        return self.reasons.get(site, self.output)

    def __str__(self) -> str:
        return self.output


class NginxUnproven(NginxError):
    """
    nginx took a configuration, but what it serves is not what the configuration says. `unserved` are the listeners of which a visitor
    did not see what he should.
    """

    def __init__(self, what: str, unserved: frozenset[Listener] = frozenset()) -> None:
        super().__init__(what, unserved)
        self.what = what
        self.unserved = unserved

    def __str__(self) -> str:
        return f"nginx did not prove its new configuration: {self.what}"
