"""
Reports made by hand, as the daemon sends them.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.support.clock import START

NOW = START.isoformat()
DAY = dt.timedelta(days=1)


def at(distance: dt.timedelta) -> str:
    """
    Return a moment at a distance from now, as a report has it.
    """
    return (START + distance).isoformat()


def certificate(name: str, state: str = "valid", **more: Any) -> dict[str, Any]:
    """
    Return a certificate of a report: a good one, or what is said of it. What is not held has no dates.
    """
    held = state not in {"missing", "placeholder"}
    ends = at(-2 * DAY) if state == "expired" else at(80 * DAY)
    return {
        "certificate": name, "names": [name], "ca": "acme:letsencrypt", "cas": ["acme:letsencrypt"], "lacking": [], "state": state,
        "late": 0, "revoked": False, "not_before": at(-10 * DAY) if held else None, "not_after": ends if held else None,
        "renew_at": (at(-32 * DAY) if state == "expired" else at(50 * DAY)) if held and state != "unused" else None,
        "suggested": None, "serial": "0a" if held else None, "version": 3 if held else None, "damaged": None, "doing": None,
        "failure": None, **more,
    }  # fmt: skip


def failure(kind: str, detail: str, *, failures: int = 3, again: dt.timedelta = DAY) -> dict[str, Any]:
    """
    Return what failed an hour ago.
    """
    return {
        "error.type": kind, "error.detail": f"{kind}: {detail}", "at": at(-dt.timedelta(hours=1)), "retry_at": at(again),
        "failures": failures,
    }  # fmt: skip


def site(name: str, state: str = "serving", **more: Any) -> dict[str, Any]:
    """
    Return a site of a report, which has the certificate of its name.
    """
    plain = state == "plain"
    return {
        "site": name, "hosts": [name], "urls": [f"http{'' if plain else 's'}://{name}/"], "certificate": None if plain else name,
        "state": state, "upstreams": {"/": "http://127.0.0.1:3000"}, "error": None, "retry_at": None, **more,
    }  # fmt: skip


def stream(name: str, state: str = "passing", **more: Any) -> dict[str, Any]:
    """
    Return a stream of a report.
    """
    return {
        "stream": name, "listen": ["443"], "hosts": [], "certificate": None, "upstreams": {"*": "tcp://127.0.0.1:4443"}, "state": state,
        "error": None, "retry_at": None, **more,
    }  # fmt: skip


def report(**more: Any) -> dict[str, Any]:
    """
    Return a report of a gate with one site, where all is well.
    """
    nginx = {
        "running": True, "pid": 7, "version": "1.28.0", "generation": 3, "proven": True, "up_to_date": True, "draining_workers": 0,
        "missing": None, "failure": None,
    }  # fmt: skip
    return {
        "time": NOW, "settled": True, "clock": None, "daemon": True, "nginx": {**nginx, **more.pop("nginx", {})},
        "sites": [site("wiki.example.com")], "streams": [], "ddns": None, "leftovers": {},
        "certificates": [certificate("wiki.example.com")], "budgets": [], "next": [], "look_at": at(dt.timedelta(hours=12)), **more,
    }  # fmt: skip


def many(number: int) -> dict[str, Any]:
    """
    Return a report of many sites, each with a certificate that is due a day after the one before, the first one tomorrow.
    """
    names = [f"s{place:03}.example.com" for place in range(number)]
    due = {name: at((place + 1) * DAY) for place, name in enumerate(names)}
    return report(
        sites=[site(name) for name in reversed(names)],
        certificates=[certificate(name, renew_at=due[name]) for name in reversed(names)],
    )


def mixed() -> dict[str, Any]:
    """
    Return a report of a gate on an ordinary bad day: two fine, one refused by nginx, one refused by its CA, one on its way.
    """
    refused = failure("dns", "no valid A records found for chat.example.com", again=dt.timedelta(minutes=23))
    on_its_way = {"step": "waiting for letsencrypt to check new.example.com", "since": at(-dt.timedelta(seconds=42))}
    return report(
        sites=[
            site("wiki.example.com"),
            site("cloud.example.com", urls=["https://cloud.example.com:2443/"]),
            site("broken.example.com", "quarantined", error='unknown directive "proxy_pas" in broken.conf:3', retry_at=at(DAY)),
            site("chat.example.com", "placeholder"),
            site("new.example.com", "placeholder"),
        ],
        certificates=[
            certificate("wiki.example.com"),
            certificate("cloud.example.com", renew_at=at(3 * DAY)),
            certificate("broken.example.com"),
            certificate("chat.example.com", "placeholder", failure=refused),
            certificate("new.example.com", "placeholder", doing=on_its_way),
        ],
    )  # fmt: skip


def worst() -> dict[str, Any]:
    """
    Return a report in which everything that can be wrong is.
    """
    states = ("expired", "missing", "valid", "placeholder", "valid", "valid", "valid", "valid", "valid")
    names = ("expired", "missing", "quarantined", "placeholder", "failing", "damaged", "revoked", "expiring", "lacking")
    wrong: dict[str, dict[str, Any]] = {
        "failing": {"failure": failure("rateLimited", "too many certificates already issued")},
        "damaged": {"damaged": "privkey.pem: empty"},
        "revoked": {"revoked": True},
        "expiring": {"late": 2, "renew_at": at(-20 * DAY), "not_after": at(2 * DAY)},
        "lacking": {"lacking": ["www.example.com"]},
    }
    certificates = [
        certificate(f"{name}.example.com", state, **wrong.get(name, {}))
        for name, state in zip(names, states, strict=True)
    ]
    refused = {"state": "quarantined", "error": "host not found in upstream", "retry_at": at(DAY)}
    sites = [site(f"{name}.example.com", **(refused if name == "quarantined" else {})) for name in names]
    return report(
        daemon=False,
        clock="it says 1970, and the CA 2026",
        nginx={"proven": False, "draining_workers": 2, "failure": failure("nginx", "port 443 is taken")},
        sites=sites,
        streams=[stream("db", "quarantined", error="this nginx has no stream module", retry_at=None)],
        certificates=[*certificates, certificate("old.example.com", "unused")],
        leftovers={"home": ["_acme-challenge.old.example.com"]},
        ddns={
            "provider": "home", "addresses": {"A": "203.0.113.7"}, "looked_at": at(-dt.timedelta(minutes=3)), "every": 300.0,
            "hosts": [{"host": "home.example.com", "type": "A", "address": None, "changed_at": None, "problem": "somebody else set it"}],
            "failure": None,
        },
    )  # fmt: skip
