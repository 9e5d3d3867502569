"""
What people ask of the accounts at the CAs: to see them, make them, change whom the CA writes to, change their keys, give them up.

Each CA is asked at once, beside the loop: no certificate comes or goes by it. A CA is known by its name; none is named when there is one.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from gatelodge.api.wishes import Answer
from gatelodge.errors import IssuanceError, StateError

if TYPE_CHECKING:
    from gatelodge.ports import AccountSeen, Ca
    from gatelodge.runtime.gate import Gate

_PREFIX = "acme:"


class Deed(enum.StrEnum):
    """
    What can be done with an account.
    """

    SHOW = "show"
    REGISTER = "register"
    UPDATE = "update"
    ROLLOVER = "rollover"
    DEACTIVATE = "deactivate"


async def do(gate: Gate, deed: Deed, *, name: str | None, email: str | None = None) -> Answer:
    """
    Do something with the account at a CA, and say what came of it.

    Args:
        name: the CA; None for the only one.
        email: the address for `UPDATE`; None takes it away.
    """
    known = sorted(issuer.removeprefix(_PREFIX) for issuer in gate.cas)
    if not known:
        return Answer(ok=False, message="no certificate is asked of an ACME CA, so there is no account")
    if name is None and len(known) > 1:
        return Answer(ok=False, message=f"there are several CAs: {', '.join(known)}; say which with --ca NAME")
    ca = name or known[0]
    if ca not in known:
        return Answer(ok=False, message=f"no certificate is asked of a CA called {ca!r}; there are: {', '.join(known)}")
    try:
        return await _do(gate.cas[f"{_PREFIX}{ca}"], deed, ca, email)
    except (IssuanceError, StateError) as error:
        return Answer(ok=False, message=f"{ca}: {error}", fields={"ca": ca})


async def _do(asked: Ca, deed: Deed, ca: str, email: str | None) -> Answer:
    none = Answer(
        ok=False, message=f"there is no account at {ca} yet; `gatelodge account register` makes one", fields={"ca": ca}
    )
    match deed:
        case Deed.SHOW:
            seen = await asked.account(progress=_quietly)
            return _shown(ca, seen) if seen is not None else none
        case Deed.REGISTER:
            url = await asked.register(progress=_quietly)
            return Answer(ok=True, message=f"the account at {ca} is {url}", fields={"ca": ca, "url": url})
        case Deed.UPDATE:
            seen = await asked.update_account(email, progress=_quietly)
            return _shown(ca, seen) if seen is not None else none
        case Deed.ROLLOVER:
            if not await asked.roll_over(progress=_quietly):
                return none
            return Answer(ok=True, message=f"the account at {ca} has a new key", fields={"ca": ca})
        case Deed.DEACTIVATE:
            if not await asked.deactivate_account(progress=_quietly):
                return none
            message = f"the account at {ca} is given up; a certificate that is asked of it makes another account"
            return Answer(ok=True, message=message, fields={"ca": ca})


def _shown(ca: str, seen: AccountSeen) -> Answer:
    contact = ", ".join(each.removeprefix("mailto:") for each in seen.contact) or "nobody"
    fields: dict[str, Any] = {"ca": ca, "url": seen.url, "status": seen.status, "contact": list(seen.contact)}
    return Answer(
        ok=True,
        message=f"{ca}: {seen.url}, {seen.status or 'of no known status'}; it writes to {contact}",
        fields=fields,
    )


def _quietly(step: str) -> None:
    """
    Whoever asked waits for the answer.
    """
    del step
