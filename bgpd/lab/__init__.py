"""Labs of many nodes on one machine: network namespaces, links, routers and pods."""
