"""
The lexicon provider: what `check` says of its options, what becomes of services that hang, refuse, list oddly or tell too much.

What it publishes is seen in real servers by the contract. Here a service is made up only where no real one is so odd.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests
from lexicon.exceptions import AuthenticationError
from tests.support import pdns
from tests.support.waiting import until

from gatelodge.config.read import read
from gatelodge.dns.lexicon.errors import Scrubber, told
from gatelodge.dns.lexicon.provider import Account, Lexicon, _Hasty
from gatelodge.dns.lexicon.records import Records
from gatelodge.dns.lexicon.threads import GivenUp, Stuck, Threads
from gatelodge.errors import ConfigError, DnsError
from gatelodge.model import DnsSettings, SecretRef
from gatelodge.offers import CATALOG
from gatelodge.ports import Authority, Standing, TxtRecord
from gatelodge.runtime.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gatelodge.dns.lexicon.threads import Ticket

ZONE, NAME = "example.org", "_acme-challenge.example.org"
TOKEN = "hunter2/hunter2+&="
POWERDNS = (
    'service = "powerdns"\noptions = { pdns_server = "http://127.0.0.1:1", auth_token = { file = "/run/token" } }\n'
)


def wrong(text: str) -> list[tuple[str, str, str]]:
    """
    Return the mistakes in a `[dns.x]` of lexicon: key, problem, remedy.
    """
    with pytest.raises(ConfigError) as caught:
        read(f'[dns.x]\nprovider = "lexicon"\n{text}\n', catalog=CATALOG)
    return [(mistake.path, mistake.problem, mistake.remedy) for mistake in caught.value.mistakes]


class Resolver:
    """
    A public DNS that has one zone.
    """

    async def authority(self, _: str) -> Authority:
        return Authority(zone=ZONE, servers=frozenset())


def provider(service: str, *, threads: Threads | None = None, zone: str | None = None, **options: object) -> Lexicon:
    """
    Return the provider for a service with options.
    """
    given = {"service": service, "options": options, **({"zone": zone} if zone else {})}
    settings = DnsSettings(name="x", provider="lexicon", options=given)
    return Lexicon(settings=settings, resolver=Resolver(), threads=threads or Threads(), clock=SystemClock())  # type: ignore[arg-type] # asked for the zone alone


def record(value: str = "value", name: str = NAME) -> TxtRecord:
    """
    Return a record of ours.
    """
    return TxtRecord(zone=ZONE, name=name, value=value)


def test_options_are_taken_as_dns_lexicon_calls_them() -> None:
    """
    With underscores as in its files, or dashes as on its command line, also those that only the code of a service asks for.
    """
    for options in (
        POWERDNS,
        'service = "powerdns"\n[dns.x.options]\npdns-server = "http://127.0.0.1:1"\nauth-token = { env = "T" }\n',
        POWERDNS + 'zone = "example.org"\n',
        'service = "hetzner"\noptions = { auth_token = { env = "T" } }\n',
        'service = "dnsimple"\noptions = { auth_token = { env = "T" }, api_endpoint = "https://api.sandbox.example" }\n',
        'service = "namecheap"\noptions = { auth_username = "a", auth_token = { env = "T" }, auth_sandbox = true }\n',
        'service = "googleclouddns"\noptions = { auth_service_account_info = "file::/run/x.json" }\n',
        'service = "cloudns"\noptions = { auth_id = 77, auth_password = { env = "T" }, port = 443 }\n',
    ):
        config = read(f'[dns.x]\nprovider = "lexicon"\n{options}', catalog=CATALOG)
        assert config.dns["x"].provider == "lexicon"


@pytest.mark.parametrize(
    ("text", "key", "problem", "remedy"),
    [
        ("options = {}", "dns.x", "cannot do without more", "write service"),
        ('service = "cloudfare"', "dns.x.service", 'no service "cloudfare"', 'did you mean "cloudflare"?'),
        ('service = "base"', "dns.x.service", 'no service "base"', "docs/lexicon.md"),
        ('service = "../powerdns"', "dns.x.service", "no service", "did you mean"),
        ('service = "ddns"', "dns.x.service", "does not notice", 'provider = "rfc2136"'),
        ('service = "duckdns"', "dns.x.service", "overwrites", "docs/exec.md"),
        ('service = "googleclouddns"\noptions = { auth_service_account_info = "base64::hunter2" }', "dns.x.options.auth_service_account_info", "a secret", "file ="),
        ('service = "auto"', "dns.x.service", "only guesses", "name that service itself"),
        ('service = "gransy"', "dns.x.service", "needs more packages", "dns-lexicon[gransy]"),
        ('service = "hetzner"', "dns.x.options", "cannot do without auth_token", 'auth_token = { file = "/…" }'),
        ('service = "hetzner"\noptions = { auth_tokn = { env = "T" } }', "dns.x.options.auth_tokn", "no such option", "did you mean auth_token?"),
        ('service = "powerdns"\noptions = { auth_token = { env = "T" } }', "dns.x.options", "without pdns_server", 'pdns_server = "…"'),
        ('service = "powerdns"\noptions = { zzz = 1 }', "dns.x.options.zzz", "no such option", "pdns_server_id"),
        ('service = "porkbun"\noptions = { auth_key = { env = "T" } }', "dns.x.options", "without auth_secret", "auth_secret"),
        ('service = "cloudflare"\noptions = { zone_id = "x" }', "dns.x.options", "without auth_token", "auth_token"),
        ('service = "azure"', "dns.x.options", "without options", "auth_client_id"),
        ('service = "hetzner"\noptions = { auth_token = "hunter2" }', "dns.x.options.auth_token", "a secret stands in it", '{ env = "NAME" }'),
        ('service = "hetzner"\noptions = { auth_token = true }', "dns.x.options.auth_token", "it takes text", "in quotes"),
        ('service = "hetzner"\noptions = { auth_token = { env = "T" }, ttl = 60 }', "dns.x.options.ttl", "no option of hetzner", 'ttl = "…"'),
        ('service = "hetzner"\noptions = { auth_token = { env = "T" }, delegated = "a.b" }', "dns.x.options.delegated", "no option", "zone ="),
        ('service = "hetzner"\noptions = { auth_token = { nev = "T" } }', "dns.x.options", "says not where the secret is", "env"),
        ('service = "linode"\noptions = { auth_token = "" }', "dns.x.options.auth_token", "it is empty", "its value"),
        ('service = "namecheap"\noptions = { auth_username = "a", auth_token = { env = "T" }, auth_sandbox = "yes" }', "dns.x.options.auth_sandbox", "a switch", "true or false"),
        ('service = "zonomi"\noptions = { auth_token = { env = "T" }, auth_entrypoint = "hunter2" }', "dns.x.options.auth_entrypoint", "does not know that value", '"zonomi" or "rimuhosting"'),
        ('service = "rackspace"\noptions = { auth_account = "a", sleep_time = "hunter2" }', "dns.x.options.sleep_time", "not a number", "write a number"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_options_is_told(text: str, key: str, problem: str, remedy: str) -> None:
    """
    By its own key, with what to write, and without any value.
    """
    found = wrong(text)
    assert any(at == key and problem in said and remedy in better for at, said, better in found), found
    assert "hunter2" not in repr(found)


def test_without_the_extra_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The daemon itself does not need dns-lexicon.
    """
    monkeypatch.setitem(sys.modules, "lexicon", None)
    assert wrong(POWERDNS) == [
        ("dns.x.service", "dns-lexicon is not installed", "install it: pip install 'gatelodge[lexicon]'")
    ]


async def test_a_service_that_became_unusable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `check` may have been asked elsewhere.
    """
    monkeypatch.setitem(sys.modules, "lexicon", None)
    with pytest.raises(DnsError, match="gatelodge"):
        await provider("powerdns").add(record())


async def test_the_zone_is_the_configured_one_or_that_of_the_public_dns() -> None:
    """
    dns-lexicon itself never looks for it.
    """
    assert await provider("localzone", filename="/nowhere").zone_of(NAME) == ZONE
    inner = provider("localzone", zone="lab.example.org", filename="/nowhere")
    assert await inner.zone_of("_acme-challenge.lab.example.org") == "lab.example.org"
    assert await inner.name_servers("lab.example.org") is None
    with pytest.raises(DnsError, match=r"not-lab\.example\.org.*zone.*another provider") as caught:
        await inner.zone_of("not-lab.example.org")
    assert caught.value.problem.type == "dnsZone"


async def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    """
    Also by the next who wants the zone; and the process ends although a thread still waits.
    """
    with _mute() as url:
        slow = provider("powerdns", threads=Threads(seconds=0.2), pdns_server=url, auth_token=TOKEN)
        for _ in range(2):
            with pytest.raises(DnsError, match=r"_acme-challenge\.example\.org.*no answer within 0\.2 s") as caught:
                await slow.add(record())
            assert caught.value.problem.type == "dnsProvider"


def test_the_process_ends_although_a_thread_hangs() -> None:
    """
    `asyncio.run` waits for the executor's threads, and Python for all that are no daemon threads.
    """
    script = (
        "import asyncio, threading\nfrom gatelodge.dns.lexicon.threads import Stuck, Threads\n"
        "async def main():\n"
        "    try: await Threads(seconds=0.1).run('x', lambda _: threading.Event().wait())\n"
        "    except Stuck: print('given up')\n"
        "asyncio.run(main())\n"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert (out.stdout, out.stderr) == ("given up\n", "")


async def test_work_that_nobody_waits_for_begins_nothing_more() -> None:
    """
    Cancelling returns at once. The next with the same key waits until the thread has ended, others do not.
    """
    threads, begun, go, done = Threads(), threading.Event(), threading.Event(), []

    def slow(ticket: Ticket) -> None:
        begun.set()
        go.wait(20)
        with contextlib.suppress(GivenUp):
            ticket.check()
            done.append("changed")
        done.append("first")

    async with asyncio.TaskGroup() as group:
        first = group.create_task(threads.run("a", slow))
        await until(begun.is_set)
        first.cancel()
        second = group.create_task(threads.run("a", lambda _: done.append("second")))
        await threads.run("b", lambda _: done.append("other"))
        assert first.cancelled()
        assert done == ["other"]
        go.set()
    assert second.done()
    assert done == ["other", "first", "second"]


async def test_threads_that_never_return_do_not_become_ever_more() -> None:
    """
    They count until they come back after all.
    """
    threads, go = Threads(seconds=0.05, most_lost=1), threading.Event()
    with pytest.raises(Stuck, match="no answer"):
        await threads.run("a", lambda _: go.wait(20))
    with pytest.raises(Stuck, match="1 earlier requests have not come back; restart"):
        await threads.run("a", lambda _: None)
    go.set()
    await until(lambda: threads._lost == 0)
    assert await threads.run("a", lambda _: 7) == 7


async def test_whose_turn_does_not_come_is_told() -> None:
    """
    Rather than waiting for ever.
    """
    threads, begun, go = Threads(patience=0.05), threading.Event(), threading.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(threads.run("a", lambda _: (begun.set(), go.wait(20))))
        await until(begun.is_set)
        with pytest.raises(Stuck, match="its turn did not come"):
            await threads.run("a", lambda _: None)
        go.set()


@contextlib.contextmanager
def _mute() -> Iterator[str]:
    """
    Run a server that takes connections and says nothing.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_a_connection_that_says_nothing_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    So that no thread is lost: `requests`, by itself, waits for ever. Also through a session, as some services use it.
    """
    monkeypatch.setattr("gatelodge.dns.lexicon.provider._HTTP_SECONDS", (0.1, 0.1))
    with _mute() as url:
        threads = Threads(seconds=20)
        with pytest.raises(DnsError, match="ReadTimeout") as caught:
            await provider("powerdns", threads=threads, pdns_server=url, auth_token=TOKEN).add(record())
        assert caught.value.problem.type == "dnsProvider"
        session = _Hasty(requests).Session()
        with pytest.raises(requests.Timeout):
            await threads.run("x", lambda _: session.get(url))
        session.close()


@pytest.mark.live
async def test_values_of_one_name_at_once_do_not_push_each_other_out(tmp_path: Path) -> None:
    """
    PowerDNS is told all values of a name anew with each change: two at once would be as if one had never been.
    """
    async with pdns.running(tmp_path) as (server, api):
        many = provider("powerdns", pdns_server=api.url, auth_token=api.key)
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(many.add(record(f"value-{number}")))
        assert await server.txt(ZONE) == {(NAME, f"value-{number}") for number in range(8)}
        async with asyncio.TaskGroup() as group:
            for number in range(7):
                group.create_task(many.remove(record(f"value-{number}"), None))
        assert await server.txt(ZONE) == {(NAME, "value-7")}


@pytest.mark.live
async def test_what_a_real_server_refuses_is_classified(tmp_path: Path) -> None:
    """
    A wrong key, a zone that is not there, a record that cannot be; nobody listens.
    """
    (tmp_path / "key").write_text("wrong-key-of-this-test\n")
    async with pdns.running(tmp_path) as (server, api):
        stranger = provider("powerdns", pdns_server=api.url, auth_token=SecretRef(file=str(tmp_path / "key")))
        with pytest.raises(DnsError) as caught:
            await stranger.add(record())
        assert (caught.value.problem.type, caught.value.problem.status) == ("dnsCredentials", 401)
        assert "wrong-key-of-this-test" not in str(caught.value)
        friend = provider("powerdns", pdns_server=api.url, auth_token=api.key)
        with pytest.raises(DnsError) as caught:
            await friend.add(TxtRecord(zone="elsewhere.test", name="x.elsewhere.test", value="v"))
        assert caught.value.problem.type == "dnsZone"
        await server.update(ZONE, ("add", f"alias.{ZONE}.", "60", "CNAME", "www.example.net."))
        with pytest.raises(DnsError, match="Conflicts with") as caught:
            await friend.add(record(name=f"alias.{ZONE}"))
        assert caught.value.problem.type == "dnsRecord"
        with pytest.raises(DnsError, match=r"something else stands there.*www\.example\.net"):
            await friend.set_address(ZONE, f"alias.{ZONE}", "192.0.2.1", instead_of=None)
        assert (
            await friend.standing(ZONE, f"alias.{ZONE}")
        ).cname is not None  # dns-lexicon adds the zone to its target
    with pytest.raises(DnsError, match="ConnectionError") as caught:
        await friend.add(record())
    assert caught.value.problem.type == "dnsProvider"


async def test_a_secret_that_is_not_there_is_told_by_its_key(tmp_path: Path) -> None:
    """
    With the file that lacks it.
    """
    missing = SecretRef(file=str(tmp_path / "no"))
    with pytest.raises(DnsError, match=r"\[dns\.x\].*options\.auth-token.*no") as caught:
        await provider("powerdns", **{"pdns_server": "http://127.0.0.1:1", "auth-token": missing}).add(record())
    assert caught.value.problem.type == "dnsCredentials"


def _answered(status: int, body: object = "<html>", url: str = "https://api.example/x", **headers: str) -> Exception:
    """
    Return the error that `requests` makes of an answer.
    """
    answer = requests.Response()
    answer.status_code, answer.url, answer._content = status, url, json.dumps(body).encode()
    answer.headers.update(headers)
    with pytest.raises(requests.HTTPError) as caught:
        answer.raise_for_status()
    return caught.value


@pytest.mark.parametrize(
    ("error", "opening", "kind"),
    [
        (AuthenticationError("No domain found"), True, "dnsZone"),
        (AuthenticationError("Domain example.org not found"), True, "dnsZone"),
        (AuthenticationError("failed to fetch basic domain info for example.org"), True, "dnsZone"),
        (AuthenticationError("Login failed"), True, "dnsCredentials"),
        (AuthenticationError("Incorrect API keys"), True, "dnsCredentials"),
        (Exception("There is no zone for example.org."), True, "dnsZone"),
        (Exception("Multiple records found"), False, "dnsProvider"),
        (_answered(401), True, "dnsCredentials"),
        (_answered(403), False, "dnsCredentials"),
        (_answered(404), True, "dnsZone"),
        (_answered(404), False, "dnsRecord"),
        (_answered(422), False, "dnsRecord"),
        (_answered(429), False, "dnsProvider"),
        (_answered(502), False, "dnsProvider"),
        (requests.ConnectionError("refused"), True, "dnsProvider"),
        (requests.ReadTimeout("timed out"), False, "dnsProvider"),
        (KeyError("result"), True, "dnsProvider"),
    ],
)
def test_a_failure_is_classified(error: Exception, *, opening: bool, kind: str) -> None:
    """
    By HTTP's number, else by what it says: dns-lexicon calls much an authentication error.
    """
    found = told(error, what=NAME, service="hetzner", opening=opening, scrub=Scrubber(())).problem
    assert found.type == kind
    assert found.detail.startswith(f"{NAME}: dns-lexicon's hetzner failed: ")


def test_a_failure_repeats_what_helps_and_no_secret() -> None:
    """
    In whatever form it comes: plain, in a URL, in JSON, in base64, one line of a key file.
    """
    error = _answered(
        400,
        {"error": f'token "{TOKEN}" is bad', "of": "aHVudGVyMi9odW50ZXIyKyY9", "key": "a line of the key"},
        f"https://user:{TOKEN}@api.example/v1/hunter2%2Fhunter2%2B%26%3D/zones?key=hunter2&x=1",
        **{"Retry-After": "30"},
    )
    scrub = Scrubber([TOKEN, "-----\na line of the key\n-----"])
    found = told(error, what=NAME, service="hetzner", opening=False, scrub=scrub).problem
    assert "api.example/v1/" in found.detail
    assert "is bad" in found.detail
    assert "hunter2" not in found.detail
    assert "aHVudGVyMi9" not in found.detail
    assert "a line of the key" not in found.detail
    assert found.retry_after is not None
    assert "?" not in scrub("a\n\tb")
    assert len(scrub("x" * 10_000)) < 1000


class Odd:
    """
    A service that lists as the oddest ones do. Each row is an id, type, name and content; `deleted` is what it was asked to delete.
    """

    def __init__(self, *rows: tuple[str | None, str, str, str], sloppy: bool = False, answer: object = True) -> None:
        self.rows = list(rows)
        self.sloppy = sloppy
        self.answer = answer
        self.deleted: list[tuple[str | None, str, str, str]] = []

    def list_records(self, kind: str, _: str, content: str | None = None) -> list[dict[str, Any]]:
        """
        List; sloppy services do not look at names and types.
        """
        return [
            {"id": row[0], "type": row[1], "name": row[2], "content": row[3]}
            for row in self.rows
            if (self.sloppy or row[1].upper() == kind) and content in (None, row[3])
        ]

    def create_record(self, kind: str, name: str, content: str) -> object:
        """
        Add.
        """
        self.rows.append((None, kind, name, content))
        return self.answer

    def update_record(self, known_as: str | None, kind: str, name: str, content: str) -> object:
        """
        Change nothing at all.
        """
        del known_as, kind, name, content
        return self.answer

    def delete_record(self, known_as: str | None, kind: str, name: str, content: str) -> object:
        """
        Delete by id, else by what it lists.
        """
        self.deleted.append((known_as, kind, name, content))
        listed = self.list_records(kind, name, content)
        hit = {(each["id"], each["name"], each["content"]) for each in listed}
        self.rows = [
            row for row in self.rows if (row[0] != known_as if known_as else (row[0], row[2], row[3]) not in hit)
        ]
        return self.answer

    @property
    def records(self) -> Records:
        """
        What works on it.
        """
        return Records(provider=self, zone=ZONE, service="odd", check=lambda: None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (NAME, "value"),
        (f"{NAME}.", '"value"'),
        ("_ACME-Challenge", "value"),
        ("_acme-challenge.Example.ORG", '"val" "ue"'),
        (NAME, '"\\118alue"'),
    ],
)
def test_a_record_is_known_in_whatever_form_it_is_listed(name: str, content: str) -> None:
    """
    So it is neither added twice nor left behind; what is deleted is named as the service names it.
    """
    odd = Odd(("1", "txt", name, content), ("2", "TXT", NAME, "VALUE"), ("3", "TXT", "_acme-challenge.www", "value2"))
    odd.records.add(NAME, "TXT", "value")
    assert len(odd.rows) == 3
    odd.records.remove(NAME, "TXT", "value")
    assert odd.deleted == [(None, "TXT", NAME, content)]
    assert [row[0] for row in odd.rows] == ["2", "3"]


@pytest.mark.parametrize("other", ["_acme-challenge.www.example.org", "www.example.org", "@", "x_acme-challenge"])
def test_where_a_service_would_delete_more_its_id_is_used(other: str) -> None:
    """
    When its filter lets through what another name holds, or another type.
    """
    odd = Odd(("1", "TXT", NAME, "value"), ("2", "TXT", other, "value"), ("3", "MX", NAME, "value"), sloppy=True)
    odd.records.remove(NAME, "TXT", "value")
    assert odd.deleted == [("1", "TXT", NAME, "value")]
    assert [row[0] for row in odd.rows] == ["2", "3"]


@pytest.mark.parametrize("known_as", ["1", None])
def test_where_no_id_means_one_record_nothing_is_deleted(known_as: str | None) -> None:
    """
    Some services have one id for all that a name holds.
    """
    odd = Odd((known_as, "TXT", NAME, "value"), (known_as, "TXT", "other.example.org", "value"), sloppy=True)
    before = list(odd.rows)
    with pytest.raises(DnsError, match=r"_acme-challenge.*leave the others.*by hand") as caught:
        odd.records.remove(NAME, "TXT", "value")
    assert caught.value.problem.type == "dnsRecord"
    assert (odd.rows, odd.deleted) == (before, [])


def test_a_service_that_says_no_is_believed() -> None:
    """
    Some only return False.
    """
    for work in (
        lambda records: records.add(NAME, "TXT", "other"),
        lambda records: records.remove(NAME, "TXT", "value"),
        lambda records: records.set_address("a.example.org", "192.0.2.1", None),
    ):
        odd = Odd(("1", "TXT", NAME, "value"), answer=False)
        with pytest.raises(DnsError, match="dns-lexicon's odd did not") as caught:
            work(odd.records)
        assert caught.value.problem.type == "dnsRecord"


def test_an_update_that_did_nothing_is_noticed() -> None:
    """
    Whatever the service says. Addresses are compared as addresses.
    """
    odd = Odd(("1", "AAAA", "a.example.org", "2001:DB8:0::1"), ("2", "AAAA", "b", "2001:db8::1"))
    assert odd.records.standing("a.example.org") == Standing(ipv6=frozenset({"2001:db8::1"}))
    odd.records.set_address("a.example.org", "2001:db8::1", None)
    with pytest.raises(DnsError, match="something else stands there"):
        odd.records.set_address("a.example.org", "2001:db8::2", "2001:db8::1")
    with pytest.raises(DnsError, match="something else stands there"):
        odd.records.set_address("a.example.org", "2001:db8::2", None)


def test_nothing_is_changed_once_nobody_waits() -> None:
    """
    What was cancelled between looking and changing stays as it was.
    """

    def over() -> None:
        raise GivenUp

    odd = Odd(("1", "TXT", NAME, "value"))
    records = Records(provider=odd, zone=ZONE, service="odd", check=over)
    works: list[Callable[[], None]] = [
        lambda: records.add(NAME, "TXT", "other"),
        lambda: records.remove(NAME, "TXT", "value"),
        lambda: records.set_address("a.example.org", "192.0.2.1", None),
    ]
    for work in works:
        with pytest.raises(GivenUp):
            work()
    assert odd.rows == [("1", "TXT", NAME, "value")]


def test_an_account_does_not_show_its_options() -> None:
    """
    Whoever prints it.
    """
    account = Account(name="x", service="powerdns", options={"auth_token": TOKEN}, ttl=None)
    assert "hunter2" not in repr(account)


def test_a_service_neither_prints_nor_logs_nor_asks_the_network_for_zones(tmp_path: Path) -> None:
    """
    The tldextract that dns-lexicon's own client uses fetches a list and keeps it in the home directory.
    """
    script = (
        "import asyncio, os, sys, logging\nasked = set()\n"
        "sys.addaudithook(lambda event, given: asked.add(given[-1]) if event == 'socket.connect' else None)\n"
        "from gatelodge.dns.lexicon.provider import DnsError, Lexicon, Threads, _tame\n"
        "from gatelodge.runtime.system import SystemClock\n"
        "from gatelodge.dns.lexicon.options import load\nfrom gatelodge.model import DnsSettings\n"
        "options = {'service': 'powerdns', 'options': {'pdns_server': 'http://127.0.0.1:1', 'auth_token': 'x'}}\n"
        "settings = DnsSettings(name='x', provider='lexicon', options=options)\n"
        "async def main():\n"
        "    provider = Lexicon(settings=settings, resolver=None, threads=Threads(), clock=SystemClock())\n"
        "    try: await provider.standing('example.org', 'a.example.org')\n"
        "    except DnsError as error: return error.problem.type\n"
        "kind = asyncio.run(main())\n"
        "module, _ = load('scaleway'); _tame(module); module.print('noise')\n"
        "logging.getLogger('lexicon._private.providers.scaleway').error('noise')\n"
        "print(kind, asked, os.listdir(os.environ['HOME']))\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert (out.stdout, out.stderr) == ("dnsProvider {('127.0.0.1', 1)} []\n", "")


def test_every_service_states_its_options_in_a_way_that_is_understood() -> None:
    """
    Of all services that need no packages of their own: `check` has something to say when nothing is given, and never fails.
    """
    from lexicon._private.discovery import find_providers  # noqa: PLC0415 - only to know them all

    for service, available in find_providers().items():
        if available and service not in {"auto", "ddns", "duckdns"}:
            found = wrong(f'service = "{service}"')
            assert found
            assert found[0][0] == "dns.x.options"
