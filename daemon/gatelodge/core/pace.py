"""
Decides, for one plan, what has come and what must wait, and gathers when to look again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core.actions import NGINX, Action, Obtain, Revoke, Take, digest, key, tries

if TYPE_CHECKING:
    import datetime as dt

    from gatelodge.core.observed import Attempt, Observed


class Pace:
    """
    The time of one plan. `look_at` is the earliest moment at which one of its answers would change by time alone.
    """

    def __init__(self, observed: Observed, now: dt.datetime, *, at_latest: dt.timedelta) -> None:
        """
        Args:
            at_latest: after this it is looked again in any case.
        """
        self.now = now
        self.look_at = now + at_latest
        self._observed = observed

    def reached(self, moment: dt.datetime) -> bool:
        """
        Tell whether a moment has come; if not, it is one to look again at.
        """
        if moment <= self.now:
            return True
        self.look_at = min(self.look_at, moment)
        return False

    def waited(self, since: dt.datetime, wait: dt.timedelta) -> bool:
        """
        Tell whether it is so long since a moment. One that lies ahead was dated by a clock that was wrong: how long ago it was nobody
        knows, and the clock may not come to it for years, so that it holds nothing back.
        """
        return since > self.now or self.reached(since + wait)

    def held_back(self, action: Action) -> bool:
        """
        Tell whether the same thing failed and its time to be tried again has not come.
        """
        requests = self._observed.requests
        asked = isinstance(action, Obtain | Take) and action.spec.name in requests.renew
        if asked or isinstance(action, Revoke) or (key(action) == NGINX and requests.reload):
            return False
        attempt = self._observed.attempts.get(tries(action))
        if attempt is None or attempt.digest != digest(action):
            return False
        return not self.is_over(attempt)

    def is_over(self, attempt: Attempt) -> bool:
        """
        Tell whether the wait after a failure is over.
        """
        return self.waited(attempt.at, attempt.retry_at - attempt.at)
