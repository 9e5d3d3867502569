"""
Reads `export`: which copies of a certificate are made for other programs, and which keys go with which form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.config.document.fields import given
from gatelodge.config.keys import written
from gatelodge.model import Export, ExportFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatelodge.config.document.export_table import ExportTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.shape import CertificateSection, SiteSection

#: How the one file is called, after the certificate's NAME.
_ENDINGS = {ExportFormat.BUNDLE: ".pem", ExportFormat.PKCS12: ".p12"}

_OF_PKCS12 = ("password", "encryption")

#: A key that everybody may read is everybody's.
_OTHERS = 0o007


def read(path: Path, tables: tuple[ExportTable, ...] | None, name: str, found: Mistakes) -> tuple[Export, ...]:
    """
    Return the copies that are asked for, as far as they could be read.

    Args:
        name: what the one file is called without its ending, when nothing else is said.
    """
    listed = (
        _export((*path, position) if len(tables or ()) > 1 else path, table, name, found)
        for position, table in enumerate(tables or ())
    )
    return tuple(export for export in listed if export is not None)


def exposed(certificates: Mapping[str, CertificateSection], sites: Mapping[str, SiteSection]) -> Iterator[str]:
    """
    Yield the keys under which passwords stand in the file itself.
    """
    listed: list[tuple[Path, tuple[Export, ...]]] = [
        *((("certificates", name), each.exports) for name, each in certificates.items()),
        *((("sites", name), each.exports) for name, each in sites.items()),
    ]
    for path, exports in listed:
        if any(each.password is not None and each.password.literal is not None for each in exports):
            yield written((*path, "export", "password"))


def _export(path: Path, table: ExportTable, name: str, found: Mistakes) -> Export | None:
    if table.directory is None:
        if not found.unread(path):
            found.add(path, "it does not say where the files are put", 'write directory = "/etc/…"')
        return None
    kind = table.format or ExportFormat.PEM
    if not found.unread((*path, "format")):
        _keys_fit(path, table, kind, found)
    mode = table.mode if table.mode is not None else (0o640 if table.group else 0o600)
    if mode & _OTHERS:
        found.warn((*path, "mode"), "everybody on this machine may read the private key", 'write "0640" with a `group`')
    ending = _ENDINGS.get(kind)
    return Export(
        directory=table.directory,
        format=kind,
        file=(table.file or f"{name}{ending}") if ending else "",
        mode=mode,
        **given(table, "owner", "group", "command", "timeout", "password", "encryption"),
    )


def _keys_fit(path: Path, table: ExportTable, kind: ExportFormat, found: Mistakes) -> None:
    if kind is ExportFormat.PEM and table.file:
        found.add((*path, "file"), "four files are written, which have names of their own", 'leave it out, or write format = "pem-bundle"')  # fmt: skip
    if kind is not ExportFormat.PKCS12:
        for key in _OF_PKCS12:
            if getattr(table, key) is not None:
                found.add((*path, key), f'format = "{kind}" has no such key', 'leave it out, or write format = "pkcs12"')  # fmt: skip
    if table.timeout is not None and table.command is None:
        found.add((*path, "timeout"), "there is no command that could take long", "leave it out")
