"""What learners by gradients share: fresh networks of every member, and Adam's direction."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.random as jr
import optax
from jaxtyping import PRNGKeyArray

from counterplay.types import Env

N = TypeVar("N")


def optimiser(config: Any) -> optax.GradientTransformation:
    """Adam's direction; the caller multiplies by the step size."""
    return optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.scale_by_adam(eps=1e-5)
    )


def fresh(
    network: Callable[..., N], config: Any, env: Env, members: int, key: PRNGKeyArray, *more: Any
) -> tuple[N, Any]:
    """Networks that read what the game shows, and their optimisers, leaves [members, ...].

    ``more`` is what this network takes beside inputs, actions, widths, gru, key and activation.
    """
    width = jax.eval_shape(env.encode, jax.ShapeDtypeStruct(env.obs_shape, env.obs_dtype)).shape[0]
    sizes = width, env.num_actions, config.widths, config.gru
    nets = jax.vmap(lambda k: network(*sizes, k, config.activation, *more))(jr.split(key, members))
    begin: Any = optimiser(config).init
    return nets, jax.vmap(begin)(nets)
