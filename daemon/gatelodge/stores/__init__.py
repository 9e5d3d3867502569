"""
What is kept: the state directory, its lock, certificates in versions, small documents.
"""
