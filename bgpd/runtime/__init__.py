"""The event loop and what a long-running process needs: turns, tasks, logs."""
