"""
Aliyun DNS (Alidns), as DNS provider and keeper of addresses: `provider` is the adapter, the others are its parts.
"""
