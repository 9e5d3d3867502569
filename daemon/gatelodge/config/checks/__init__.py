"""
What entries mean for one another: what cannot stand together, what leads back to itself, what nobody could prove.
"""
