"""
Puts what is known of an app under what a person says of its site: the person's word stands, key by key, in tables too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gatelodge.config.keys import quoted
from gatelodge.config.sections.actions import KEYS as ACTIONS
from gatelodge.config.suggest import nearest

if TYPE_CHECKING:
    from gatelodge.config.catalog import Catalog
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes


def applied(mapping: Mapping[str, object], catalog: Catalog, found: Mistakes) -> Mapping[str, object]:
    """
    Return a document in which every site with a preset says what its app wants. Presets that are none are noted.
    """
    sites = mapping.get("sites")
    if not isinstance(sites, Mapping):
        return mapping
    return {**mapping, "sites": {key: _applied(("sites", key), site, catalog, found) for key, site in sites.items()}}


def _applied(path: Path, site: object, catalog: Catalog, found: Mistakes) -> object:
    if not isinstance(site, Mapping):
        return site
    name = site.get("preset")
    if not isinstance(name, str):
        return site  # if it is something else, that is told when it is read
    preset = catalog.presets.get(name)
    if preset is None:
        meant = nearest(name, catalog.presets)
        remedy = f"did you mean {quoted(meant)}?" if meant else "`gatelodge presets` lists those that are there"
        found.add_unread((*path, "preset"), f"there is no preset called {quoted(name)}", remedy)
        return site
    if not any(key in site for key in ACTIONS):
        example = catalog.upstreams.get(name, "http://…")
        found.add_unread((*path, "upstream"), f"it is not said where {name} is", f'write upstream = "{example}"')
    return merged(preset, site)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return two parts of a site as one, in which `above` stands: tables are merged, all else is replaced. What is done with a request is
    one thing of several keys, so that one of them replaces every other.
    """
    acts = any(key in above for key in ACTIONS)
    whole = {key: value for key, value in below.items() if not (acts and key in ACTIONS and key not in above)}
    for key, value in above.items():
        under = whole.get(key)
        if key == "routes" and isinstance(under, Mapping) and isinstance(value, Mapping):
            whole[key] = _routes(under, value)
        elif isinstance(under, Mapping) and isinstance(value, Mapping):
            whole[key] = merged(under, value)
        else:
            whole[key] = value
    return whole


def _routes(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    routes = dict(below)
    for path, route in above.items():
        under = routes.get(path)
        said = {"upstream": route} if isinstance(route, str) else route
        if isinstance(under, Mapping) and isinstance(said, Mapping):
            routes[path] = merged(under, said)
        else:
            routes[path] = route
    return routes
