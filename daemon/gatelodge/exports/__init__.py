"""
Copies of certificates for other programs: their forms, and how they are written into folders that are not ours.
"""
