"""Sockets: the listener, the connector, the driver of one connection and TCP options.

All input and output of BGP sessions is here; what the octets mean is ``bgpd.session`` and
``bgpd.wire``.
"""
