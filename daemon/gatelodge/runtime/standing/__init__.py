"""
How things stand, for people and programs, and what is counted. Nothing here decides or changes anything.
"""
