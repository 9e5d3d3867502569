"""
The services of dns-lexicon, as DNS providers and keepers of addresses: `provider` is the adapter, the others are its parts.
"""
