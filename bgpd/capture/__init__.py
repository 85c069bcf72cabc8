"""Messages as they were on the wire: cut out of a stream, told in words, written as pcap. Pure."""
