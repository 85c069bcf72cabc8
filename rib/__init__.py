"""Routes as octets: NLRI, path attributes, tables, decision and policy. Pure.

A leaf: it imports nothing of this project and only the standard library, no event loop,
no socket but for the text of addresses, no clock. What it knows of neighbours is
``rib.path.Source``; ``reflector`` decides what is advertised to whom.
"""
