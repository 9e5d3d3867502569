"""
room
"""
