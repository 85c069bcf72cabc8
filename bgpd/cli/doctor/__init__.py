"""``pybgpd doctor``: whether this machine can run what a configuration asks for, and what to change."""
