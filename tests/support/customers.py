"""
Customers of a CA, for tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatelodge.acme.binding import ExternalAccount
    from gatelodge.issuers.acme.customers import Binding


def giving(customer: ExternalAccount) -> Binding:
    """
    Return what gives a customer's key when it is asked.
    """

    async def ask() -> ExternalAccount:
        return customer

    return ask
