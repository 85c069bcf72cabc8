"""The daemon around the pure core: sockets, sessions, configuration, datastores, commands.

Imports point down only: ``cli`` -> ``lab``, ``daemon`` -> ``api``, ``net``, ``datastore``
-> ``calico``, ``config`` -> ``session`` -> ``wire``; and all of them may use ``reflector``,
``fib`` and ``rib``.
"""

__version__ = "0.1.0"
