"""Constant folding: inputs that are the same in every row join the bias of the first layer.

What is seen of a grid holds walls, and things that nobody ever put where they might be. For rows in
which the inputs v alone vary, x W + b = x[v] W[v] + (b + c W), where c holds the others and 0 at v.
That is the same function of the same weights, so its gradient is the same, up to rounding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from counterplay.algos.onpolicy import Rows
from counterplay.models.nets import ActorCritic, Dense
from counterplay.types import Env

T = TypeVar("T")
LEAST = 256
"""Narrower first layers take too little time to be worth it."""


class Reading(NamedTuple):
    """How networks read rows."""

    encode: Callable[[Any], Any]
    """What is stored -> the inputs, [F] or in parts."""
    through: Callable[[ActorCritic], ActorCritic]
    """A network -> the one that takes these inputs."""


def plain(env: Env) -> Reading:
    """All inputs, by the network as it is."""
    return Reading(env.encode, lambda net: net)


class Folded(NamedTuple):
    """Inputs of which some are constant."""

    kept: Int[Array, " V"]
    """Those that vary, and as many others as fill the places."""
    constant: Float[Array, " F"]
    """All others; 0 at ``kept``."""

    def net(self, net: ActorCritic) -> ActorCritic:
        """The same function of the inputs ``kept``, the others being what they are."""

        def first(layer: Dense) -> Dense:
            bias = layer.bias + self.constant @ layer.weight
            return eqx.tree_at(lambda x: (x.weight, x.bias), layer, (layer.weight[self.kept], bias))

        trunks = lambda n: [t.layers[0] for t in (n.trunk, n.critic) if t is not None]
        return eqx.tree_at(trunks, net, [first(layer) for layer in trunks(net)])


def places(env: Env) -> int:
    """Inputs that may vary, at most, for the others to be folded; 0 where none ever are.

    Games that store little and encode it, as ours do, have no constant inputs to speak of. A GPU
    multiplies so fast that looking for them takes longer.
    """
    (stored,) = env.obs_shape
    shape = jax.eval_shape(env.encode, jax.ShapeDtypeStruct(env.obs_shape, env.obs_dtype)).shape
    worth_it = shape == (stored,) and stored >= LEAST and jax.default_backend() == "cpu"
    return stored // 3 // 16 * 16 if worth_it else 0


def with_constants_folded(
    env: Env, rows: Rows, shards: bool, learn: Callable[[Reading, Rows], T]
) -> T:
    """``learn(reading, rows)``, on the inputs that vary among these rows where they are few.

    Looked at anew for all rows of an iteration, so whatever a game shows is learnt from.
    """
    whole = lambda: learn(plain(env), rows)
    size = places(env)
    if size == 0 or shards:
        return whole()
    obs = jax.vmap(env.encode)(rows.obs.reshape(-1, rows.obs.shape[-1]))
    alive = rows.alive.reshape(-1, 1)
    one = obs[jnp.argmax(alive)]  # of somebody present: what the absent hold is not read
    varies = (alive & (obs != one[None])).any(0)
    kept = jnp.argsort(~varies, stable=True)[:size]
    folded = Folded(kept, one.at[kept].set(0.0))

    def few():
        seen = obs[:, kept].reshape(*rows.alive.shape, size)
        return learn(Reading(lambda x: x, folded.net), rows._replace(obs=seen))

    return lax.cond(varies.sum() <= size, few, whole)
