"""Numbers that are not finite: found before anything is learnt from them, and named.

With ``stop`` nothing is learnt from such a chunk and the training ends. With ``drop-episode`` what
the chunk holds of the episode is left out of learning and means, and counted.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool

from counterplay.errors import GameError, LearningError
from counterplay.maths import finite
from counterplay.rollout import Chunk
from counterplay.seats import Roster
from counterplay.types import TimeStep

STOP, DROP = "stop", "drop-episode"
ON_NONFINITE = (STOP, DROP)
NOWHERE = np.int32(2**31 - 1)


def bad_entries(slots: dict[str, Array]) -> dict[str, Bool[Array, "L T N"]]:
    """Where the reward or the observation of somebody present is not finite."""
    present = slots["alive"] | (slots["closing"][:, :, None] & slots["avail_actions"].any(-1))
    bad = {"reward": slots["alive"] & ~jnp.isfinite(slots["reward"])}
    if jnp.issubdtype(slots["obs"].dtype, jnp.inexact):
        bad["observation"] = present & ~jnp.isfinite(slots["obs"]).all(-1)
    return bad


def found(slots: dict[str, Array]) -> dict[str, Array]:
    """How many such entries a chunk has, by field, and the first: its index in [L, T, N]."""
    told = {}
    for name, bad in bad_entries(slots).items():
        first = jnp.where(bad.any(), jnp.argmax(bad), NOWHERE)
        told |= {f"bad_{name}": bad.sum(), f"first_bad_{name}": first.astype(jnp.int32)}
    return told


def count(told: dict[str, Array]) -> Array:
    """Such entries in all."""
    parts = [n for name, n in told.items() if name.startswith("bad_")]
    return jnp.stack(parts).sum()


def bad_after(shown: TimeStep) -> Bool[Array, " L"]:
    """Lanes that show an observation that is not finite to somebody present."""
    if not jnp.issubdtype(shown.obs.dtype, jnp.inexact):
        return jnp.zeros(shown.alive.shape[:1], bool)
    return (shown.alive & ~jnp.isfinite(shown.obs).all(-1)).any(-1)


def heeded(chunk: Chunk, policy: str, after: Array | None = None) -> Chunk:
    """What there is to learn from in a chunk, and to tell of it."""
    return without(chunk, after) if policy == DROP else chunk


def without(chunk: Chunk, after: Array | None = None) -> Chunk:
    """The chunk with nobody present, and nothing paid, in episodes with such an entry.

    Later parts of an episode whose return is not finite are left out too, and so is one that goes
    on ``after`` the chunk with such an observation, [L]. What is not finite in observations
    becomes 0.
    """
    slots = chunk.slots
    bad = ~jnp.isfinite(slots["returns"]).all(-1)
    for entries in bad_entries(slots).values():
        bad |= entries.any(-1)
    if after is not None:
        goes_on = ~(slots["terminated"] | slots["closing"])[:, -1]
        bad = bad.at[:, -1].set(bad[:, -1] | (after & goes_on))
    dropped = _whole(bad, slots["time"] == 0)
    keep = ~dropped[:, :, None]
    cleaned = {
        "alive": slots["alive"] & keep,
        "continues": slots["continues"] & keep,
        "left": slots["left"] & keep,
        "reward": jnp.where(keep, slots["reward"], 0.0),
        "returns": jnp.where(keep, slots["returns"], 0.0),
        "obs": finite(slots["obs"]),
        "dropped": dropped,
    }
    return chunk._replace(slots=slots | cleaned)


def _whole(bad: Bool[Array, "L T"], begins: Bool[Array, "L T"]) -> Bool[Array, "L T"]:
    """Bad anywhere in a stretch of an episode -> bad in all of it."""
    so_far = jnp.cumsum(bad, axis=1)
    before = lax.cummax(jnp.where(begins, so_far - bad, 0), axis=1)
    ends = jnp.concatenate([begins[:, 1:], jnp.ones_like(begins[:, :1])], axis=1)
    after = lax.cummin(jnp.where(ends, so_far, NOWHERE), axis=1, reverse=True)
    return after > before


def learn(
    learn: Callable,
    state: Any,
    chunk: Chunk,
    policy: str,
    axis: str | None,
    after: Array | None = None,
) -> tuple[Any, dict[str, Array]]:
    """``learn(state, chunk)``, unless there is something in the chunk not to learn from.

    ``after`` marks lanes that show such a thing after the last slot, where values are estimated.
    ``axis`` names the shards that learn together, if any; lanes count from the first of them.
    """
    told, size = found(chunk.slots), chunk.slots["alive"].size
    if after is not None:
        told["bad_next"] = after.sum()
    if axis:
        shard = lax.axis_index(axis) * size
        for name, x in told.items():
            far = jnp.where(x == NOWHERE, x, x + shard)
            told[name] = lax.pmin(far, axis) if name.startswith("first_") else lax.psum(x, axis)
    if policy == DROP:
        then, metrics = learn(state, without(chunk, after))
        return then, metrics | told
    nothing = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(learn, state, chunk)[1]
    )
    skip = lambda state, chunk: (state, nothing)
    then, metrics = lax.cond(count(told) == 0, learn, skip, state, chunk)
    return then, metrics | told


def blame(
    env: Any, roster: Roster, metrics: dict[str, Any], policy: str, place: str, shape: Any
) -> None:
    """Raises the error for what was not finite in an iteration; ``place`` says which that was."""
    hint = "nothing was learnt from it"
    for name in ("reward", "observation"):
        counts = metrics.get(f"bad_{name}")
        if policy == DROP or counts is None or not np.any(counts):
            continue
        seed = int(np.argmax(np.asarray(counts) > 0))
        lane, slot, seat = np.unravel_index(int(metrics[f"first_bad_{name}"][seed]), shape)
        raise GameError(
            f"{env}: the {name} of seat {seat} is not finite at {place} (seed {seed} of the run, "
            f"lane {lane}, slot {slot}); {hint}. The usual cause is a division by 0 or a logarithm "
            f"in the game; --on-nonfinite {DROP} leaves such episodes out"
        )
    if policy == STOP and np.any(metrics.get("bad_next", 0)):
        raise GameError(
            f"{env}: an observation is not finite right after {place}; {hint}. --on-nonfinite "
            f"{DROP} leaves such episodes out"
        )
    bad = metrics.get("bad_updates")
    if bad is not None and np.any(bad):
        seed, member = (int(i) for i in np.argwhere(np.asarray(bad) > 0)[0])
        raise LearningError(
            f"{env}: the loss or gradient of {_learner(roster, member)} is not finite at {place} "
            f"(seed {seed} of the run); its parameters are those before it. The usual cause is a "
            "learning rate too high, or rewards too large: try a smaller learning rate"
        )


def _learner(roster: Roster, member: int) -> str:
    """The name of the n-th learner, counting the members of all kinds."""
    names = [
        f"{kind.name}[{i}]" if kind.members > 1 else kind.name
        for kind in roster.kinds
        if kind.learner
        for i in range(kind.members)
    ]
    return f"learner {names[member]}"
