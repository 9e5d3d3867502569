"""
Ways to prove to a CA that a name is ours.
"""
