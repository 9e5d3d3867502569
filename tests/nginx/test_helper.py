"""
What the daemon makes of the helper's words, and of its silence. The two together are tried in tests/live/test_nginx_helper.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.nginx_house import RealClock

from gatelodge.errors import NginxAway
from gatelodge.nginx.helper import Helper

if TYPE_CHECKING:
    from pathlib import Path

_ABOUT = """\
format 1
include /keep/current/http.con[f]
current {current}
ipv6 yes
nameserver 192.0.2.53
listen 0.0.0.0:80
listen [::]:80
version
nginx version: nginx/1.22.1
configure arguments: --with-http_ssl_module
"""


def helper(folder: Path) -> Helper:
    """
    Make the daemon's half, with answers that are looked for in the same folder.
    """
    return Helper(folder=folder, state_directory="/state", clock=RealClock(), answers=folder, seconds=0.2)


def test_what_it_said_is_believed_until_it_says_otherwise(tmp_path: Path) -> None:
    """
    Which tree is current, what his configuration must include, and what his nginx is.
    """
    asked = helper(tmp_path)
    (tmp_path / "about").write_text(_ABOUT.format(current=7))
    found = asked.find()

    assert (asked.current(), asked.entry()) == (7, "/keep/current/http.con[f]")
    assert (found.version, found.resolvers, found.strangers) == ((1, 22, 1), ("192.0.2.53",), {"80", "[::]:80"})
    (tmp_path / "new").write_text(_ABOUT.format(current="none"))
    (tmp_path / "new").rename(tmp_path / "about")
    assert asked.current() is None


async def test_a_helper_that_is_silent_is_told_of_with_what_to_do(tmp_path: Path) -> None:
    """
    Nobody told of nginx, or nobody answers: no tree is current, as far as is known, and no request is left.
    """
    asked = helper(tmp_path)
    with pytest.raises(NginxAway, match=r"nobody has told of it .* gatelodge-nginx\.path enabled"):
        asked.find()
    assert (asked.current(), asked.entry()) == (None, "/var/lib/gatelodge-nginx/current/http.con[f]")
    with pytest.raises(NginxAway, match=r"did not answer within 0\.2 s; .* \(docs/helper\.md\)"):
        await asked.load(7)
    assert list((tmp_path / "mailbox").iterdir()) == []


def test_a_helper_of_another_version_is_told_of(tmp_path: Path) -> None:
    """
    What it says then may mean something else.
    """
    (tmp_path / "about").write_text(_ABOUT.format(current=7).replace("format 1", "format 2"))
    with pytest.raises(NginxAway, match="of another version"):
        helper(tmp_path).find()
