"""
What was found in the folder of another tool, in the words of Gatelodge, with a reason for everything that was not taken over.

It holds values only. What it holds has been looked at already; how it becomes text is decided in `render`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import KeyKind, Name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InFile:
    """
    A secret by reference: the file that holds it, or will once the person has written it there.
    """

    file: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FoundDns:
    """
    A DNS provider: `[dns.NAME]`. `options` are its own keys; those of dns-lexicon lie one level deeper, in `inner`.
    """

    name: str
    provider: str
    options: Mapping[str, str | InFile]
    inner: Mapping[str, str | InFile] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FoundCertificate:
    """
    A certificate: `[certificates.NAME]`. `held` says why it is shown, but not asked for.

    `adopt` is the folder of the one that is there; `key` is None for the kind that Gatelodge takes by itself.
    """

    name: str
    names: tuple[Name, ...]
    ca: str
    challenge: tuple[str, ...] = ()
    key: KeyKind | None = None
    profile: str | None = None
    adopt: str | None = None
    remarks: tuple[str, ...] = ()
    held: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FoundSite:
    """
    A site: `[sites]`. `held` says why it is shown, but not served. `body_size` is None where there is no limit.
    """

    hosts: tuple[Name, ...]
    upstream: str | None
    routes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body_size: str | None = None
    remarks: tuple[str, ...] = ()
    held: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """
    Something that was not taken over. `guards` marks what kept people out: it is told first.
    """

    what: str
    why: str
    guards: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    Everything that was found. `authorities` are CAs that are not built in, by name with their directory.
    """

    tool: str
    directory: str
    email: str | None = None
    webroot: str | None = None
    authorities: Mapping[str, str] = dataclasses.field(default_factory=dict)
    dns: tuple[FoundDns, ...] = ()
    certificates: tuple[FoundCertificate, ...] = ()
    sites: tuple[FoundSite, ...] = ()
    left: tuple[Left, ...] = ()


class NothingFound(Exception):
    """
    The folder is not one of that tool's; it says what helps.
    """
