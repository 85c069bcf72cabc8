"""What peers sent, and what the tables hold, in forms that other programs read: MRT, BMP.

Everything here is loaded only where it is switched on, or asked for.
"""
