"""
Trees for the helper, as text and on disk, and a whole tree put through its checks.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.core.tree import GENERATION
from gatelodge.model import ByHelper
from gatelodge.nginx.writing.render import render
from gatelodge.rootside.check import check, entry
from gatelodge.rootside.rules import Ground, Rules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Observed
    from gatelodge.core.tree import Rendered

NUMBER = 7
COPY = "/var/lib/gatelodge-nginx/generations/7-00000000"


def rendered(desired: Desired, observed: Observed) -> Rendered:
    """
    Render for the helper what was meant for any nginx.
    """
    settings = dataclasses.replace(desired.nginx, reload=ByHelper())
    return render(dataclasses.replace(desired, nginx=settings), observed)


def texts(tree: Rendered, number: int = NUMBER) -> dict[str, str]:
    """
    Return a tree's files, by their path in it, as they are staged.
    """
    return {
        "http.conf": tree.entry.replace(GENERATION, str(number)),
        "prelude.conf": tree.prelude,
        **{f"sites/{name}.conf": text for name, text in tree.sites.items()},
        **tree.snippets,
    }


def checked(files: Mapping[str, str | bytes], ground: Ground, number: int = NUMBER) -> dict[str, str]:
    """
    Check all files of a tree, each by itself, and return their copies; http.conf is only checked.

    Raises:
        RefusedError: something is refused.
    """
    rules = Rules(ground, number)
    content = {file: text.encode() if isinstance(text, str) else text for file, text in files.items()}
    entry(content["http.conf"], rules, place="/tree/http.conf")
    return {
        file: check(text, rules, ground, file=file, place=f"/tree/{file}", copy=COPY).text
        for file, text in content.items()
        if file != "http.conf"
    }


def lay(state: Path, files: Mapping[str, str], number: int = NUMBER, *, owner: int | None = None) -> Path:
    """
    Write a tree into a state directory, and the certificate that it shows; return its folder.

    Args:
        owner: to whom it belongs, if not to us.
    """
    import os  # noqa: PLC0415 - beside its one use

    folder = state / "nginx" / "generations" / str(number)
    for file, text in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if owner is not None:
        for root, folders, names in os.walk(state):
            for name in (root, *(f"{root}/{each}" for each in (*folders, *names))):
                os.chown(name, owner, owner, follow_symlinks=False)
    return folder
