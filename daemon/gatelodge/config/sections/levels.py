"""
Reads what a site says for all its routes, and a route for itself: how bytes go through, who may come, what is said beside the body.

What a route says stands in place of what its site says, key by key; headers and error pages are merged name by name.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from gatelodge.config.document.fields import given
from gatelodge.config.keys import quoted
from gatelodge.config.sections import headers
from gatelodge.config.suggest import nearest
from gatelodge.config.values.networks import ALL
from gatelodge.config.values.site_leaves import Satisfy
from gatelodge.model import Guard, Headers, Rate, Transport

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gatelodge.config.document.site_tables import ManyRoutes, RateTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.sections.headers import Said
    from gatelodge.config.values.networks import Networks

_TRANSPORT = (
    *("timeout", "connect_timeout", "body_size", "websocket", "buffering", "request_buffering"),
    *("temp_file_limit", "gzip"),
)
_NETWORKS = ("allow", "deny")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """
    What entries elsewhere in the document can be named here: those of `[auth]`, and networks.
    """

    auths: Collection[str]
    networks: Networks


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """
    What was said at one place. `guard` and `said` hold the parts of a `Guard` and of `Headers` that were; `auth` is empty where
    nobody is to be asked.
    """

    transport: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    guard: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    said: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    request: Said = dataclasses.field(default_factory=dict)
    response: Said = dataclasses.field(default_factory=dict)
    error_pages: Mapping[int, str] = dataclasses.field(default_factory=dict)

    def below(self, other: Level) -> Level:
        """
        Return what holds for a route of which this was said, in a site of which the other was.
        """
        return Level(
            **{
                field.name: {**getattr(other, field.name), **getattr(self, field.name)}
                for field in dataclasses.fields(Level)
            }
        )

    def parts(self) -> dict[str, Any]:
        """
        Return the fields of a `Route` that come of it.
        """
        auth = self.guard.get("auth") or None
        # Where one of the two is not asked for, the other is all there is.
        either = self.guard.get("satisfy") is Satisfy.ANY and auth is not None and "allow" in self.guard
        return {
            "transport": Transport(**self.transport),
            "guard": Guard(
                **{key: value for key, value in self.guard.items() if key not in {"auth", "satisfy"}},
                auth=auth,
                satisfy_any=either,
            ),
            "headers": Headers(
                request=tuple(self.request.values()), response=tuple(self.response.values()), **self.said
            ),
            "error_pages": tuple(sorted(self.error_pages.items())),
        }


def level(path: Path, table: ManyRoutes, known: Known, found: Mistakes) -> Level:
    """
    Return what a table says, noting what cannot be.
    """
    return Level(
        transport=given(table, *_TRANSPORT),
        guard=_guard(path, table, known, found),
        said=_said(table),
        request=headers.request((*path, "request_headers"), table.request_headers, found),
        response=headers.response((*path, "headers"), table.headers, found),
        error_pages=table.error_pages,
    )


def satisfied(path: Path, table: ManyRoutes, whole: Level, found: Mistakes) -> None:
    """
    Note that either of two is to be enough where one of them is not asked for.

    Args:
        whole: what holds where the table stands.
    """
    either = whole.guard.get("satisfy") is Satisfy.ANY
    if either and (table.satisfy or table.deny) and not set(whole.guard.get("deny", ())).isdisjoint(ALL):
        found.add(
            (*path, "satisfy" if table.satisfy else "deny"),
            "`deny` keeps everybody out before one of two could be enough",
            'write satisfy = "all", or the networks that are meant',
        )
    if table.satisfy is not Satisfy.ANY or found.unread((*path, "auth"), (*path, "allow")):
        return
    lacking = [key for key in ("auth", "allow") if not whole.guard.get(key)]
    if lacking:
        found.add(
            (*path, "satisfy"),
            f'"any" lets in who passes `auth` or comes from `allow`, and there is no {" and no ".join(lacking)}',
            f"add {' and '.join(lacking)}, or leave it out",
        )


def _guard(path: Path, table: ManyRoutes, known: Known, found: Mistakes) -> dict[str, Any]:
    guard = given(table, "auth", "satisfy", "connections")
    if table.auth and table.auth not in known.auths and not found.unread(("auth", table.auth), ("auth",)):
        meant = nearest(table.auth, known.auths)
        remedy = f"did you mean {quoted(meant)}?" if meant else f"add [auth.{table.auth}] with its provider"
        found.add((*path, "auth"), f"there is no [auth.{table.auth}]", remedy)
    for key in _NETWORKS:
        listed = getattr(table, key)
        if listed is None:
            continue
        if key == "allow" and not listed and not found.unread((*path, key)):
            found.add((*path, key), "it is empty, and nobody could come", 'write networks, or "all"')
        guard[key] = known.networks.resolved((*path, key), listed)
    if table.rate is not None:
        rate = _rate((*path, "rate"), table.rate, found)
        guard |= {"rate": rate} if rate else {}
    return guard


def _rate(path: Path, table: RateTable, found: Mistakes) -> Rate | None:
    if table.requests is None:
        if not found.unread(path):
            found.add(path, "it does not say how many", 'write requests = "10/s"')
        return None
    requests, seconds = table.requests
    # A page comes with its pictures: what may come within one period may come at once.
    return Rate(requests=requests, seconds=seconds, burst=requests if table.burst is None else table.burst)


def _said(table: ManyRoutes) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if table.hide_headers is not None:
        said["hide"] = tuple({name.lower(): name for name in table.hide_headers}.values())
    if table.security_headers is not None:
        said["security"] = table.security_headers
    return said
