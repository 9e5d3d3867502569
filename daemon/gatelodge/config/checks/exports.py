"""
Finds copies of certificates that would overwrite one another, or what is the daemon's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.keys import written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.config.draft import Draft
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.model import Export


def find(draft: Draft, found: Mistakes) -> None:
    """
    Note every place that is written twice, or that is not for others to be written to.
    """
    ours = draft.config.state_directory
    taken: dict[str, Path] = {}
    for export, path in _exports(draft):
        if f"{export.directory}/".startswith(f"{ours}/"):
            found.add(
                path,
                f"{export.directory} lies in the state directory, which is the daemon's own",
                "name a folder elsewhere; other programs that may read there find certificates/NAME/current",
            )
        if ".." in export.directory.split("/"):
            found.add(path, f"{export.directory} goes back by ..", "write the path as it is")
        files = [f"{export.directory}/{name}" for name in export.files]
        if twice := next((each for each in files if each in taken), None):
            what = twice if export.file else export.directory
            found.add(path, f"{what} is written by {written(taken[twice])} too", "name another place")
        for each in files:
            taken.setdefault(each, path)


def _exports(draft: Draft) -> Iterator[tuple[Export, Path]]:
    for name, certificate in draft.config.certificates.items():
        for export in certificate.exports:
            yield export, (*draft.certificate_paths[name], "export")
    for name, site in draft.config.sites.items():
        for export in site.exports:
            yield export, (*draft.site_paths[name], "export")
