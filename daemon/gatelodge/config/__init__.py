"""
The shape of the TOML, and the way from a parsed mapping to a `Config` or to all of its mistakes. Pure: reads no file.
"""
