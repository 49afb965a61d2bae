"""What each seat may see: views cut out of what a game shows. No seat number gets in."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from counterplay.types import NO_EVENT, NO_MOVE, Env, Simulator, State, TimeStep, View


class Last(eqx.Module):
    """The last joint move of a match, kept across the reset between two episodes."""

    moves: Int[Array, " N"]
    reward: Float[Array, " N"]
    event: Int[Array, " N"]
    visible: Bool[Array, "N N"]

    @classmethod
    def nothing(cls, num_seats: int) -> "Last":
        n = num_seats
        return cls(
            jnp.full(n, NO_MOVE, jnp.int32),
            jnp.zeros(n),
            jnp.full(n, NO_EVENT, jnp.int32),
            jnp.zeros((n, n), bool),
        )


def ego(rows: Array) -> Array:
    """[N, N, ...] by absolute seat -> row i turned so that its index 0 is seat i."""
    return jnp.stack([jnp.roll(row, -i, axis=0) for i, row in enumerate(rows)])


def cut_views(
    env: Env, shown: TimeStep, last: Last, time: Int[Array, ""], first: Bool[Array, ""]
) -> View:
    """The views of all seats of one lane, leaves [N, ...]. Nothing here is numbered by seat."""
    n = env.num_seats
    everyone = lambda x: ego(jnp.broadcast_to(x, (n, *x.shape)))
    mine = jnp.arange(n)[:, None] == jnp.arange(n)[None]
    known = mine | jnp.asarray(env.public_legal)
    event_known = mine | jnp.asarray(env.public_events)
    one = lambda **fields: View(time=time, first=first, told=jnp.zeros(0), **fields)
    return jax.vmap(one)(
        obs=jax.vmap(env.encode)(shown.obs),
        legal=shown.legal,
        alive=everyone(shown.alive),
        moved=ego(jnp.where(last.visible, last.moves[None], NO_MOVE)),
        public_legal=ego(shown.legal[None] | ~known[:, :, None]),
        reward=last.reward,
        event=ego(jnp.where(event_known, last.event[None], NO_EVENT)),
    )


def with_simulator(views: View, game: State, places: np.ndarray, num_seats: int) -> View:
    """Views [K, P, ...] that hold the game of their lane as it is; ``game`` has leaves [L, ...]."""
    lane, seat = np.divmod(places, num_seats)
    true = Simulator(jax.tree.map(lambda x: x[lane], game), jnp.asarray(seat, jnp.int32))
    return eqx.tree_at(lambda view: view.state, views, true, is_leaf=lambda x: x is None)


def select(condition: Bool[Array, "*b"], yes, no):
    """``where`` over two equal trees whose leaves may have more axes than the condition."""

    def leaf(y, n):
        return jnp.where(
            condition.reshape(condition.shape + (1,) * (y.ndim - condition.ndim)), y, n
        )

    return jax.tree.map(leaf, yes, no)


def view_shapes(env: Env, state: bool = False) -> View:
    """What one seat of a game sees, as shapes and dtypes only; with ``state`` the simulator, too.

    ValueError where that is asked of a game that is played outside JAX.
    """
    n = env.num_seats
    if state and hasattr(env, "open"):
        raise ValueError(f"{env} is played outside JAX: it has no state that a policy could step")

    def cut() -> View:
        flags = jnp.zeros((n, n), bool)
        shown = TimeStep(
            obs=jnp.zeros((n, *env.obs_shape), env.obs_dtype),
            legal=jnp.zeros((n, env.num_actions), bool),
            alive=flags[0],
            reward=jnp.zeros(n),
            event=jnp.zeros(n, jnp.int32),
            visible=flags,
            terminated=flags[0, 0],
            truncated=flags[0, 0],
        )
        views = cut_views(env, shown, Last.nothing(n), jnp.int32(0), jnp.bool_(True))
        view = jax.tree.map(lambda x: x[0], views)
        if not state:
            return view
        game = Simulator(env.reset(jax.random.key(0))[0], jnp.int32(0))
        return eqx.tree_at(lambda v: v.state, view, game, is_leaf=lambda x: x is None)

    return jax.eval_shape(cut)
