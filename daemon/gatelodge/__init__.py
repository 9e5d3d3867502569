"""
Gatelodge keeps the front gate of a server.
"""

__version__ = "0.1.0"
