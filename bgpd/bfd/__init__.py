"""Bidirectional Forwarding Detection (RFC 5880): does the path to a neighbour work?

``packet``, ``authentication``, ``state_table``, ``timing`` and ``session`` are pure: octets and moments in, octets out.
``child`` is the process that sends and judges packets, since no event loop that also moves
routes could do so in time, and ``process`` is the daemon's side of it (ADR 0057).
"""
