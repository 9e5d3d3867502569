"""
A world as plain values, for tests of the planner: actions change it the way adapters would, without any of them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib

from gatelodge.core.actions import (
    Abandon,
    Action,
    ApplyTree,
    Cancel,
    DeleteCertificate,
    MakePlaceholder,
    Obtain,
    Prune,
    RollBack,
    StartNginx,
    digest,
    key,
    tries,
)
from gatelodge.core.desired import Desired
from gatelodge.core.observed import Attempt, Held, Nginx, Observed, shown
from gatelodge.core.plan import Plan, plan
from gatelodge.core.tree import Capabilities, Generation, Rendered
from gatelodge.errors import Problem
from gatelodge.model import (
    INTERNAL_HOST,
    SELF_SIGNED,
    AcmeIssuer,
    CertificateSpec,
    KeyKind,
    Listener,
    LocalIssuer,
    Name,
    NginxSettings,
    Pool,
    Route,
    SelfSigned,
    Site,
    Upstream,
)

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
LIFE = dt.timedelta(days=90)
CAPABILITIES = Capabilities(binary="nginx", version=(1, 22, 1))


def spec(name: str, *, local: bool = False, key_kind: KeyKind = KeyKind.ECDSA_P256) -> CertificateSpec:
    """
    Return a spec for one name.
    """
    issuer = LocalIssuer() if local else AcmeIssuer(ca="pebble")
    return CertificateSpec(name=name, names=(Name(name),), issuer=issuer, key=key_kind)


def wanting(*specs: CertificateSpec) -> Desired:
    """
    Return what is desired when each spec serves a site of its own.
    """
    internal = CertificateSpec(name=INTERNAL_HOST, names=(INTERNAL_HOST,), issuer=SelfSigned())
    route = Route(path="/", action=Pool.of(Upstream(scheme="http", host="127.0.0.1", port=1)))
    return Desired(
        certificates={each.name: each for each in (*specs, internal)},
        sites=tuple(
            Site(hosts=each.names, listeners=(Listener(port=443),), routes=(route,), certificates=(each.name,))
            for each in specs
        ),
        nginx=NginxSettings(),
        state_directory="/state",
        webroot="/state/webroot",
    )


def held(
    wanted: CertificateSpec, *, version: int = 1, age: dt.timedelta = dt.timedelta(0), now: dt.datetime = NOW
) -> Held:
    """
    Return a certificate for a spec that was issued some time ago.
    """
    begun = now - age
    return Held(
        name=wanted.name,
        version=version,
        names=wanted.names,
        issuer=str(wanted.issuer),
        key=wanted.key,
        profile=wanted.profile,
        serial=f"{version:x}",
        fingerprint=f"{wanted.name}-{version}",
        not_before=begun,
        not_after=begun + LIFE,
        stored_at=begun,
        directory=f"/state/certificates/{wanted.name}/versions/{version}",
    )


def placeholder(wanted: CertificateSpec, *, version: int = 1) -> Held:
    """
    Return a placeholder for a spec.
    """
    stand_in = dataclasses.replace(wanted, issuer=SelfSigned(), key=KeyKind.ECDSA_P256)
    return dataclasses.replace(held(stand_in, version=version), not_after=NOW + dt.timedelta(days=20000))


def rendered(desired: Desired, observed: Observed) -> Rendered:
    """
    Return a tree that names what a real one would: what is shown of the certificates of each site.
    """
    named = {site.file_name: shown(site.certificates[:1], observed.held) for site in desired.sites}
    sites = {file: " ".join(f"{found.name} {found.version}" for found in shows) for file, shows in named.items()}
    references = frozenset((found.name, found.version) for shows in named.values() for found in shows)
    text = repr(sorted(sites.items()))
    return Rendered(
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        proof="http://127.0.0.1:80",
        entry="",
        prelude="",
        sites=sites,
        fresh=sites,
        references=references,
        listeners=frozenset({Listener(port=443)}),
    )


@dataclasses.dataclass
class World:
    """
    What is desired and what is, with a clock and the names whose issuance fails, or the issuers that fail.
    """

    desired: Desired
    observed: Observed
    now: dt.datetime = NOW
    failing: frozenset[str] = frozenset()

    def plan(self) -> Plan:
        """
        Plan from here.
        """
        tree = rendered(self.desired, self.observed) if self.observed.nginx.capabilities else None
        return plan(self.desired, self.observed, tree, self.now)

    def carry_out(self, action: Action) -> None:
        """
        Change the world as an adapter would, at once.
        """
        match action:
            case MakePlaceholder(spec=wanted):
                self._hold(placeholder(wanted, version=self._next(wanted.name)))
            case Obtain(spec=wanted):
                requests = self.observed.requests
                self._set(requests=dataclasses.replace(requests, renew=requests.renew - {wanted.name}))
                if wanted.name in self.failing or str(wanted.issuer) in self.failing:
                    self._fail(action)
                else:
                    self._hold(held(wanted, version=self._next(wanted.name), now=self.now))
                    self._set(
                        attempts={t: a for t, a in self.observed.attempts.items() if t.split("/")[0] != key(action)},
                        in_flight={n: o for n, o in self.observed.in_flight.items() if n != wanted.name},
                    )
            case Abandon(certificate=name):
                self._set(in_flight={n: o for n, o in self.observed.in_flight.items() if n != name})
            case Cancel(job=job):
                self._set(jobs={k: j for k, j in self.observed.jobs.items() if k != job})
            case RollBack():
                self._roll_back()
            case StartNginx():
                current = self.observed.nginx.current
                self._nginx(running=current.number if current else 0)
            case ApplyTree(rendered=tree):
                self._apply(tree)
            case Prune(versions=versions, generations=generations):
                self._prune(frozenset(versions), frozenset(generations))
            case DeleteCertificate(certificate=name):
                self._set(
                    held={n: h for n, h in self.observed.held.items() if n != name},
                    versions={n: v for n, v in self.observed.versions.items() if n != name},
                )

    def settle(self, *, take: int | None = None) -> None:
        """
        Carry out plans, or the first `take` actions of each, until one is empty; time moves on to when a plan says to look
        again, but not to renewals.
        """
        for _ in range(200):
            found = self.plan()
            for action in found.actions[:take]:
                self.carry_out(action)
            if found.actions:
                continue
            if found.look_at - self.now > dt.timedelta(hours=2):
                return
            self.now = found.look_at
        raise AssertionError(f"no rest: {self.plan()}")

    def _set(self, **changes: object) -> None:
        self.observed = dataclasses.replace(self.observed, **changes)  # type: ignore[arg-type]

    def _nginx(self, **changes: object) -> None:
        self._set(nginx=dataclasses.replace(self.observed.nginx, **changes))  # type: ignore[arg-type]

    def _next(self, name: str) -> int:
        return max(self.observed.versions.get(name, (0,))) + 1

    def _hold(self, new: Held) -> None:
        self._set(
            held={**self.observed.held, new.name: new},
            versions={**self.observed.versions, new.name: (*self.observed.versions.get(new.name, ()), new.version)},
            damaged={n: d for n, d in self.observed.damaged.items() if n != new.name},
        )

    def _fail(self, action: Action) -> None:
        problem = Problem(type="unauthorized", detail="no")
        attempt = Attempt(
            tries=tries(action), digest=digest(action), failures=1, problem=problem,
            at=self.now, retry_at=self.now + dt.timedelta(days=1),
        )  # fmt: skip
        self._set(attempts={**self.observed.attempts, tries(action): attempt})

    def _apply(self, tree: Rendered) -> None:
        for name, version in tree.references:
            assert version in self.observed.versions.get(name, ()), (
                f"the tree names {name} {version}, which is not held"
            )
        nginx = self.observed.nginx
        new = Generation(
            number=max((g.number for g in nginx.generations), default=0) + 1,
            digest=tree.digest, proven=True, created_at=self.now, references=tree.references,
        )  # fmt: skip
        self._nginx(
            generations=(*nginx.generations, new), current=new, running=new.number,
            reloaded_at=self.now if nginx.running is not None else nginx.reloaded_at,
        )  # fmt: skip
        self._set(requests=dataclasses.replace(self.observed.requests, reload=False))

    def _roll_back(self) -> None:
        nginx = self.observed.nginx
        last = nginx.last_proven
        self._nginx(current=last, running=nginx.running if last is None or nginx.running is None else last.number)

    def _prune(self, versions: frozenset[tuple[str, int]], generations: frozenset[int]) -> None:
        left = tuple(g for g in self.observed.nginx.generations if g.number not in generations)
        self._nginx(generations=left)
        for name, version in versions:
            newest = self.observed.held[name].version
            assert version < newest, f"{name} {version} is destroyed, and nothing newer is stored"
            assert all((name, version) not in g.references for g in left), f"{name} {version} is named by a kept tree"
        self._set(
            versions={
                name: tuple(v for v in numbers if (name, v) not in versions)
                for name, numbers in self.observed.versions.items()
            }
        )


def fresh_world(*specs: CertificateSpec, failing: frozenset[str] = frozenset()) -> World:
    """
    Return a world in which nothing has happened yet and nginx is there to be run.
    """
    return World(desired=wanting(*specs), observed=Observed(nginx=Nginx(capabilities=CAPABILITIES)), failing=failing)


def names_of(found: Plan) -> list[str]:
    """
    Return a plan's actions by kind and key, for comparing.
    """
    return [f"{type(action).__name__} {key(action)}" for action in found.actions]


__all__ = ["LIFE", "NOW", "SELF_SIGNED", "World", "fresh_world", "held", "names_of", "placeholder", "spec", "wanting"]
