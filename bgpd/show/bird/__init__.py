"""Answers to BIRD's commands, out of the daemon's own state."""
