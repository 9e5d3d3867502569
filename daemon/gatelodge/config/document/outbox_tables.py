"""
Whom events are told, as people write it.
"""

# ruff: noqa: RUF009 - `field` makes dataclass fields; no value is shared

import dataclasses

from gatelodge.config.document.fields import field
from gatelodge.config.values import leaves, outbox_leaves


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTable:
    """
    A service that messages are sent to. It needs the extra `gatelodge[notify]`.
    """

    url: leaves.Hidden | None = field("Its URL, as apprise knows it: in a file, in the environment, or here.")
    name: outbox_leaves.TargetName | None = field("What it is called here. Default: its number in the file.")
    events: tuple[outbox_leaves.EventName, ...] | None = field(
        'Which events are told: names, "certificate.*", "*". Default: what goes wrong, and that it is right again.'
    )
    level: outbox_leaves.LevelWord | None = field("The least level that is told: info (default), warning or error.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HookTable:
    """
    A program that is run when something happens.
    """

    events: tuple[outbox_leaves.EventName, ...] | None = field('For which events: names, "certificate.*", "*".')
    command: leaves.Command | None = field(
        "The program with its arguments, run without a shell; the event is on its stdin."
    )
    name: outbox_leaves.TargetName | None = field("What it is called here. Default: its number in the file.")
    timeout: leaves.Patience | None = field("How long it may take. Default: 1m.")
