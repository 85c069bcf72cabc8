"""One neighbour as a sans-IO machine: FSM table, negotiation, timers, graceful restart.

Pure: no socket and no clock; ``now`` is an argument, in monotonic seconds. ``peer`` has the
surface for drivers, ``events`` what comes out of it.
"""
