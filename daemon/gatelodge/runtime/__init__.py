"""
Where the pure parts meet the world: look at it, plan, act, and again.
"""
