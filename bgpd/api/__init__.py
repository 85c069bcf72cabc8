"""How the outside looks in: the control socket, the HTTP server and the metrics.
"""
