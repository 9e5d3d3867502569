"""
Decides who asks too often: token buckets, one for each address that asks and one for all of them. Pure but for the clock it is given.

What is refused costs nothing, so that whoever waits as long as he is told comes in. How many addresses are remembered is bounded: the
one that asked longest ago is forgotten first, and the bucket of all bounds those who have many.
"""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatelodge.ports import Clock

#: What one address may ask at once, and how much of that comes back each second: a scrape every few seconds and a person with a
#: script come nowhere near.
_BURST, _EACH_SECOND = 60, 4.0

#: The same for all together.
_BURST_OF_ALL, _EACH_SECOND_OF_ALL = 240, 20.0

#: What a wrong token costs besides: after six from one address it is one every two and a half seconds.
WRONG = 9

_REMEMBERED = 1024

#: A machine has a whole network of IPv6 addresses to ask from (RFC 6177).
_IPV6_PREFIX = 64


@dataclasses.dataclass(slots=True)
class _Bucket:
    size: float
    each_second: float
    left: float
    at: float

    def refill(self, now: float) -> None:
        self.left = min(self.size, self.left + max(now - self.at, 0.0) * self.each_second)
        self.at = now

    def wait(self) -> float:
        """
        Return in how many seconds there is one again.
        """
        return max(1.0 - self.left, 0.0) / self.each_second


class Pace:
    """
    The buckets of those who ask.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._all = _Bucket(_BURST_OF_ALL, _EACH_SECOND_OF_ALL, _BURST_OF_ALL, clock.monotonic())
        self._each: collections.OrderedDict[str, _Bucket] = collections.OrderedDict()

    def take(self, address: str) -> int:
        """
        Count a request. Return 0 when it may be answered, else after how many whole seconds another may.
        """
        now = self._clock.monotonic()
        own = self._of(address, now)
        for bucket in (own, self._all):
            bucket.refill(now)
            if bucket.wait() > 0:
                return math.ceil(bucket.wait())
        own.left -= 1
        self._all.left -= 1
        return 0

    def punish(self, address: str) -> None:
        """
        Count a wrong token. It costs the address that sent it alone: nobody is kept out by what others do.
        """
        own = self._of(address, self._clock.monotonic())
        own.left = max(own.left - WRONG, 0.0)

    def _of(self, address: str, now: float) -> _Bucket:
        key = _network(address)
        bucket = self._each.setdefault(key, _Bucket(_BURST, _EACH_SECOND, _BURST, now))
        self._each.move_to_end(key)
        while len(self._each) > _REMEMBERED:
            self._each.popitem(last=False)
        return bucket


def _network(address: str) -> str:
    """
    Return whose bucket an address draws from.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
    return str(found)
