"""
Gets certificates from an ACME CA: `issuer` is the adapter, the others are the parts of an order's way. RFC 8555 itself is in `gatelodge.acme`.
"""
