"""
Reads what another tool left in its folder and writes it as a configuration of Gatelodge: `gatelodge init`.

`folder` is the only module here that looks at the disk. Nothing in this room writes a file, runs what it reads, or repeats a
secret; what it is not sure of is named, and not taken over.
"""
