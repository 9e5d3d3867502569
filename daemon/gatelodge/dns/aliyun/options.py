"""
Finds mistakes in the options of an Aliyun provider that no single key shows. Pure and light: `check` reads it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: https://www.alibabacloud.com/help/en/ram/developer-reference/api-ram-2015-05-01-createrole.
_ROLE = re.compile(r"[A-Za-z0-9.-]{1,64}")

_PAIR = ("access_key_id", "access_key_secret", "security_token")


def check(options: Mapping[str, object]) -> Iterable[tuple[str, str, str]]:
    """
    Say what is wrong: each as key, problem and remedy.
    """
    ways = [way for way in ("ram_role", "credentials_file") if way in options]
    ways += [key for key in _PAIR if key in options][:1]
    if len(ways) > 1:
        yield ways[1], f"the key is given twice, by {ways[0]} and by {ways[1]}", "keep one of them"
    role = options.get("ram_role")
    if isinstance(role, str) and not _ROLE.fullmatch(role):
        yield "ram_role", "it is not the name of a RAM role", "write its name as the RAM console has it, not its ARN"
