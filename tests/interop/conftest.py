"""Every test here needs root and the makers' routers; it skips with the reason."""

import os

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/interop/" in item.path.as_posix():
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.root)
            item.add_marker(pytest.mark.slow)
            reason = "makes network namespaces: needs root"
            item.add_marker(pytest.mark.skipif(os.geteuid() != 0, reason=reason))
