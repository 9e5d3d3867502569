"""
What happens: written down, kept for a while, and shown in words.
"""
