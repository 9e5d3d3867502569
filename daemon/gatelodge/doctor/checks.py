"""
Everything that is looked at, in the order in which people read it.
"""

from __future__ import annotations

from gatelodge.doctor import (
    addresses,
    caa,
    certificates,
    clock,
    configuration,
    hints,
    nginx,
    others,
    ports,
    state,
    upstreams,
    zones,
)
from gatelodge.doctor.examining import Check

#: A TXT record at `_acme-challenge.NAME` hides NAME from a wildcard record of its zone while it stands (RFC 4592 §2.2.2), so that providers are
#: tried when addresses have been looked up.
CHECKS = (
    Check(name="configuration", title="Configuration", look=configuration.look, configured=False),
    Check(name="state", title="State directory", look=state.look, configured=False),
    Check(name="clock", title="Clock", look=clock.look, configured=False, online=True),
    Check(name="certificates", title="Certificates and sites", look=certificates.look, configured=False),
    Check(name="addresses", title="Addresses of hosts", look=addresses.look, online=True),
    Check(name="caa", title="CAA records", look=caa.look, online=True),
    Check(name="dns", title="DNS providers", look=zones.look, online=True, seconds=40.0, after="addresses"),
    Check(name="ports", title="Ports", look=ports.look),
    Check(name="outside", title="From outside", look=ports.look_from_outside, online=True),
    Check(name="nginx", title="nginx", look=nginx.look, configured=False),
    Check(name="upstreams", title="Services behind the gate", look=upstreams.look),
    Check(name="others", title="Other programs", look=others.look, configured=False),
    Check(name="apps", title="Apps", look=hints.look),
)
