"""
The simulation: the daemon over years, in a world that is made up and unkind, on one seeded scheduler.

Real: configuration, planner, rendering, loop, jobs, journal, ledger, budgets, clock's doubt, wiring of the parts, ACME issuers and client,
http-01 and dns-01, and the stores with their files; blocking work runs in one piece, at a moment of its own. Made up: time, two ACME CAs at
the `Http` port with limits of their own, the DNS provider and the resolver at their ports, nginx at its port (it reads the certificates that
a tree names; no trees lie on its disk, and nothing is served), what a disk keeps of what was not synced, and keys, which are drawn. Left
out: TOML files and signals (a configuration is given to the loop), the admin service, the event log's file, the lock, other providers' wire,
streams, local and brought certificates, dynamic DNS, an nginx of others.
"""
