"""
The planner: rows of decisions, and properties over worlds that nobody thought of.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.planning import (
    CAPABILITIES,
    NOW,
    World,
    fresh_world,
    held,
    names_of,
    placeholder,
    rendered,
    spec,
    wanting,
)

from gatelodge.core.actions import ABANDONING, NGINX, ApplyTree, Obtain, Reason, certificate_key
from gatelodge.core.asking import failed
from gatelodge.core.observed import Attempt, Doubt, InFlight, Job, Nginx, Observed, Requests, shown
from gatelodge.core.plan import GATHER
from gatelodge.core.tree import Generation
from gatelodge.errors import Problem
from gatelodge.model import INTERNAL_HOST, KeyKind

A, B = spec("a.example"), spec("b.example")
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


def served(*certificates: object, now: dt.datetime = NOW) -> World:
    """
    Return a world at rest that serves these certificates.
    """
    world = fresh_world(*certificates)  # type: ignore[arg-type]
    world.now = now
    world.settle()
    return world


def kept(world: World, **changes: object) -> World:
    """
    Return a world with some of what is observed replaced.
    """
    world.observed = dataclasses.replace(world.observed, **changes)  # type: ignore[arg-type]
    return world


def test_a_new_gate_makes_the_placeholder_before_anything_else() -> None:
    """
    Nothing waits for issuance: first the placeholder, one for all, then nginx, and only then the CA, which looks for its proof at nginx.
    """
    world = fresh_world(A, B)

    assert names_of(world.plan()) == [f"MakePlaceholder placeholder:{INTERNAL_HOST}"]

    for action in world.plan().actions:
        world.carry_out(action)

    assert names_of(world.plan()) == ["ApplyTree nginx"]

    world.carry_out(world.plan().actions[0])

    assert names_of(world.plan()) == ["Obtain certificate:a.example", "Obtain certificate:b.example"]


def test_a_local_certificate_needs_no_nginx() -> None:
    """
    The local CA is asked at once, also when there is no nginx to run.
    """
    wanted = spec("nas.lan", local=True)
    world = fresh_world(wanted)
    kept(world, nginx=Nginx(missing="not found"), held={"nas.lan": placeholder(wanted)}, versions={"nas.lan": (1,)})

    assert "Obtain certificate:nas.lan" in names_of(world.plan())


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"held": {"a.example": held(A, age=61 * DAY)}}, Reason.DUE),
        ({"held": {"a.example": held(spec("a.example", key_kind=KeyKind.RSA_2048))}}, Reason.CHANGED),
        ({"held": {"a.example": placeholder(A)}}, Reason.MISSING),
        ({"damaged": {"a.example": "privkey.pem is empty"}}, Reason.DAMAGED),
        ({"requests": Requests(renew=frozenset({"a.example"}))}, Reason.REQUESTED),
        ({"in_flight": {"a.example": InFlight(certificate="a.example", issuer="acme:pebble", digest=A.digest, begun=1, at=NOW)}}, Reason.UNFINISHED),
    ],
)  # fmt: skip
def test_why_a_certificate_is_obtained(state: dict[str, object], reason: Reason) -> None:
    """
    Each reason to ask an issuer is found, and none when all is well.
    """
    world = served(A)
    assert not world.plan().actions

    internal = {INTERNAL_HOST: world.observed.held[INTERNAL_HOST]}
    if isinstance(state.get("held"), dict):
        state = {"held": {**internal, **state["held"]}}  # type: ignore[dict-item]
    kept(world, **state)
    found = [action for action in world.plan().actions if isinstance(action, Obtain)]

    assert [action.reason for action in found] == [reason]


def test_it_looks_again_when_the_next_renewal_falls_due() -> None:
    """
    A certificate that falls due before the usual 12 hours have passed is looked at when it does.
    """
    world = served(A)
    due = world.observed.held["a.example"].not_before + 60 * DAY
    world.now = due - HOUR

    assert not world.plan().actions
    assert world.plan().look_at == due

    world.now = due

    assert names_of(world.plan()) == ["Obtain certificate:a.example"]


def test_it_looks_again_after_twelve_hours_at_the_latest() -> None:
    """
    Even with nothing due, everything is looked at twice a day.
    """
    world = served(A)

    assert world.plan().look_at == world.now + 12 * HOUR


def test_a_failure_waits_and_delays_nobody_else() -> None:
    """
    While one name waits for its next try, others are obtained, loaded and renewed.
    """
    world = fresh_world(A, B, failing=frozenset({"a.example"}))
    world.settle()

    assert "a.example" not in world.observed.held
    current = world.observed.nginx.current
    assert current is not None
    assert ("b.example", world.observed.held["b.example"].version) in current.references
    assert world.plan().look_at <= world.observed.attempts["certificate:a.example/acme:pebble"].retry_at


def test_a_changed_spec_does_not_wait_for_the_old_failure() -> None:
    """
    Whoever mends the TOML is not told to come back tomorrow.
    """
    world = fresh_world(A, failing=frozenset({"a.example"}))
    world.settle()
    mended = spec("a.example", key_kind=KeyKind.ECDSA_P384)
    world.desired, world.failing = wanting(mended), frozenset()
    world.settle()

    assert world.observed.held["a.example"].satisfies(mended)


def test_a_failure_dated_in_the_future_holds_nothing_back() -> None:
    """
    A clock that was wrong once cannot make a name wait for years: not from a now that never comes to it either.
    """
    world = served(A)
    wrong = NOW + 3650 * DAY
    attempt = Attempt(
        tries="certificate:a.example/acme:pebble", digest=A.digest, failures=1, problem=Problem(type="dns", detail=""),
        at=wrong, retry_at=wrong + HOUR,
    )  # fmt: skip
    kept(
        world,
        held={**world.observed.held, "a.example": placeholder(A, version=2)},
        attempts={attempt.tries: attempt},
    )

    assert [type(action) for action in world.plan().actions] == [Obtain]


def test_a_doubted_clock_pauses_issuance_and_deletion_but_not_nginx() -> None:
    """
    Without a clock to believe no certificate is judged; the gate itself opens.
    """
    old = held(spec("gone.example"), age=400 * DAY)
    world = fresh_world(A)
    kept(
        world,
        doubt=Doubt(reason="1970", until=NOW + dt.timedelta(minutes=1)),
        held={"gone.example": old},
        versions={"gone.example": (1,)},
    )
    for _ in range(5):
        for action in world.plan().actions:
            world.carry_out(action)

    assert world.observed.nginx.running
    assert "a.example" not in world.observed.held
    assert "gone.example" in world.observed.held
    assert world.plan().look_at == NOW + dt.timedelta(minutes=1)


def test_a_running_job_is_not_begun_twice_and_is_cancelled_when_the_spec_changed() -> None:
    """
    One job a key; a job for another spec is stopped first.
    """
    world = served(A)
    kept(world, held={**world.observed.held, "a.example": placeholder(A, version=2)})
    same = Job(key=certificate_key("a.example"), digest=A.digest, since=NOW)
    kept(world, jobs={same.key: same})

    assert not [action for action in world.plan().actions if isinstance(action, Obtain)]

    other = dataclasses.replace(same, digest="another")
    kept(world, jobs={other.key: other})

    assert names_of(world.plan())[0] == "Cancel certificate:a.example"


def test_an_order_nobody_asks_for_is_given_up() -> None:
    """
    A certificate taken out of the TOML in the middle of its order: the job is stopped, then the order abandoned.
    """
    world = served(A)
    job = Job(key=certificate_key("b.example"), digest=B.digest, since=NOW)
    order = InFlight(certificate="b.example", issuer="acme:pebble", digest=B.digest, begun=1, at=NOW)
    kept(world, jobs={job.key: job}, in_flight={"b.example": order})

    assert names_of(world.plan()) == ["Cancel certificate:b.example"]

    kept(world, jobs={})

    assert names_of(world.plan()) == ["Abandon certificate:b.example"]

    abandoning = dataclasses.replace(job, digest=ABANDONING)
    kept(world, jobs={abandoning.key: abandoning})

    assert not world.plan().actions


def test_an_order_begun_over_and_over_slows_down() -> None:
    """
    A daemon that dies at every order takes one up at once, and then ever more rarely.
    """
    world = fresh_world(A)
    world.carry_out(world.plan().actions[0])
    world.carry_out(world.plan().actions[0])
    waits = []
    for begun in (1, 2, 3, 4):
        order = InFlight(certificate="a.example", issuer="acme:pebble", digest=A.digest, begun=begun, at=NOW)
        kept(world, in_flight={"a.example": order})
        asked = [action for action in world.plan().actions if isinstance(action, Obtain)]
        waits.append(None if asked else world.plan().look_at - NOW)

    assert waits == [None, None, dt.timedelta(minutes=1), dt.timedelta(minutes=10)]


def test_certificates_that_come_together_share_a_reload() -> None:
    """
    While others are on their way a reload waits for them, but never longer than the gathering time.
    """
    world = served(A, B)
    world.now += 61 * DAY
    world.carry_out(world.plan().actions[0])
    job = Job(key=certificate_key("b.example"), digest=B.digest, since=world.now)
    kept(world, jobs={job.key: job})

    assert not world.plan().actions
    assert world.plan().look_at == world.now + GATHER

    world.now += GATHER

    assert names_of(world.plan()) == ["ApplyTree nginx"]


def test_reloads_keep_their_distance_unless_somebody_asks() -> None:
    """
    Two reloads are at least `reload_interval` apart; a person need not wait.
    """
    world = served(A)
    kept(world, nginx=dataclasses.replace(world.observed.nginx, reloaded_at=world.now))
    world.desired = wanting(A, spec("new.example", local=True))
    for action in world.plan().actions:
        world.carry_out(action)
    world.now += dt.timedelta(seconds=10)

    assert not [action for action in world.plan().actions if isinstance(action, ApplyTree)]
    assert world.plan().look_at == world.now + dt.timedelta(seconds=20)

    kept(world, requests=Requests(reload=True))

    assert [action for action in world.plan().actions if isinstance(action, ApplyTree)]


def test_once_reloads_after_all_issuance() -> None:
    """
    `once` ends with one reload, whenever the last certificate came.
    """
    world = served(A, B)
    world.now += 61 * DAY
    kept(world, requests=Requests(once=True))
    world.carry_out(world.plan().actions[0])
    job = Job(key=certificate_key("b.example"), digest=B.digest, since=world.now)
    kept(world, jobs={job.key: job})
    world.now += HOUR

    assert not world.plan().actions


def test_an_unproven_tree_goes_back_first() -> None:
    """
    A daemon that died between swap and proof leaves a current tree that nobody saw served: back it goes.
    """
    world = served(A)
    nginx = world.observed.nginx
    assert nginx.current is not None
    unproven = dataclasses.replace(nginx.current, number=99, proven=False)
    kept(world, nginx=dataclasses.replace(nginx, current=unproven, generations=(*nginx.generations, unproven)))

    assert names_of(world.plan()) == ["RollBack nginx"]


def test_a_dead_nginx_is_started_on_what_it_served() -> None:
    """
    Starting again needs no CA, no rendering, no issuance.
    """
    world = served(A)
    kept(world, nginx=dataclasses.replace(world.observed.nginx, running=None))

    assert names_of(world.plan()) == ["StartNginx nginx"]


def test_a_tree_whose_certificate_is_damaged_is_not_started() -> None:
    """
    Nginx would refuse the whole tree for one damaged file: a new tree is made, without it.
    """
    world = served(A)
    version = world.observed.held["a.example"].version
    kept(
        world,
        nginx=dataclasses.replace(world.observed.nginx, running=None),
        held={INTERNAL_HOST: world.observed.held[INTERNAL_HOST]},
        versions={INTERNAL_HOST: (1,)},
        damaged={"a.example": "privkey.pem is empty"},
    )
    world.settle()

    current = world.observed.nginx.current
    assert current is not None
    assert world.observed.nginx.running == current.number
    assert ("a.example", version) not in current.references or version in world.observed.versions["a.example"]


def test_a_damaged_certificate_that_nginx_still_serves_is_not_replaced_by_a_placeholder() -> None:
    """
    Nginx has the good one in memory: a new one is asked for first, and the placeholder is shown only when that failed.
    """
    world = served(A)
    damaged = {
        "held": {INTERNAL_HOST: world.observed.held[INTERNAL_HOST]},
        "versions": {INTERNAL_HOST: (1,)},
        "damaged": {"a.example": "privkey.pem is empty"},
    }
    world.now += HOUR
    kept(world, **damaged)

    assert names_of(world.plan()) == ["Obtain certificate:a.example"]

    world.failing = frozenset({"a.example"})
    world.carry_out(world.plan().actions[0])

    assert names_of(world.plan()) == ["ApplyTree nginx"]


def test_a_damaged_certificate_that_nginx_does_not_hold_either_keeps_nobody_waiting() -> None:
    """
    Nginx was started anew with the placeholder: a change of another site is loaded while a new certificate is on its way.
    """
    world = served(A, B)
    world.now += HOUR
    damaged = {
        "held": {name: held for name, held in world.observed.held.items() if name != "a.example"},
        "damaged": {"a.example": "privkey.pem is empty"},
    }
    kept(world, **damaged)
    world.carry_out(ApplyTree(rendered=rendered(world.desired, world.observed), why=""))
    world.now += HOUR
    kept(
        world,
        jobs={certificate_key("a.example"): Job(key=certificate_key("a.example"), digest=A.digest, since=world.now)},
    )
    world.carry_out(Obtain(spec=B, reason=Reason.REQUESTED))
    world.now += GATHER

    assert "ApplyTree nginx" in names_of(world.plan())


def test_a_start_that_fails_gives_way_to_a_mended_configuration() -> None:
    """
    When the current tree does not start (its port is taken), a changed TOML is tried at once.
    """
    world = served(A)
    nginx = world.observed.nginx
    assert nginx.current is not None
    failed = Attempt(
        tries="nginx/start", digest=nginx.current.digest, failures=1, problem=Problem(type="nginxRefused", detail=""),
        at=NOW, retry_at=NOW + HOUR,
    )  # fmt: skip
    kept(world, nginx=dataclasses.replace(nginx, running=None), attempts={"nginx/start": failed})

    assert not world.plan().actions
    assert world.plan().look_at == NOW + HOUR

    world.desired = wanting()

    assert "ApplyTree nginx" in names_of(world.plan())


def test_a_certificate_no_longer_asked_for_is_kept_until_thirty_days_after_its_end() -> None:
    """
    Taking a site out of the TOML destroys nothing; putting it back takes the certificate up again.
    """
    world = served(A, B)
    world.desired = wanting(A)
    world.settle()

    assert "b.example" in world.observed.held

    world.now = NOW + 90 * DAY + 31 * DAY
    world.settle()

    assert "b.example" not in world.observed.held


def test_forgetting_waits_until_no_tree_names_it() -> None:
    """
    `forget` deletes a certificate once the trees that name it are gone.
    """
    world = served(A, B)
    world.desired = wanting(A)
    kept(world, requests=Requests(forget=frozenset({"b.example"})))

    assert not any("delete:" in name for name in names_of(world.plan()))

    world.settle()

    assert "b.example" not in world.observed.held
    assert not any(name == "b.example" for tree in world.observed.nginx.generations for name, _ in tree.references)


def test_nothing_is_deleted_while_nginx_is_given_a_tree() -> None:
    """
    That tree was planned before a site was taken out, so it may name its placeholder, and is not seen among the others yet.
    """
    world = served(A)
    kept(world, held={**world.observed.held, B.name: placeholder(B)})
    assert "DeleteCertificate delete:b.example" in names_of(world.plan())

    kept(world, jobs={NGINX: Job(key=NGINX, digest="", since=NOW)})
    assert not any(name.startswith("DeleteCertificate") for name in names_of(world.plan()))


def test_a_certificate_that_is_not_ours_to_replace_costs_no_order_and_stops_no_other() -> None:
    """
    Files of a newer Gatelodge, or of another user: a person must look; the other sites are served meanwhile.
    """
    world = fresh_world(A, B)
    kept(world, damaged={"a.example": "written by a newer Gatelodge"}, closed=frozenset({"a.example"}))
    world.settle()

    assert "a.example" not in world.observed.held
    assert not world.observed.held["b.example"].placeholder
    assert world.observed.nginx.running


def test_a_certificate_that_was_just_stored_is_not_due_at_once() -> None:
    """
    A CA that issues them half dead is not asked in a loop: there is at least an hour between two.
    """
    world = served(A)
    short = dataclasses.replace(
        world.observed.held["a.example"], not_before=world.now - 0.9 * HOUR, not_after=world.now + 0.1 * HOUR,
        stored_at=world.now,
    )  # fmt: skip
    kept(world, held={**world.observed.held, "a.example": short})

    assert not world.plan().actions
    assert world.plan().look_at == world.now + HOUR


def test_a_certificate_that_was_stored_in_the_future_is_renewed_in_time() -> None:
    """
    The clock was a year ahead when it came, and is right now: it would expire before that moment.
    """
    world = served(A)
    late = world.observed.held["a.example"]
    late = dataclasses.replace(
        late, not_before=world.now - 70 * DAY, not_after=world.now + 20 * DAY, stored_at=world.now + 365 * DAY
    )
    kept(world, held={**world.observed.held, "a.example": late})

    assert [action.reason for action in world.plan().actions if isinstance(action, Obtain)] == [Reason.DUE]


def test_a_certificate_from_a_clock_that_ran_ahead_is_replaced() -> None:
    """
    No visitor trusts a certificate that begins in two years, however long it is good after that.
    """
    world = served(A)
    ahead = dataclasses.replace(
        world.observed.held["a.example"], not_before=world.now + 730 * DAY, not_after=world.now + 820 * DAY,
        stored_at=world.now + 730 * DAY,
    )  # fmt: skip
    kept(world, held={**world.observed.held, "a.example": ahead})

    assert [action.reason for action in world.plan().actions if isinstance(action, Obtain)] == [Reason.DUE]


def test_a_change_is_tried_before_what_was_proven_when_nginx_does_not_run() -> None:
    """
    Some changes no reload can make (a listener in another shape): a start can. What was proven follows when that is refused.
    """
    world = served(A)
    nginx = world.observed.nginx
    assert nginx.current is not None
    kept(world, nginx=dataclasses.replace(nginx, running=None))
    world.desired = wanting()

    (apply,) = [action for action in world.plan().actions if isinstance(action, ApplyTree)]

    failed = Attempt(
        tries="nginx/apply", digest=apply.rendered.digest, failures=1, problem=Problem(type="nginxRefused", detail=""),
        at=NOW, retry_at=NOW + HOUR,
    )  # fmt: skip
    kept(world, attempts={"nginx/apply": failed})

    assert names_of(world.plan()) == ["StartNginx nginx"]


# Properties

NAMES = ("a.example", "b.example", "c.example")
SPECS = st.sampled_from(
    [spec(name, local=local, key_kind=kind) for name in NAMES for local in (False, True) for kind in (KeyKind.ECDSA_P256, KeyKind.RSA_2048)]
)  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """
    Draw a world: any mixture of what may be held, damaged, failed, in flight, proven, running.
    """
    wanted = {each.name: each for each in draw(st.lists(SPECS, max_size=3))}
    found = {}
    versions: dict[str, tuple[int, ...]] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        numbers = tuple(range(1, draw(st.integers(1, 3)) + 1))
        base = draw(SPECS.filter(lambda each, name=name: each.name == name))  # type: ignore[misc]
        age = dt.timedelta(days=draw(st.integers(0, 150)))
        real = draw(st.booleans())
        found[name] = held(base, version=numbers[-1], age=age) if real else placeholder(base, version=numbers[-1])
        versions[name] = numbers
    damaged = dict.fromkeys(draw(st.lists(st.sampled_from(NAMES), unique=True)), "damaged")
    world = World(
        desired=wanting(*wanted.values()),
        observed=Observed(
            held=found,
            versions=versions,
            damaged=damaged,
            in_flight={
                name: InFlight(certificate=name, issuer="acme:pebble", digest=draw(st.sampled_from([A.digest, "x"])), begun=draw(st.integers(1, 5)), at=NOW)
                for name in draw(st.lists(st.sampled_from(NAMES), unique=True))
            },
            attempts={
                f"certificate:{each.name}/{each.issuer}": Attempt(
                    tries=f"certificate:{each.name}/{each.issuer}", digest=each.digest, failures=1, problem=Problem(type="dns", detail=""),
                    at=NOW, retry_at=NOW + dt.timedelta(minutes=draw(st.integers(-5, 5))),
                )
                for each in draw(st.lists(SPECS, max_size=2))
            },
            requests=Requests(renew=frozenset(draw(st.lists(st.sampled_from(NAMES)))), once=draw(st.booleans()), reload=draw(st.booleans())),
        ),
        failing=frozenset(draw(st.lists(st.sampled_from(NAMES)))),
    )  # fmt: skip
    now_rendered = rendered(world.desired, world.observed)
    old = [
        (
            draw(st.sampled_from(["old", "older"])),
            frozenset((name, draw(st.sampled_from(numbers))) for name, numbers in versions.items()),
        )
        for _ in range(2)
    ]
    trees = [(now_rendered.digest, now_rendered.references), *old]
    generations = tuple(
        Generation(number=number, digest=digest, proven=draw(st.booleans()), created_at=NOW, references=references)
        for number, (digest, references) in enumerate(draw(st.lists(st.sampled_from(trees), max_size=3)), start=1)
    )
    current = draw(st.sampled_from(generations)) if generations else None
    running = draw(st.sampled_from([None, 0, *(each.number for each in generations)]))
    kept(
        world,
        nginx=Nginx(
            capabilities=CAPABILITIES, current=current, generations=generations, running=running,
            reloaded_at=draw(st.sampled_from([None, NOW, NOW - HOUR])),
        ),
    )  # fmt: skip
    return world


def _end(world: World) -> tuple[object, ...]:
    """
    What two worlds must agree on in the end: which certificates are held for what, and what nginx serves.
    """
    nginx, observed = world.observed.nginx, world.observed
    assert nginx.current is not None
    return (
        {
            name: (found.placeholder, found.issuer)
            for name, found in observed.held.items()
            if name in world.desired.certificates
        },
        {name for name, _ in nginx.current.references},
        nginx.running == nginx.current.number,
    )


@given(worlds())
@settings(deadline=None, max_examples=300)
def test_carrying_out_plans_comes_to_rest(world: World) -> None:
    """
    From any world, plans run out; then everything asked for is held or waits for its next try, and nginx serves the newest.
    """
    world.settle()

    nginx = world.observed.nginx
    assert not world.plan().actions
    assert nginx.current is not None
    assert nginx.current.proven
    assert nginx.running == nginx.current.number
    for name, wanted in world.desired.certificates.items():
        found = world.observed.held.get(name)
        assert (found is not None and found.satisfies(wanted)) or failed(world.observed.attempts, name)
    for site in world.desired.sites:
        (newest,) = shown(site.certificates[:1], world.observed.held)
        assert (newest.name, newest.version) in nginx.current.references


@given(worlds(), st.integers(1, 3))
@settings(deadline=None, max_examples=300)
def test_a_plan_cut_short_and_planned_again_ends_the_same(world: World, take: int) -> None:
    """
    It is safe to stop after any step.
    """
    other = World(desired=world.desired, observed=world.observed, now=world.now, failing=world.failing)
    world.settle()
    other.settle(take=take)

    assert _end(other) == _end(world)


@given(worlds())
@settings(deadline=None, max_examples=300)
def test_no_action_is_planned_twice_and_none_for_a_key_that_runs(world: World) -> None:
    """
    At most one job a key, also within one plan.
    """
    world.observed = dataclasses.replace(
        world.observed,
        jobs={
            certificate_key(name): Job(key=certificate_key(name), digest=each.digest, since=NOW)
            for name, each in world.desired.certificates.items()
        },
    )
    keys = [name.split(" ", 1)[1] for name in names_of(world.plan()) if not name.startswith("Cancel")]

    assert len(keys) == len(set(keys))
    assert not set(keys) & set(world.observed.jobs)


@given(worlds())
@settings(deadline=None, max_examples=200)
def test_a_name_that_fails_changes_nothing_for_others(world: World) -> None:
    """
    Whether one name's issuance works makes no difference to what is held for the others.
    """
    other = World(desired=world.desired, observed=world.observed, now=world.now, failing=world.failing ^ {"a.example"})
    world.settle()
    other.settle()

    def rest(settled: World) -> dict[str, tuple[bool, str]]:
        return {
            name: (found.placeholder, found.issuer)
            for name, found in settled.observed.held.items()
            if name != "a.example" and name in settled.desired.certificates
        }

    assert rest(world) == rest(other)
