"""
What must be, what is, and the steps between them. Pure: given the same values it decides the same, and reads no clock.
"""
