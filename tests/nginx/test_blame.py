"""
Who is guilty, from words that nginx really said.
"""

from __future__ import annotations

import pytest

from gatelodge.nginx.blame import explain, find_complaints, find_guilty, reasons
from gatelodge.nginx.writing.quote import Raw, block, line, write
from gatelodge.nginx.writing.site import HEADER

FOLDER = "/var/lib/gatelodge/nginx/generations/7"

SITES = {
    "a.example.com": "server {\n    server_name a.example.com shared.example.com;\n    ssl_certificate /c/a/versions/1/fullchain.pem;\n}\n",
    "b.example.com": "server {\n    server_name b.example.com shared.example.com;\n    ssl_certificate /c/b/versions/1/fullchain.pem;\n}\n",
    "c.example.com": "server {\n    server_name c.example.com;\n    ssl_certificate /c/b/versions/1/fullchain.pem;\n}\n",
}


@pytest.mark.parametrize(
    ("output", "guilty"),
    [
        (f'nginx: [emerg] unknown directive "x" in {FOLDER}/sites/a.example.com.conf:3\n', {"a.example.com"}),
        (f'nginx: [emerg] unknown directive "x" in {FOLDER}/prelude.conf:3\n', set()),
        ('nginx: [emerg] unknown directive "x" in /etc/nginx/sites/a.example.com.conf:3\n', set()),
        (
            'nginx: [emerg] cannot load certificate "/c/a/versions/1/fullchain.pem": PEM_read_bio_X509_AUX() failed\n',
            {"a.example.com"},
        ),
        (
            'nginx: [emerg] cannot load certificate "/c/b/versions/1/fullchain.pem": BIO_new_file() failed\n',
            {"b.example.com", "c.example.com"},
        ),
        ('nginx: [warn] conflicting server name "shared.example.com" on 0.0.0.0:443, ignored\n', {"b.example.com"}),
        ("nginx: [emerg] could not build server_names_hash, you should increase …: 64\n", set()),
        ("", set()),
    ],
)
def test_blame_falls_on_whom_nginx_names(output: str, guilty: set[str]) -> None:
    """
    A file of the tree's sites, a certificate's path, a name claimed twice (the later one); else nobody.
    """
    assert find_guilty(output, SITES, folder=FOLDER, settled=SITES) == guilty


def test_of_two_that_conflict_the_one_that_changed_is_guilty() -> None:
    """
    The other one was served before, and goes on.
    """
    output = 'nginx: [warn] conflicting server name "shared.example.com" on 0.0.0.0:443, ignored\n'
    settled = {site: text for site, text in SITES.items() if site != "a.example.com"}
    assert find_guilty(output, SITES, folder=FOLDER, settled=settled) == {"a.example.com"}


def test_complaints_are_errors_and_warnings_about_our_files() -> None:
    """
    Without nginx's closing words, without what it finds strange about the machine, and without what is only said in an old way.
    """
    output = (
        'nginx: [alert] could not open error log file: open() "/var/log/nginx/error.log" failed (13: Permission denied)\n'
        "nginx: [warn] 8192 worker_connections exceed open file resource limit: 1024\n"
        f"nginx: [warn] something odd in {FOLDER}/sites/a.example.com.conf:3\n"
        'nginx: [warn] the "listen ... http2" directive is deprecated, use the "http2" directive instead in '
        f"{FOLDER}/sites/a.example.com.conf:9\n"
        f"nginx: [warn] protocol options redefined for 0.0.0.0:443 in {FOLDER}/sites/b.example.com.conf:9\n"
        "nginx: the configuration file /x/nginx.conf syntax is ok\n"
        "nginx: [emerg] no\n"
        "nginx: configuration file /x/nginx.conf test failed\n"
    )
    assert find_complaints(output, folder=FOLDER).splitlines() == [
        f"[warn] something odd in {FOLDER}/sites/a.example.com.conf:3",
        "[emerg] no",
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            '[emerg] open() "/srv/logs/visits" failed (13: Permission denied)',
            "[nginx] access_log: make /srv/logs a folder",
        ),
        (
            '[emerg] open() "/var/lib/gatelodge/log/error.log" failed (30: Read-only)',
            "nginx's error log: make /var/lib/gatelodge/log",
        ),
        ('[emerg] open() "/x/prelude.conf" failed (2: No such file or directory)', None),
        ("[emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", None),
    ],
)
def test_a_log_that_cannot_be_opened_is_called_by_its_key(said: str, told: str | None) -> None:
    """
    With what to do; every other line stays as nginx wrote it.
    """
    first, second = explain(f"{said}\n[emerg] more", {}, access_log="/srv/logs/visits").splitlines()
    assert second == "[emerg] more"
    assert first == said if told is None else first.startswith(f"{said}; this is {told}")


SNIPPET = "foo bar;\nif ($x) {\n        # a comment\n  broken;\n}"
WRITTEN = HEADER + write(
    [
        line("limit_req_zone", "x"),
        block(
            "server",
            inside=[
                Raw(SNIPPET, 'sites."a.example.com".snippet'),
                line("listen", "80"),
                block(
                    "location", "/", remark='sites."a.example.com"', inside=[block("if", "x", inside=[line("deep")])]
                ),
                block(
                    "location",
                    "/x",
                    remark='sites."a.example.com".routes."/x"',
                    inside=[Raw("wrong;", "inner.snippet")],
                ),
                block("location", "@pages", inside=[line("ours")]),
            ],
        ),
    ]
)


@pytest.mark.parametrize(
    ("found", "key"),
    [
        ("limit_req_zone x;", None),
        ("foo bar;", 'sites."a.example.com".snippet'),
        ("broken;", 'sites."a.example.com".snippet'),
        ("listen 80;", None),
        ("location / {", 'sites."a.example.com"'),
        ("deep;", 'sites."a.example.com"'),
        ("location /x {", 'sites."a.example.com".routes."/x"'),
        ("wrong;", "inner.snippet"),
        ("ours;", None),
    ],
)
def test_a_refused_line_is_told_with_the_key_that_made_it(found: str, key: str | None) -> None:
    """
    Whoever reads it wrote the TOML, not the line; and the file that nginx names is gone by then.
    """
    file = f"{FOLDER}/sites/a.example.com.conf"
    number = [row.strip() for row in WRITTEN.splitlines()].index(found) + 1
    said = f"[emerg] no in {file}:{number}"
    told = explain(said, {file: WRITTEN}, access_log="off")
    assert told == f"{said}; that is “{found}”" + (f", made by {key}" if key else "")


def test_each_guilty_site_is_told_its_own() -> None:
    """
    Two sites that are wrong in two ways are told apart; of whom nothing is said by name, everything is said.
    """
    said = f"[emerg] x in {FOLDER}/sites/a.example.com.conf:1\n[emerg] y in {FOLDER}/sites/b.example.com.conf:2"
    first, second = said.splitlines()
    assert reasons(said, ["a.example.com", "b.example.com", "c.example.com"]) == {
        "a.example.com": first,
        "b.example.com": second,
    }
