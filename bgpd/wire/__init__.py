"""BGP messages and their octets: framing, one module per message type, and packing.

Pure: octets in, values out. Errors that end a connection are ``errors.NotifyError``; the
octets of NLRI and path attributes belong to ``rib``, whose keys and values they are.
"""
