"""
DNS providers, by which records are published, and the resolver, by which they are looked for.
"""
