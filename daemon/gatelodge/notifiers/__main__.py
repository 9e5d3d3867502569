"""
Sends one message through apprise: what, and where to, is a JSON object on standard input; why it failed is one on standard output.

It must never show the URL: what apprise says is told without any part of it, and nothing is logged.
"""

from __future__ import annotations

import json
import logging
import sys

from gatelodge.notifiers.redaction import reason, without

_LONGEST = 300


def main() -> int:
    """
    Send it, and return the exit status.
    """
    given = json.load(sys.stdin)
    url: str = given["url"]
    try:
        import apprise  # noqa: PLC0415 - what it takes to load is measured, and paid here alone
    except ImportError as error:
        return _failed(f"apprise cannot be loaded: {error}")
    heard = _Listener()
    log = logging.getLogger("apprise")
    log.setLevel(logging.DEBUG)
    log.addHandler(heard)
    log.propagate = False
    # Without pictures: they would be links.
    asset = apprise.AppriseAsset(
        app_id="Gatelodge",
        app_desc="Gatelodge",
        image_url_mask="",
        image_url_logo="",
        image_path_mask="",
        async_mode=False,
    )
    service = apprise.Apprise(asset=asset)
    if not service.add(url):
        return _failed(
            "apprise knows no such service, or its URL is not complete; its documentation says how it is written"
        )
    kind = {"error": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}.get(
        given["level"], apprise.NotifyType.INFO
    )
    if service.notify(
        body=given["text"], title=given["title"], notify_type=kind, body_format=apprise.NotifyFormat.TEXT
    ):
        return 0
    said = [without(url, line) for line in heard.warnings]
    why = ": ".join(filter(None, (said[-1] if said else "the service did not take it", reason(heard.lines))))
    return _failed(why[:_LONGEST])


class _Listener(logging.Handler):
    """
    Keeps what apprise logs.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        self.lines.append(text)
        if record.levelno >= logging.WARNING:
            self.warnings.append(text)


def _failed(why: str) -> int:
    sys.stdout.write(json.dumps({"why": why}))
    return 1


sys.exit(main())
