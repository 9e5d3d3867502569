"""
Says what a plan would do, for people and programs: the JSON of `plan` and of the admin service. Pure.

Field names are an interface. Nothing here is secret: nginx's files hold no password and no key.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from gatelodge.core.actions import describe
from gatelodge.core.parts import place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gatelodge.runtime.look import Look


def planned(look: Look, changes: Iterable[str]) -> dict[str, Any]:
    """
    Return what is to be done and why, what follows from it, and how nginx's files change, as a JSON object.

    Args:
        changes: the lines that `diff` returns.
    """
    return {
        "actions": [describe(action) for action in look.plan.actions],
        "follows": list(look.plan.follows),
        "look_at": look.plan.look_at.isoformat(),
        "kept_back": dict(look.kept_back),
        "diff": "".join(changes),
    }


def diff(before: Mapping[str, str], look: Look) -> Iterator[str]:
    """
    Yield how the nginx files change, as lines of a unified diff.

    Args:
        before: the text of each site and stream that nginx has now, by the name of its part.
    """
    if look.rendered is None:
        return
    after = look.rendered.parts
    for part in sorted({*before, *after}):
        old, new = before.get(part, ""), after.get(part, "")
        yield from difflib.unified_diff(
            old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{place(part)}", f"b/{place(part)}"
        )
