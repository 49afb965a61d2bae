"""A game of departures, events and limited sight, and play in which the absent hold nonsense."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from probes import Probe, State

from counterplay.rollout import Chunk
from counterplay.seats import Seating
from counterplay.types import NO_EVENT

SEATS = 3


class Meadow(Probe):
    """Each seat leaves after 1 to 4 moves, drawn for the game, completing a goal; nobody sees far.

    Action 2 completes goal 2 and does not make anybody leave. Observations tell seat and time.
    """

    num_seats = SEATS
    num_actions = 3
    num_goals = 3
    obs_shape: tuple[int] = (3,)
    public_legal = False
    public_events = False

    def earns(self, state: State, actions: Int[Array, " N"]) -> Array:
        return 10.0 * jnp.arange(1, 4) + state.time + 0.1 * actions

    def step(self, state: State, actions: Int[Array, " N"]):
        after, shown = super().step(state, actions)
        stays = jnp.where(actions == 2, 2, NO_EVENT)
        leaves = self._stays(state) == after.time
        event = jnp.where(leaves, jnp.arange(3) % 2, stays)
        return after, eqx.tree_at(lambda s: s.event, shown, event.astype(jnp.int32))

    def shows(self, state: State) -> dict[str, Any]:
        alive = state.time < self._stays(state)
        far = (jnp.arange(3)[:, None] + 2 * jnp.arange(3)[None] + state.time) % 4 == 0
        obs = jnp.stack([jnp.arange(3.0), jnp.full(3, state.time * 1.0), jnp.full(3, state.lot)], 1)
        return {
            "obs": obs + 1,
            "alive": alive,
            "legal": jnp.ones((3, 3), bool) & alive[:, None],
            "visible": ~far | jnp.eye(3, dtype=bool),
            "terminated": ~alive.any(),
            "truncated": alive.any() & (state.time >= 3),
        }

    def _stays(self, state: State) -> Int[Array, " N"]:
        return 1 + (state.lot * 97 * (1 + jnp.arange(3)) % 1.0 * 4).astype(jnp.int32)


def spoilt(seating: Seating, played: Chunk) -> Chunk:
    """What the slots of absent players hold, made NaN wherever it can be.

    A closing slot, in which nobody moves either, is spared: what it is thought to be worth counts.
    """
    absent = ~played.slots["alive"] & ~played.slots["closing"][:, :, None]
    slots = dict(played.slots)
    for name in ("obs", "reward"):
        slots[name] = slots[name].copy()
        slots[name][absent] = np.nan

    def rotten(kind: int, x: np.ndarray) -> np.ndarray:
        gone = np.asarray(seating.take(jnp.moveaxis(jnp.asarray(absent), 2, 1), kind))
        if np.issubdtype(x.dtype, np.floating):
            x = x.copy()
            x[gone] = np.nan
        return x

    records = tuple(
        {name: rotten(i, np.asarray(x)) for name, x in record.items()}
        for i, record in enumerate(played.records)
    )
    return played._replace(slots=slots, records=records)
