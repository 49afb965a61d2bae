"""What a store takes, and whether that will fit, asked before it is made."""

from pathlib import Path

import jax

from counterplay.episodes.scheme import Scheme

OWN_BYTES = 5
"""Of ``filled`` and ``time`` in every slot."""


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


def bytes_needed(scheme: Scheme, lanes: int, slots: int, episodes: int) -> int:
    """Of all arrays of a store of this size."""
    a_slot = scheme.bytes_of(scheme.slotwise) + OWN_BYTES
    agents = scheme.agents
    an_episode = scheme.bytes_of(scheme.constants) + 4 * (3 + agents)
    return lanes * slots * a_slot + episodes * an_episode


def describe(scheme: Scheme, lanes: int, slots: int, episodes: int) -> str:
    """A store of this size in words."""
    a_slot = scheme.bytes_of(scheme.slotwise) + OWN_BYTES
    return (
        f"{lanes:,} lanes of {slots:,} slots, {a_slot:,} bytes a slot, and up to {episodes:,} "
        f"episodes: {told(bytes_needed(scheme, lanes, slots, episodes))}"
    )
