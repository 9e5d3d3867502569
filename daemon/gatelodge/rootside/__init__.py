"""
The root side of an nginx whose master is root while the daemon is not: it takes the daemon's trees, and trusts none of them.

Whoever writes the configuration of a root's nginx is root, so nothing here does what the daemon says because the daemon says it: a
request is read as a stranger's, each file of a tree is read once, held against a table of what Gatelodge renders, and written anew
into a folder that only root can write. nginx reads that copy and nothing else. Run as `python -I -m gatelodge.rootside`.

It imports the standard library, how values are written for nginx (`nginx.writing.quote`), how others' listeners are read (`nginx.others`),
and nothing else of the daemon.
"""
