"""
nginx and its configuration: rendered as text, written in immutable trees, tested, loaded, and proven to be served.
"""
