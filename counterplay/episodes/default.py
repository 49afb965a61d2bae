"""The scheme of this library's own rollouts, and their slots as a store takes them."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from counterplay.episodes.scheme import Field, OneHot, Scheme

AGENTS = "agents"
MIXER = 1_000_003
"""Prime: seatings of the same opponents in another order get other numbers."""


def default_scheme(env: Any, subgoal: int = 0) -> Scheme:
    """Everything that a rollout of a game leaves behind, in the smallest types that hold it.

    ``goal`` is the intent that a policy declares, for metrics only; ``label`` is what hindsight
    makes of it, for training: a learner writes it back with ``relabel``. With ``subgoal`` there is
    a field of so many numbers for every observer and other. ``only`` picks fields.
    """
    n, flag, number = env.num_seats, np.bool_, _least(max(env.num_actions, env.num_goals))
    each = lambda *shape, dtype, fill=None: Field(shape, dtype, AGENTS, fill=fill)
    fields = {
        "obs": each(*env.obs_shape, dtype=env.obs_dtype),
        "actions": each(dtype=number),
        "avail_actions": each(env.num_actions, dtype=flag),
        "reward": each(dtype=np.float32),
        "terminated": Field((), flag),
        "truncated": Field((), flag),
        "closing": Field((), flag),
        "continues": each(dtype=flag),
        "alive": each(dtype=flag),
        "left": each(dtype=flag),
        "event": each(dtype=number),
        "goal": each(dtype=number),
        "label": each(dtype=number, fill=-1),
        "mode": each(dtype=np.int8, fill=-1),
        "log_pi": each(dtype=np.float32, fill=0),
        "opponent_id": Field((), np.int16, AGENTS, constant=True),
        "type_id": Field((), np.int16, AGENTS, constant=True, fill=-1),
        "matchup": Field((), np.int32, constant=True),
    }
    if subgoal:
        fields["subgoal"] = each(n - 1, subgoal, dtype=np.float32, fill=0)
    views = {"actions_onehot": OneHot("actions", env.num_actions)}
    return Scheme(fields, {AGENTS: n}, views)


def _least(top: int) -> Any:
    """The smallest signed type that holds -1 to ``top``."""
    return next(d for d in (np.int8, np.int16, np.int32) if top <= np.iinfo(d).max)


def matchup(opponent_id: Int[Array, "*b N"]) -> Int[Array, "*b"]:
    """One number for who sits where, the same for the same seating."""
    total = jnp.zeros(opponent_id.shape[:-1], jnp.int32)
    for seat in range(opponent_id.shape[-1]):
        total = total * MIXER + opponent_id[..., seat].astype(jnp.int32) + 1
    return total & 0x7FFFFFFF


def from_rollout(scheme: Scheme, slots: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What a scheme wants of the slots of a rollout; ``more`` are fields [L, T, ...] besides.

    Slots of an episode that a guard dropped count as never filled. Inside jit the slots are cast
    to the scheme's types, which hold all that a rollout makes.
    """
    given = {**slots, "matchup": matchup(jnp.asarray(slots["opponent_id"])), **more}
    if "dropped" in slots:
        given["filled"] = given["filled"] & ~slots["dropped"]
    wanted = (*scheme.fields, "filled")
    return {name: _as_stored(scheme, name, x, name in more)
            for name in wanted if (x := given.get(name)) is not None}  # fmt: skip


def _as_stored(scheme: Scheme, name: str, x: Any, foreign: bool) -> Any:
    """Numbers of a rollout inside jit, in the type of their field if that is of the same sort."""
    if foreign or name not in scheme.fields or not isinstance(x, Tracer):
        return x
    stored = np.dtype(scheme.fields[name].dtype)
    return x.astype(stored) if stored.kind == np.dtype(x.dtype).kind else x
