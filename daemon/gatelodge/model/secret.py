"""
Text that must never be shown, and where it is found.
"""

from __future__ import annotations

import dataclasses


class Secret:
    """
    Text that never shows itself: its repr and str are blind, and it cannot be formatted or serialised by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """
        Return the secret itself, for the one call that needs it.
        """
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """
    Where a secret is found: exactly one of the configuration itself, a file, or a variable of the environment.
    """

    literal: Secret | None = None
    file: str | None = None
    env: str | None = None
