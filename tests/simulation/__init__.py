"""
The simulation: the daemon over years, in a world that is made up and unkind, on one seeded scheduler.
"""
