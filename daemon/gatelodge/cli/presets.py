"""
`presets`: the apps whose needs are known, and what is to be set in each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gatelodge.cli import tables
from gatelodge.cli.options import config_file, config_option, examples, json_option, load, names
from gatelodge.importing import toml_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatelodge.presets import Preset

_EXAMPLE = "app.example.com"
_HTTPS_PORT = 443


@click.command(epilog=examples("gatelodge presets", "gatelodge presets nextcloud"))
@config_option
@json_option
@click.argument("name", required=False, shell_complete=names("preset"))
def presets(*, as_json: bool, name: str | None) -> None:
    """
    List the apps for which a site can say `preset = "NAME"`; with a NAME, what it sets and what to set in the app.
    """
    from gatelodge.presets import filled
    from gatelodge.presets import load as load_presets

    known = load_presets()
    if name is None:
        if as_json:
            click.echo(tables.dump({"presets": [{"name": each.name, "title": each.title} for each in known.values()]}))
        else:
            width = max(map(len, known))
            click.echo("\n".join(f"{each.name:{width}}  {each.title}" for each in known.values()))
        return
    preset = known.get(name)
    if preset is None:
        raise click.UsageError(_unknown(name, known))
    host, authority = _site_of(name)
    note = filled(preset.note, host=host, authority=authority)
    keys = list(_written(preset.site))
    if as_json:
        document = {
            "name": name, "title": preset.title, "upstream": preset.upstream, "sources": preset.sources, "note": note, "keys": keys,
        }  # fmt: skip
        click.echo(tables.dump(document))
    else:
        click.echo("\n".join(_page(preset, host, note, keys)))


def _unknown(name: str, known: Mapping[str, Preset]) -> str:
    from gatelodge.config.suggest import nearest

    meant = nearest(name, known)
    return f"there is no preset called {name!r}" + (
        f"; did you mean {meant}?" if meant else "; `gatelodge presets` lists them"
    )


def _site_of(name: str) -> tuple[str, str]:
    """
    Return the host of the site that has this preset, and how visitors write it; of an example when none has, or none can be read.
    """
    from gatelodge.errors import GatelodgeError

    try:
        config = load(config_file())
    except (GatelodgeError, OSError):
        return _EXAMPLE, _EXAMPLE
    site = next((each for each in config.sites.values() if each.preset == name), None)
    if site is None:
        return _EXAMPLE, _EXAMPLE
    port = site.listeners[0].port
    public = config.nginx.public_https_port if port == config.nginx.https_port else port
    host = f"[{site.hosts[0]}]" if ":" in site.hosts[0] else site.hosts[0]
    return site.hosts[0], host if public == _HTTPS_PORT else f"{host}:{public}"


def _page(preset: Preset, host: str, note: str, keys: list[str]) -> Iterator[str]:
    yield preset.title
    yield ""
    yield f"  [{toml_text.key('sites', host)}]"
    yield f'  upstream = "{preset.upstream}"'
    yield f'  preset = "{preset.name}"'
    yield ""
    yield note
    if keys:
        yield ""
        yield "It sets, where you do not:"
        yield from (f"  {line}" for line in keys)
    yield ""
    yield "Where this is from:"
    yield from (f"  {source}" for source in preset.sources)


def _written(site: Mapping[str, Any]) -> Iterator[str]:
    """
    Write a preset's part of a site as TOML, one key a line.
    """
    yield from (f"{toml_text.key(key)} = {_value(value)}" for key, value in site.items() if key != "routes")
    for path, route in site.get("routes", {}).items():
        yield f"{toml_text.key('routes', path)} = {_value(route)}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_text.string(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{toml_text.key(key)} = {_value(inner)}' for key, inner in value.items())} }}"
    return str(value)
