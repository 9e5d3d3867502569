"""
RFC 8555 and nothing of ours: what an ACME server says, the steps of an order, signed requests.

Only `transport` talks to the world, through the `Http` and `Clock` ports; everything else is pure, or asks through it.
"""
