"""
What is to be set in the apps themselves, by the presets that sites use: nobody but the app can see whether it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge import presets
from gatelodge.runtime.standing.report import url

if TYPE_CHECKING:
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient


async def look(patient: Patient, findings: Findings) -> None:
    """
    Tell each site's note, once.
    """
    known = presets.load()
    sections = patient.config.sites if patient.config else {}
    for site in patient.wanted.sites:
        section = sections.get(site.name)
        preset = known.get(section.preset) if section is not None and section.preset else None
        if preset is not None:
            authority = urlsplit(url(site, patient.wanted)).netloc
            findings.note(
                site.name,
                f"{preset.title} must be told of nginx, which cannot be seen from here",
                why="links without the port, logins that fail, visitors who all have nginx's address",
                do=presets.filled(preset.note, host=site.name, authority=authority),
            )
