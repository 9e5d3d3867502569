"""
Decides what a site says for a service that knows its visitors: how nginx asks it, where a visitor is sent to sign in, and where its
own pages are.

The service decides by what nginx says of a request. It hears nothing that the visitor says of it himself, and its silence opens no
door.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model import ForwardAuth, Match, Route
from gatelodge.nginx.writing import pages
from gatelodge.nginx.writing.forward_auth import SERVICES, WANTED, answered, sign_in, variable
from gatelodge.nginx.writing.manners import PROXY_HEADERS
from gatelodge.nginx.writing.proxying import manners
from gatelodge.nginx.writing.quote import Directive, Expression, Verbatim, block, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gatelodge.model import Auth, Pool, Site
    from gatelodge.nginx.writing.forward_auth import Service
    from gatelodge.nginx.writing.ground import Ground
    from gatelodge.nginx.writing.quote import Argument
    from gatelodge.nginx.writing.upstreams import Upstreams

#: How long a service that is asked who somebody is may take. A login that hangs is a site that hangs.
_ASKING_SECONDS = "10s"

#: Room for the headers of its answer: a person can be in many groups.
_ANSWER_SIZE = "32k"

#: Headers in which services look for the request that they are asked about, each its own. What of these nginx does not say, nobody
#: says: Authentik, for one, would take `X-Original-URI` for the path, and let everybody come to its own.
_CLAIMS = (
    *("X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method"),
    *("X-Auth-Request-Redirect", "X-Authelia-URL"),
)

#: The variable of a service by name. That of a route would be overwritten: the request that is asked about shares it.
_SERVICE = "$gatelodge_service"

#: Variables for the cookies of an answer: nginx before 1.23 knows the first alone, and later ones join them (`prelude`).
_COOKIES = (("$gatelodge_cookie", "$gatelodge_cookie_first"), ("$gatelodge_cookies", "$gatelodge_cookie_second"))

#: What would end the parameter of a query, or mean something else in it.
_SPECIAL = "[%&+;#]"

#: Its `%2D` makes nginx escape what it puts into a redirect there (ngx_http_script_copy_capture_code), which it does for no other.
_ESCAPING, _AS_WRITTEN = "/.gatelodge/sign-in/", "/.gatelodge/sign%2Din/"

_UNASKED_PLACE = "@gatelodge_unasked"


def asking(name: str, auth: ForwardAuth, ground: Ground) -> list[Directive]:
    """
    Return the directives by which a location asks a service.

    Raises:
        ValueError: this nginx cannot do that.
    """
    if "http_auth_request_module" not in ground.modules:
        raise ValueError(f"[auth.{name}] needs nginx's http_auth_request_module, which this one does not have")
    service = SERVICES[auth.kind]
    lines = [line("auth_request", _place(name))]
    lines += [_kept(variable(header), answered(header)) for header in dict.fromkeys(service.identity.values())]
    lines += [_kept(*cookie) for cookie in _COOKIES] if service.cookies else []
    return lines + ([_kept("$gatelodge_login", answered(service.location))] if service.location else [])


def refuse_detours() -> Directive:
    """
    Return what keeps a path from leading back out of where it began (`prelude`): a service behind, or one that is asked, may read
    `/open/../closed` otherwise than nginx. Browsers send no such thing.
    """
    return _when("$gatelodge_detour", line("return", "400"))


def turning_away(name: str) -> list[Directive]:
    """
    Return where a visitor goes who must sign in, or when the service does not answer.
    """
    return [line("error_page", "401", "=", _sign_in_place(name)), line("error_page", "500", "=", _UNASKED_PLACE)]


def cookies(auth: Auth | None) -> list[tuple[str, Expression]]:
    """
    Return the headers by which a service keeps a session alive, if it does.
    """
    if not (isinstance(auth, ForwardAuth) and SERVICES[auth.kind].cookies):
        return []
    return [("Set-Cookie", Expression(name)) for name, _ in _COOKIES]


def locations(
    services: Sequence[tuple[str, ForwardAuth]],
    site: Site,
    upstreams: Upstreams,
    ground: Ground,
    told: Sequence[tuple[str, str]],
) -> list[Directive]:
    """
    Return the locations of a site that have to do with asking.

    Args:
        told: headers that every answer of this server has.

    Raises:
        ValueError: this nginx cannot reach a service, or two have their pages in one place.
    """
    written = [
        each
        for name, auth in services
        for each in (_question(name, auth, upstreams, ground), *_signing_in(name, auth, told))
    ]
    written += [_unasked()] if services else []
    taken: dict[str, str] = {}
    for name, auth in services:
        path = SERVICES[auth.kind].pages
        if path in taken:
            raise ValueError(f"[auth.{name}] and [auth.{taken[path]}] both have their pages in {path} of this site")
        if path and not any(route.path == path and route.match is Match.PREFIX for route in site.routes):
            taken[path] = name
            written.append(_pages(name, auth, site, upstreams, ground=ground, told=told))
    return written


def _question(name: str, auth: ForwardAuth, upstreams: Upstreams, ground: Ground) -> Directive:
    """
    Write where nginx asks a service: always by GET, and without the body of what it asks about.
    """
    service = SERVICES[auth.kind]
    asked = _below(auth.service, service.verify)
    question = Route(path=_place(name), match=Match.EXACT, action=asked)
    said = {**dict(PROXY_HEADERS), **_heard(service), "Content-Length": "", "Connection": ""}
    return block(
        "location",
        "=",
        question.path,
        remark=f"auth.{name}",
        inside=[
            line("internal"),
            line("proxy_pass_request_body", "off"),
            line("client_max_body_size", "0"),
            line("proxy_connect_timeout", "5s"),
            line("proxy_read_timeout", _ASKING_SECONDS),
            line("proxy_buffer_size", _ANSWER_SIZE),
            *(line("proxy_set_header", header, Expression(value)) for header, value in said.items()),
            *[each for each in manners(question, asked, ground, identity=(), shown=()) if _is_of_tls(each)],
            *upstreams.passing(question, asked, variable=_SERVICE),
        ],
    )


def _signing_in(name: str, auth: ForwardAuth, told: Sequence[tuple[str, str]]) -> Iterable[Directive]:
    """
    Yield where a visitor is sent to sign in. Who cannot be sent anywhere is told 401, with the challenge of the service if it has one.
    """
    service, page = SERVICES[auth.kind], sign_in(auth)
    said: list[tuple[str, Argument]] = [*told, *cookies(auth)]
    inside = [line("add_header", header, value, "always") for header, value in said]
    # The upstream's own 401 comes here too where it is shown a page of the user's in place of some status.
    inside.append(_when("$upstream_status", line("return", "401")))
    if service.location:
        inside.append(_when("$gatelodge_login", line("return", "302", Expression("$gatelodge_login"))))
    if page is None:
        inside.append(line("return", "401"))
    else:
        special = ("(", Expression("$request_uri"), "~", Verbatim(_SPECIAL), ")")
        around = line("return", "302", Expression(f"{_AS_WRITTEN}{name}?{WANTED}"))
        inside += [block("if", *special, inside=[around]), line("return", "302", Expression(f"{page}{WANTED}"))]
    yield block("location", _sign_in_place(name), inside=inside)
    if page is not None:
        # First what stands in the query becomes the path, then the path a parameter.
        steps = [
            line("rewrite", Verbatim("^"), Expression("/$args?")),
            line("rewrite", Verbatim("^/(.*)$"), Expression(f"{page}$1?"), "redirect"),
        ]
        yield block("location", "=", f"{_ESCAPING}{name}", inside=[*steps, line("return", "404")])


def _unasked() -> Directive:
    """
    Write what is shown when a service does not answer. An upstream's own 500 stays one.
    """
    inside = [_when("$upstream_status", line("return", "500")), *pages.HTML]
    return block(
        "location", _UNASKED_PLACE, inside=[*inside, line("return", "502", Expression("$gatelodge_unreachable"))]
    )


def _pages(
    name: str,
    auth: ForwardAuth,
    site: Site,
    upstreams: Upstreams,
    *,
    ground: Ground,
    told: Sequence[tuple[str, str]],
) -> Directive:
    service = SERVICES[auth.kind]
    asked = _below(auth.service, service.pages)
    route = Route(path=service.pages, action=asked)
    # Before any regular expression of a route: nobody could sign in if it led back to where he must.
    return block(
        "location",
        "^~",
        service.pages,
        remark=f"auth.{name}",
        inside=[
            *(pages.closing(site.maintenance, site)[1] if site.maintenance else []),
            refuse_detours(),
            *(line("add_header", header, value, "always") for header, value in told),
            *manners(route, asked, ground, identity=_heard(service).items(), shown=told),
            *upstreams.passing(route, asked),
        ],
    )


def _heard(service: Service) -> dict[str, str]:
    """
    Return what a service is told of a request, and what nobody else may tell it.
    """
    return {**dict.fromkeys(_CLAIMS, ""), **dict(service.told)}


def _below(pool: Pool, path: str) -> Pool:
    """
    Return a pool at a path below that of its servers.
    """
    servers = tuple(
        dataclasses.replace(
            each,
            upstream=dataclasses.replace(each.upstream, path=f"{(each.upstream.path or '').rstrip('/')}{path}"),
        )
        for each in pool.servers
    )
    return dataclasses.replace(pool, servers=servers)


def _place(name: str) -> str:
    return f"/.gatelodge/auth/{name}"


def _sign_in_place(name: str) -> str:
    return f"@gatelodge_sign_in_{name}"


def _kept(name: str, expression: str) -> Directive:
    return line("auth_request_set", Expression(name), Expression(expression))


def _when(expression: str, then: Directive) -> Directive:
    return block("if", Expression(f"({expression})"), inside=[then])


def _is_of_tls(directive: Directive) -> bool:
    return "_ssl_" in str(directive.words[0])
