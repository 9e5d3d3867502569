"""
Whoever follows a page's word gets where it leads: links, headings, files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support import pages
from tests.support.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_INSIDE = [(page, link) for page, link in pages.links() if not re.match(r"[a-z]+:", link)]

#: Files of this repository, as sentences name them.
_FILE = re.compile(
    r"(?:docs|scripts|systemd|docker|tests|benchmarks|daemon)/[\w./-]*\w|config\.example\.toml|[\w-]+\.md"
)


@pytest.mark.parametrize(("page", "link"), _INSIDE, ids=lambda each: str(each).removeprefix(f"{ROOT}/"))
def test_a_link_leads_to_a_page_and_a_heading(page: Path, link: str) -> None:
    """
    Both are there.
    """
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page

    assert target.exists(), link
    assert target.is_relative_to(ROOT), link
    if anchor:
        assert anchor in pages.anchors(target), link


def test_links_outside_are_https() -> None:
    """
    But for the address by which a cloud's machine is told its role.
    """
    outside = {link for _, link in pages.links() if re.match(r"[a-z]+:", link)}

    assert not {link for link in outside if not link.startswith("https://")}


@pytest.mark.parametrize(
    ("page", "name"),
    sorted({(page, name) for page, code in pages.inline_code() for name in _FILE.findall(code) if code == name}),
    ids=str,
)
def test_a_file_that_is_named_is_there(page: str, name: str) -> None:
    """
    Seen from the top of the checkout, or from the page.
    """
    assert (ROOT / name).exists() or (ROOT / page).parent.joinpath(name).exists(), name


def test_every_page_is_in_the_index() -> None:
    """
    docs/README.md leads to each.
    """
    index = ROOT / "docs" / "README.md"
    linked = {(page.parent / link.partition("#")[0]).resolve() for page, link in _INSIDE if page == index}
    missing = [
        page for page in pages.pages() if page.is_relative_to(ROOT / "docs") and page != index and page not in linked
    ]

    assert not missing
