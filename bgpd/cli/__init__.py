"""The commands: ``pybgpd``, the daemon, and ``pybgpctl``, its client."""
