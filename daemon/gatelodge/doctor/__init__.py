"""
Finds out what is wrong in a minute: many small looks at the configuration, this machine, the DNS, the CAs, nginx and what stands behind
it, each of which says what it saw, why that matters, and what to do.

`findings` is what is said, `patient` what is looked at and with what, `examining` has everything looked at together, and `checks`
lists what there is. Each check is one file. Nothing here changes anything, but for the test of a DNS provider's rights, which goes through
the ledger like every record of ours.
"""
