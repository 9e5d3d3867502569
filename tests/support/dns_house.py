"""
A whole gate whose names are proven by DNS: the daemon, nginx, pebble, a BIND that pebble asks, and an Alidns that publishes into it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import alidns, bind, house
from tests.support.alidns import KEY_ID, KEY_SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.alidns import Alidns
    from tests.support.bind import Bind
    from tests.support.house import House

ZONE, OTHER = "example.org", "answers.example"

#: The file as SWAG has it in /config/dns-conf, comments and all.
ALIYUN_INI = """\
# Instructions: https://github.com/tengattack/certbot-dns-aliyun/blob/master/README.md
# Obtain Aliyun RAM AccessKey
# https://ram.console.aliyun.com/
# And ensure your RAM account has AliyunDNSFullAccess permission.
# Replace with your values
dns_aliyun_access_key = {id}
dns_aliyun_access_key_secret = {secret}
"""


@dataclasses.dataclass(kw_only=True)
class DnsHouse:
    """
    The gate, and the two that know its zones: `ZONE` at Aliyun, `OTHER` at the BIND alone.
    """

    gate: House
    bind: Bind
    aliyun: Alidns

    @property
    def ini(self) -> Path:
        """
        The file with the Aliyun key.
        """
        return self.gate.folder / "dns-conf" / "aliyun.ini"

    @property
    def resolver(self) -> str:
        """
        Have the daemon ask the BIND, as a recursive resolver and for what it has itself.
        """
        return f'[resolver]\nservers = ["{self.bind.server}"]\nport = {self.bind.port}\ndoh = []\n'

    def home(self, more: str = "") -> str:
        """
        Return `[dns.home]` at Aliyun.
        """
        return f'[dns.home]\nprovider = "aliyun"\ncredentials_file = "{self.ini}"\nendpoint = "{self.aliyun.url}"\n{more}\n'

    def lab(self) -> str:
        """
        Return `[dns.lab]` at the BIND itself.
        """
        return (
            f'[dns.lab]\nprovider = "rfc2136"\nserver = "{self.bind.server}"\nkey_name = "{self.bind.key_name()}"\n'
            f'key_secret = "{self.bind.secrets["hmac-sha256"]}"\n'
        )

    async def published(self) -> set[tuple[str, str, str]]:
        """
        Return everything that both zones hold.
        """
        return await self.bind.records(ZONE) | await self.bind.records(OTHER)


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[DnsHouse]:
    """
    Prepare the gate; its daemon does not run yet. At the end all are gone.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        folder = Path(name)
        async with (
            bind.running(folder, zones=(ZONE, OTHER), recursive=True) as server,
            house.opened(folder, name_server=server.server) as gate,
            alidns.running() as service,
        ):
            service.zone(ZONE, f"ns1.{ZONE}")
            service.publish = alidns.into(server)
            found = DnsHouse(gate=gate, bind=server, aliyun=service)
            found.ini.parent.mkdir()
            found.ini.write_text(ALIYUN_INI.format(id=KEY_ID, secret=KEY_SECRET))
            found.ini.chmod(0o600)
            yield found
