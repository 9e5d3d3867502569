"""
The admin service: JSON over HTTP on a unix socket, for the command line and for programs.
"""
