"""
Every preset is complete, stated by the app's own makers, and says nothing that is not its business.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gatelodge import presets
from gatelodge.config.values import quantities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatelodge.presets import Preset

FOLDER = Path(presets.__file__).parent

#: Where the makers of each app document it. A preset without a line here has no source of its own.
HOMES: Mapping[str, str] = {
    "adguard-home": "https://adguard-dns.io/kb/adguard-home/",
    "audiobookshelf": "https://www.audiobookshelf.org/",
    "code-server": "https://coder.com/docs/code-server/",
    "collabora": "https://sdk.collaboraonline.com/",
    "emby": "https://support.emby.media/",
    "forgejo": "https://forgejo.org/docs/",
    "gitea": "https://docs.gitea.com/",
    "gitlab": "https://docs.gitlab.com/",
    "grafana": "https://grafana.com/",
    "home-assistant": "https://www.home-assistant.io/",
    "immich": "https://docs.immich.app/",
    "jellyfin": "https://jellyfin.org/docs/",
    "navidrome": "https://www.navidrome.org/docs/",
    "nextcloud": "https://docs.nextcloud.com/",
    "ntfy": "https://docs.ntfy.sh/",
    "paperless": "https://docs.paperless-ngx.com/",
    "pihole": "https://docs.pi-hole.net/",
    "plex": "https://support.plex.tv/",
    "portainer": "https://docs.portainer.io/",
    "qbittorrent": "https://github.com/qbittorrent/qBittorrent/wiki/",
    "radarr": "https://wiki.servarr.com/",
    "rocketchat": "https://github.com/RocketChat/docs/",
    "servarr": "https://wiki.servarr.com/",
    "sonarr": "https://wiki.servarr.com/",
    "synapse": "https://element-hq.github.io/synapse/",
    "unifi": "https://help.ui.com/",
    "uptime-kuma": "https://github.com/louislam/uptime-kuma/wiki/",
    "vaultwarden": "https://github.com/dani-garcia/vaultwarden/wiki/",
}

#: What a route inherits from its site, and may change.
SHARED = frozenset(
    [
        *("timeout", "connect_timeout", "body_size", "websocket", "buffering", "request_buffering", "temp_file_limit"),
        *("request_headers", "headers", "hide_headers", "allow", "deny", "auth", "hsts", "upstream_tls"),
    ]
)
OF_SITE = SHARED | {"listen", "routes"}
OF_ROUTE = SHARED | {"match", "port", "strip", "redirect_to", "respond"}

PLACEHOLDERS = frozenset(("{host}", "{authority}", "{url}"))
LONGEST_LINE = 132

each = pytest.mark.parametrize("preset", presets.load().values(), ids=lambda preset: preset.name)


def tables(preset: Preset) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """
    The site of a preset, as "", and its routes with their paths.
    """
    yield "", preset.site
    routes: Any = preset.site.get("routes", {})
    yield from routes.items()


def every(preset: Preset, key: str) -> list[Any]:
    """
    The values of a key, in the site and in its routes.
    """
    return [table[key] for _, table in tables(preset) if key in table]


def said(part: object) -> Iterator[str]:
    """
    Every text in a part of a preset, however deep.
    """
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from said(value)
    elif isinstance(part, list):
        for value in part:
            yield from said(value)


def test_every_file_is_loaded_once_under_its_name() -> None:
    """
    The name that users write is that of the file, and nothing else lies in the folder.
    """
    files = sorted(path.stem for path in FOLDER.glob("*.toml"))

    assert list(presets.load()) == files == sorted(HOMES)
    assert {path.suffix for path in FOLDER.iterdir() if path.is_file()} == {".py", ".toml"}
    assert presets.load() is presets.load()


def test_what_was_loaded_stays_as_it_is() -> None:
    """
    Neither the presets nor one of them can be exchanged by somebody who looks at them.
    """
    loaded: Any = presets.load()

    with pytest.raises(TypeError):
        loaded["nextcloud"] = loaded["plex"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded["nextcloud"].note = ""


@each
def test_it_is_complete(preset: Preset) -> None:
    """
    A person learns what it is, what to write, and what to set in the app.
    """
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", preset.name)
    assert preset.title.strip() == preset.title != ""
    assert re.fullmatch(r"https?://[a-z0-9-]+:[0-9]{2,5}", preset.upstream)
    assert preset.note.strip()


@each
def test_it_has_only_the_keys_of_a_preset(preset: Preset) -> None:
    """
    A misspelt key is noticed here, not by a user who wonders.
    """
    text = (FOLDER / f"{preset.name}.toml").read_text(encoding="utf-8")

    assert list(tomllib.loads(text)) in (["title", "sources", "upstream", "note", *site] for site in ([], ["site"]))


@each
def test_it_is_stated_by_the_makers_of_the_app(preset: Preset) -> None:
    """
    The first source is the app's own documentation, and every one can be looked up.
    """
    assert preset.sources[0].startswith(HOMES[preset.name])
    assert all(re.fullmatch(r"https://[a-z0-9.-]+/[^\s<>\"]*", source) for source in preset.sources)
    assert len(set(preset.sources)) == len(preset.sources)


@each
def test_its_note_can_be_shown(preset: Preset) -> None:
    """
    It holds no placeholder that nobody fills, and fits a terminal.
    """
    assert set(re.findall(r"\{\w*\}", preset.note)) <= PLACEHOLDERS
    assert all(line == line.rstrip() and len(line) <= LONGEST_LINE for line in preset.note.splitlines())
    assert preset.note.replace("\n", "").isprintable()
    assert not preset.note.startswith("\n")


@each
def test_it_says_how_not_where(preset: Preset) -> None:
    """
    It has keys of a site and of a route, and none that name an upstream, a certificate or a login.
    """
    assert preset.site.keys() <= OF_SITE
    for path, route in tables(preset):
        if path:
            assert route.keys() <= OF_ROUTE, path
            assert route, path


@each
def test_its_paths_are_paths(preset: Preset) -> None:
    """
    A pattern begins where the path begins, so that it cannot match somewhere in the middle.
    """
    for path, route in tables(preset):
        match route.get("match", "prefix"):
            case "regex":
                assert re.compile(path).pattern.startswith("^")
            case how:
                assert how in {"prefix", "exact"}
                assert not path or re.fullmatch(r"/[\w./-]*", path)


@each
def test_a_login_is_never_taken_off_a_whole_site(preset: Preset) -> None:
    """
    Only paths are exempt from it; no pattern reaches the app's own pages, and nobody gets in by an address alone.
    """
    for path, table in tables(preset):
        if "auth" in table:
            assert table["auth"] == "off"
            assert path not in {"", "/"}
            assert table.get("match") != "regex" or re.match(path, "/") is None

    assert all(who == ["lan"] for who in every(preset, "allow"))
    assert not every(preset, "deny")


@each
def test_its_values_can_be_read(preset: Preset) -> None:
    """
    Times and sizes are as users write them.
    """
    for text in every(preset, "timeout") + every(preset, "connect_timeout"):
        assert quantities.duration(text)
    for text in every(preset, "body_size") + every(preset, "temp_file_limit"):
        assert quantities.size(text) >= 0
    for switch in every(preset, "buffering") + every(preset, "request_buffering"):
        assert switch is False, "streaming is worth a word, buffering is the default"
    for port in [port for ports in every(preset, "listen") for port in ports]:
        assert isinstance(port, int)


@each
def test_no_text_holds_a_variable(preset: Preset) -> None:
    """
    A header is what it says; nginx puts nothing into it.
    """
    sent = every(preset, "headers") + every(preset, "request_headers") + every(preset, "respond")

    assert not [text for text in said(sent) if "$" in text]


def test_nextcloud_tells_how_to_keep_the_port() -> None:
    """
    Behind a forwarded port, links without it and warnings of plain http come from four settings and a container's default.
    """
    note = presets.load()["nextcloud"].note

    for told in (
        "'overwriteprotocol' => 'https'",
        "'overwritehost' => '{authority}'",
        "'trusted_proxies'",
        "'trusted_domains' => ['{host}']",
        "APACHE_DISABLE_REWRITE_IP=1",
    ):
        assert told in note


def test_synapse_tells_the_parent_domain_in_toml() -> None:
    """
    What the note gives to copy is TOML, and the JSON in it is right after the placeholders are filled.
    """
    note = presets.load()["synapse"].note.replace("{host}", "matrix.example.org").replace("{url}", "https://m.example")
    lines = [line.strip() for line in note.splitlines() if line.startswith("  ")]
    first = next(index for index, line in enumerate(lines) if line.startswith("["))
    routes = tomllib.loads("\n".join(lines[first:]))["sites"]["example.org"]["routes"]

    assert routes["/.well-known/matrix/server"]["respond"]["body"] == '{"m.server": "matrix.example.org:8448"}'
    assert (
        routes["/.well-known/matrix/client"]["respond"]["body"] == '{"m.homeserver": {"base_url": "https://m.example"}}'
    )
    assert all(route["match"] == "exact" and route.keys() <= OF_ROUTE for route in routes.values())


@pytest.mark.parametrize(
    ("name", "path", "open_to_all"),
    [
        ("forgejo", "/ada/engine.git/info/refs", True),
        ("forgejo", "/ada/engine/git-receive-pack", True),
        ("forgejo", "/ada/engine.git/objects/pack/pack-0a.pack", True),
        ("gitea", "/ada/engine.git/info/lfs/objects/batch", True),
        ("gitea", "/ada/engine", False),
        ("gitea", "/ada/engine/src/branch/main/info/refs", False),
        ("gitea", "/user/login", False),
        ("gitlab", "/group/below/engine.git/git-upload-pack", True),
        ("gitlab", "/group/below/engine.git/gitlab-lfs/objects/0a/1", True),
        ("gitlab", "/group/engine/-/tree/main", False),
        ("gitlab", "/users/sign_in", False),
        ("audiobookshelf", "/audiobookshelf/api/libraries", True),
        ("audiobookshelf", "/socket.io/", True),
        ("audiobookshelf", "/login", True),
        ("audiobookshelf", "/login/further", False),
        ("audiobookshelf", "/apiary", False),
        ("audiobookshelf", "/audiobookshelf/", False),
    ],
)
def test_a_pattern_opens_what_programs_ask_and_no_page(name: str, path: str, *, open_to_all: bool) -> None:
    """
    What git and the phone apps ask gets past a login of the gate; what a person sees is behind it.
    """
    patterns = [where for where, route in tables(presets.load()[name]) if route.get("match") == "regex"]

    assert any(re.search(pattern, path) for pattern in patterns) is open_to_all
