"""
Where certificates come from: an ACME CA, the CA of this machine, nobody at all.
"""
