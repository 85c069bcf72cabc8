"""A process of our own for work that would hold the event loop.

A thread is no way out for it: parsing and checking hold the interpreter's lock, and a loop
that waits for the lock after each system call stands nearly still (ADR 0018).
"""

from bgpd.worker.worker import Worker, WorkerError

__all__ = ["Worker", "WorkerError"]
