"""What the others see, told from what I see: for games where everybody sees everything."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from counterplay.envs.coordination import Coordination
from counterplay.envs.corridors import PLAYER
from counterplay.envs.matrix import Matrix
from counterplay.envs.race import Race
from counterplay.types import Env, View


def others_view(env: Env, view: View, k: int) -> View:
    """The view of the k-th other, counted as a view counts them; 0 is me.

    Exact in all but ``reward``, which nobody is shown of another and which is 0: no rule reads it.
    ValueError for games in which something is hidden, or of which it is not known how they show it.
    """
    if not isinstance(env, Matrix | Race | Coordination):
        raise ValueError(
            f"others_view: expected a game of which everybody sees all, matrix, race or "
            f"coordination, found {env}"
        )
    n = env.num_seats
    if not 0 <= k < n:
        raise ValueError(f"others_view: k must be 0 to {n - 1}, found {k}")
    turn = lambda x: jnp.roll(x, -k, axis=0)
    return View(
        obs=_turned(env, view.obs, k),
        legal=view.public_legal[k],
        alive=turn(view.alive),
        moved=turn(view.moved),
        public_legal=turn(view.public_legal),
        reward=view.reward if k == 0 else jnp.zeros_like(view.reward),
        event=turn(view.event),
        time=view.time,
        first=view.first,
        told=jnp.zeros(0),
    )


def all_views(env: Env, view: View) -> View:
    """Those of everybody, me first, leaves [N, ...], as ``cut_views`` has them for me in seat 0."""
    each = [others_view(env, view, k) for k in range(env.num_seats)]
    return jax.tree.map(lambda *x: jnp.stack(x), *each)


def _turned(env: Matrix | Race | Coordination, obs: Float[Array, " F"], k: int) -> Array:
    """The encoded observation of the k-th other: players turned, and all else as it is."""
    width = env.num_actions + 1 if isinstance(env, Matrix) else PLAYER
    many = env.num_seats * width
    players = jnp.roll(obs[:many].reshape(env.num_seats, width), -k, axis=0)
    return jnp.concatenate([players.ravel(), obs[many:]])
