"""Turns of the event loop."""

import asyncio


async def turn(count: int = 1) -> None:
    """Let the loop turn: what is ready now is done, and no time is waited for."""
    for _ in range(count):
        await asyncio.sleep(0)
