"""
Snippets in files, met as a user does: served, read again when they change, and refused when they would break out or are gone.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import House, opened
from tests.support.waiting import until

from gatelodge.config.read import read
from gatelodge.errors import ConfigError
from gatelodge.runtime.snippets import filled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WIKI = "wiki.example.test"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


async def answers(house: House, status: int) -> bool:
    """
    Tell whether the site answers so.
    """
    try:
        return await house.get(WIKI) == status
    except OSError:
        return False


@pytest.mark.live
async def test_a_changed_file_is_served_and_a_bad_one_is_not(house: House, tmp_path: Path) -> None:
    """
    Without a change of the configuration itself. What cannot be used is told by `check` and refused; what was served goes on.
    """
    snippet = tmp_path / "site.conf"
    snippet.write_text("error_page 418 /x;\nreturn 418; # I'm a teapot")
    house.write(more=f'"{WIKI}" = {{ respond = {{ status = 404 }}, snippet = {{ file = "{snippet}" }} }}\n')
    await house.start()
    await until(lambda: answers(house, 418), seconds=60)
    snippet.write_text("return 410;\n")
    await until(lambda: answers(house, 410), seconds=60)
    snippet.write_text("return 410;\n}\n")
    refused = await house.saw("config.refused")

    assert f"{snippet}, line 2: there is a }} that closes nothing" in str(refused["mistakes"])
    code, _, err = await house.gatelodge("check")
    assert (code, f"{snippet}, line 2" in err, "snippet.file" in err) == (2, True, True)
    assert await house.get(WIKI) == 410


@pytest.mark.parametrize("kind", ["folder", "pipe", "none", "endless"])
def test_what_is_no_file_of_text_is_told(tmp_path: Path, kind: str) -> None:
    """
    And never waited for.
    """
    place = tmp_path / "x"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "endless":
        place = Path("/dev/zero")
    config = read(f'sites."a.lan" = {{ tls = "local", upstream = "http://x", snippet = {{ file = "{place}" }} }}')
    with pytest.raises(ConfigError) as caught:
        filled(config)
    (mistake,) = caught.value.mistakes
    assert (mistake.path, mistake.line) == ('sites."a.lan".snippet.file', 1)
    assert str(place) in mistake.problem
    assert ("no regular file" in mistake.problem) is (kind != "none")
    assert (os.strerror(errno.ENOENT) in mistake.problem) is (kind == "none")
