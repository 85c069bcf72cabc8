"""Interfaces to the outside: the control socket, the HTTP server and the metrics.

``protocol`` is the form of messages on the control socket, ``control`` the server, ``client`` the
other end. None of them knows what a command does; the daemon hands in its commands.
"""
