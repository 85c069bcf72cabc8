"""What is advertised to whom: reflection (RFC 4456), update groups, pending changes, slow peers.

Pure: no sockets, no clock. Takes the changes of ``rib.LocRib`` and gives, per group of peers
with the same export outcome, what is to be sent.
"""
