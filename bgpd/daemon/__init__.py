"""Composition: what runs together in one process, and how a change is applied to it."""
