"""
What is told of a configuration that is wrong.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """
    One thing that is wrong in a configuration.

    `path` is the key path as a person would write it (`sites."a.example".upstream`), `line` its line in the file when the
    scanner could tell, `problem` what is wrong and `remedy` what to write instead. A warning stops nothing.
    """

    path: str
    problem: str
    remedy: str
    line: int | None = None
    warning: bool = False
