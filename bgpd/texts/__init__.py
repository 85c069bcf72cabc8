"""Texts from outside: how they are read, what they may hold, and how state is written.

Everything that an operator, a cluster or another program writes passes through here: a file
is opened so that nothing but a regular one is read (``files``), and its text becomes plain
values within limits that are checked before the work is done (``yaml_text``, ``json_text``,
``limits``). Whatever is wrong is a ``TextError``; no other exception is part of a reader's
contract. ``state_files`` writes what is ours.
"""
