"""Whether an array will fit, asked before it is made."""

from pathlib import Path

import jax


def told(size: int) -> str:
    """Bytes as a person would say it."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size} bytes"


def available() -> int | None:
    """Bytes that can be had where JAX puts arrays; None where nobody says."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        limit = stats.get("bytes_limit")
        return None if limit is None else limit - stats.get("bytes_in_use", 0)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None


def check(size: int, what: str) -> None:
    """ValueError where so many bytes are not to be had."""
    there = available()
    if there is not None and size > there:
        raise ValueError(
            f"replay: {what} is more than the {told(there)} there are; fewer slots or episodes "
            "take less"
        )
