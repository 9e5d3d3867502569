"""
Whoever is told of events: messages to people and programs, from a place in the log that is kept for each.
"""
