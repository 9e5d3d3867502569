"""
The main job on this machine, with real parts: an ACME test server, upstreams, nginx, a visitor.
"""
