"""What ``pyproject.toml`` cannot say: the optional compiled build.

``PYBGPD_COMPILE=1 pip wheel --no-build-isolation --no-deps .`` compiles the modules below
with mypyc, which comes with mypy, and needs a C compiler and Python's headers. The sources
stay the same, and the pure wheel is the one that is published.
"""

import os
from typing import Final

from setuptools import setup

# Those that do work for each UPDATE. Left out: what counts references (``rib.intern``,
# ``rib.next_hops``), since compiled code holds others.
COMPILED: Final = (
    "bgpd/pipeline/update_receiver.py",
    "bgpd/wire/framing.py",
    "bgpd/wire/pack.py",
    "reflector/group.py",
    "reflector/member_fsm.py",
    "reflector/walks.py",
    "reflector/flush.py",
    "reflector/pending.py",
    "reflector/plain_reflection.py",
    "reflector/rewrite.py",
    "reflector/export.py",
    "rib/adj_rib_in.py",
    "rib/admission.py",
    "rib/attributes/decode.py",
    "rib/attributes/path_attributes.py",
    "rib/change.py",
    "rib/best_path.py",
    "rib/decision.py",
    "rib/import_checks.py",
    "rib/loc_rib.py",
    "rib/long_lived.py",
    "rib/nlri.py",
    "rib/outcome.py",
    "rib/outcome_memo.py",
    "rib/path.py",
    "rib/path_set.py",
    "rib/reimport.py",
)


def extensions() -> list[object]:
    """Return the extension modules to be built: none unless asked for."""
    if os.environ.get("PYBGPD_COMPILE") != "1":
        return []
    from mypyc.build import mypycify  # noqa: PLC0415  # needed by this build alone

    return list(mypycify(list(COMPILED), group_name="pybgpd"))


setup(ext_modules=extensions())
