"""
A user who brings certificates without a disk, for the simulated world.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

from gatelodge.core.observed import InFiles
from gatelodge.errors import IssuanceError, Problem
from gatelodge.issuers import pem
from gatelodge.model import FileIssuer, Secret, covers
from gatelodge.ports import Issued

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.pems import Bought

    from gatelodge.model import CertificateSpec


class FakeBrought:
    """
    Implements `ports.Brought`. `there` says what lies in the two files of a path: a certificate, or why it is of no use.
    """

    def __init__(self) -> None:
        self.there: dict[str, Bought | str] = {}
        self.taken: list[str] = []

    async def look(self, wanted: Mapping[str, FileIssuer]) -> Mapping[str, InFiles]:
        return {name: self._look(files.certificate) for name, files in wanted.items()}

    def _look(self, path: str) -> InFiles:
        match self.there.get(path, f"{path} is not there"):
            case str(why):
                return InFiles(mark=why, chain=None)
            case bought:
                return InFiles(mark=bought.fingerprint, chain=hashlib.sha256(bought.chain.encode()).hexdigest())

    async def take(self, spec: CertificateSpec) -> tuple[CertificateSpec, Issued]:
        assert isinstance(spec.issuer, FileIssuer)
        self.taken.append(spec.name)
        match self.there.get(spec.issuer.certificate, f"{spec.issuer.certificate} is not there"):
            case str(why):
                raise IssuanceError(Problem(type="files", detail=f"{spec.name}: {why}"))
            case bought:
                names = pem.names(bought.leaf)
        if bare := [name for name in spec.names if not any(covers(mine, name) for mine in names)]:
            raise IssuanceError(Problem(type="files", detail=f"{spec.name}: not for {', '.join(bare)}"))
        stored = dataclasses.replace(spec, names=names, key=pem.kind(bought.key) or spec.key)
        return stored, Issued(chain=bought.chain, private_key=Secret(bought.key_pem))
