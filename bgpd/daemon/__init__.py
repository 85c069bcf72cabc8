"""Composition: what runs together in one process, and how changes are applied."""
