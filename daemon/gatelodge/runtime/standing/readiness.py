"""
Says why the gate is not ready for visitors, if it is not. Pure.

Ready is who serves: nginx runs a tree that was proven, and every certificate that is asked for is there and good. What waits to be
tried again, is kept back, or is late and still good is no reason: visitors come in.
"""

from __future__ import annotations

from typing import Any

#: The states of certificates with which visitors are served as they should be.
_GOOD = frozenset({"valid", "unused"})


def unready(document: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the reasons, as JSON objects; none when all is ready.

    Args:
        document: how things stand (`report`).
    """
    nginx, reasons = document["nginx"], []
    if not nginx["proven"]:
        state = "nginx serves no configuration that was proven" if nginx["running"] else "nginx does not run"
        failure = nginx["failure"]
        why = nginx["missing"] or (failure["error.detail"] if failure else None)
        reasons.append({"reason": "nginx", "detail": f"{state}: {why}" if why else state})
    for entry in document["certificates"]:
        if entry["state"] not in _GOOD:
            failure = entry["failure"]
            why = f": {failure['error.detail']}" if failure else ""
            reasons.append(
                {
                    "reason": "certificate",
                    "certificate": entry["certificate"],
                    "state": entry["state"],
                    "detail": f"{entry['certificate']} is {_WORDS[entry['state']]}{why}",
                }
            )
    return reasons


_WORDS = {"missing": "not there", "placeholder": "not there, a placeholder is shown", "expired": "expired"}
