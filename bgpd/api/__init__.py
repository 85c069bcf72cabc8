"""Interfaces to the outside: the API over HTTP with metrics and health, and BIRD's protocol.

``commands`` declares every command once, in the terms of ``protocol``; the server, its clients and
the OpenAPI document read it there. ``door`` lets clients in, ``access`` says who may do what,
``server`` answers, ``client`` is the other end. None of them knows what a command does: the
daemon hands that in.
"""
