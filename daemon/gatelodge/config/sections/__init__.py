"""
From tables to what a `Config` holds: defaults filled in, what is inherited passed down, what cannot be within one entry refused.
"""
