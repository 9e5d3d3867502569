"""
The names of a tree's parts, each of which can be kept back alone: a site's is its file name, a stream's is `Stream.part`.
"""

from __future__ import annotations

from gatelodge.model import STREAM_PREFIX

#: The part that holds the user's own text for `stream {}`. No stream's name begins with a dot.
STREAM_SNIPPET = f"{STREAM_PREFIX}.snippet"


def place(part: str) -> str:
    """
    Return where a part lies in its tree.
    """
    name = part.removeprefix(STREAM_PREFIX)
    return f"sites/{part}.conf" if name == part else f"streams/{name}.conf"


def called(part: str) -> tuple[str, str]:
    """
    Return what kind of thing a part is, and its name, as people and programs are told them.
    """
    name = part.removeprefix(STREAM_PREFIX)
    if part == STREAM_SNIPPET:
        return "stream", "nginx.stream_snippet"
    return ("site" if name == part else "stream"), name
