"""Loading a large module while sessions run.

An import takes up to 0.3 s, for which the event loop would stand still. In a thread, the
interpreter gives the loop its turn every few milliseconds.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any


async def late_import(name: str) -> Any:  # noqa: ANN401  # a module, as the import statement has it
    """Return a module; a thread of its own loads it if it is not there.

    Args:
        name: With its packages.

    Raises:
        ImportError: It is not installed.
    """
    known = sys.modules.get(name)
    spec = getattr(known, "__spec__", None)
    if known is not None and not getattr(spec, "_initializing", False):
        return known
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "import") as pool:
        return await loop.run_in_executor(pool, import_module, name)
