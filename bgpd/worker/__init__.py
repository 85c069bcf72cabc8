"""Work that would hold the event loop: in a process of its own, or in turns of the loop.

A thread would not help: parsing and checking hold the interpreter's lock, and a loop
that waits for the lock after each system call stands nearly still (ADR 0018).
"""
