"""
What this build offers to a configuration: the built-in CAs, and the DNS providers with their keys.
"""

from __future__ import annotations

import dataclasses

from gatelodge.config.catalog import BUILT_IN
from gatelodge.dns.providers import PROVIDERS

CATALOG = dataclasses.replace(BUILT_IN, providers={name: provider.kind for name, provider in PROVIDERS.items()})
