"""The event loop and what keeps a process going that never ends: turns, tasks, logs."""
