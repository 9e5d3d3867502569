"""
What is to be set in apps, by the presets in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.patient import Case

from gatelodge.doctor import hints

if TYPE_CHECKING:
    from pathlib import Path


async def test_the_note_of_a_preset_is_filled_in(tmp_path: Path) -> None:
    """
    With the site's host and the visitor's port; sites without a preset have none.
    """
    toml = (
        "[nginx]\npublic_https_port = 2443\n[sites]\n"
        '"cloud.example.com" = { upstream = "http://nextcloud:80", preset = "nextcloud" }\n'
        '"wiki.example.com" = "http://wiki:80"\n'
    )
    seen = await Case(folder=tmp_path, toml=toml).look(hints.look)

    assert "Nextcloud" in seen.of("note", "cloud.example.com")
    assert "OVERWRITEHOST=cloud.example.com:2443" in seen.all[0].do
    assert len(seen.all) == 1
