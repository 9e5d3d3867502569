"""
Services that messages are sent to, through apprise: in a process of its own, so that the daemon need not hold it in memory.
"""
