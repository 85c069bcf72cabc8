"""rtnetlink: its messages as octets, and the sockets that carry them."""
