"""
Looks whether CAA records are in the way, before an order is made that cannot succeed (RFC 8659).

What a cache says is good enough to go on, and not to refuse: a record that forbids is looked up again past all caches, since somebody
may just have mended it. When nothing can be looked up the CA decides; that is kept, to be told beside what it says.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from gatelodge.acme import problems
from gatelodge.core import caa
from gatelodge.errors import DnsError, IssuanceError, Problem, Subproblem
from gatelodge.model import is_ip, is_wildcard
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    from gatelodge.core.caa import Applicant, Forbidden, Record
    from gatelodge.model import Name
    from gatelodge.ports import Resolver

    #: The records at a name, or why they could not be looked up.
    _Found: TypeAlias = "tuple[Record, ...] | str"

#: Seconds for all look-ups together. A machine without DNS loses no more than that.
_PATIENCE = 4.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """
    What was found at names and their parents.
    """

    found: Mapping[str, _Found]

    def of(self, name: str) -> _Found:
        """
        Return the records that count for a name: those of the nearest that has some.
        """
        for each in caa.climb(name):
            found = self.found.get(each, ())
            if found:
                return found
        return ()

    def unknown(self, name: Name) -> str | None:
        """
        Say why it is not known whether a name may be certified; None when it is.
        """
        found = self.of(name)
        return found if isinstance(found, str) else None


async def look(resolver: Resolver, names: Iterable[str], *, fresh: bool = False) -> Looked:
    """
    Look up what counts for names, each of them and of their parents once, all at once.
    """
    wanted = {each for name in names if not is_ip(name) for each in caa.climb(name)}
    found: dict[str, _Found] = dict.fromkeys(wanted, f"no answer within {_PATIENCE:g} s")

    async def one(name: str) -> None:
        try:
            found[name] = await resolver.caa(name, fresh=fresh)
        except DnsError as error:
            found[name] = error.problem.detail

    try:
        async with asyncio.timeout(_PATIENCE):
            await together(one(name) for name in sorted(wanted))
    except TimeoutError:
        pass  # what is missing is told
    return Looked(found=found)


async def check(resolver: Resolver, looked: Looked, applicants: Mapping[Name, Applicant], *, ca: str) -> None:
    """
    Refuse an order for names of which records forbid some.

    Args:
        applicants: who would issue, by name.

    Raises:
        IssuanceError: `caa`, with a subproblem for each of them.
    """
    suspects = [name for name, applicant in applicants.items() if judged(looked, name, applicant)]
    if not suspects:
        return
    again = await look(resolver, suspects, fresh=True)
    forbidden = {name: why for name in suspects if (why := judged(again, name, applicants[name]))}
    if not forbidden:
        return
    told = {
        name: problems.shown(
            f"{name}: the record {why.record} forbids {ca} to certify it, since {why.why}; {why.remedy}"
        )
        for name, why in forbidden.items()
    }
    raise IssuanceError(
        Problem(
            type="caa",
            detail=f"{'; '.join(dict.fromkeys(told.values()))}; the CA was not asked",
            subproblems=tuple(Subproblem(type="caa", detail=detail, identifier=name) for name, detail in told.items()),
        )
    )


def judged(looked: Looked, name: Name, applicant: Applicant) -> Forbidden | None:
    """
    Say what forbids an applicant to certify a name; None when nothing does, or nothing is known.
    """
    found = looked.of(name)
    return None if isinstance(found, str) else caa.judge(found, applicant, wildcard=is_wildcard(name))
