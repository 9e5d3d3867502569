"""
What this build offers to a configuration: the built-in CAs, the DNS providers with their keys, and the presets of apps.
"""

from __future__ import annotations

import dataclasses

from gatelodge import presets
from gatelodge.config.catalog import BUILT_IN
from gatelodge.dns.providers import PROVIDERS

CATALOG = dataclasses.replace(
    BUILT_IN,
    providers={name: provider.kind for name, provider in PROVIDERS.items()},
    presets=presets.Told(presets.load(), lambda preset: preset.site),
    upstreams=presets.Told(presets.load(), lambda preset: preset.upstream),
)
