"""
The TOML as people write it: a dataclass for each table, a field for each key, every one of them optional.
"""
