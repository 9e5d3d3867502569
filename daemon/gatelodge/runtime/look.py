"""
What one look at everything found, and what follows from it. It looks at nothing itself, and decides nothing.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.observed import Observed
    from gatelodge.core.plan import Plan
    from gatelodge.core.tree import Rendered
    from gatelodge.runtime.gate import Gate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """
    One look at everything: what is desired, what is, the tree for it, and what to do.
    """

    gate: Gate
    observed: Observed
    rendered: Rendered | None
    plan: Plan

    @property
    def settled(self) -> bool:
        """
        True when nothing runs and nothing is to be done now.
        """
        return not self.plan.actions and not self.observed.jobs

    @property
    def kept_back(self) -> Mapping[str, str]:
        """
        The parts that are not served as they are asked for, by name, and why: nginx refused them, or cannot do what they want.
        """
        refused = {part: quarantine.error for part, quarantine in self.observed.quarantines.items()}
        return {**(self.rendered.unwritten if self.rendered else {}), **refused}

    @property
    def served(self) -> bool:
        """
        True when nginx was seen to serve exactly what is desired now.
        """
        nginx = self.observed.nginx
        return (
            self.rendered is not None
            and nginx.current is not None
            and nginx.current.proven
            and nginx.running == nginx.current.number
            and nginx.current.digest == self.rendered.digest
        )
