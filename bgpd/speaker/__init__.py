"""The BGP speaker: its peers and their sessions, its tables and the listener."""
