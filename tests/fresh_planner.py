"""An agent that plans, with weights by chance, for tests of what is told of it."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from counterplay import envs
from counterplay.algos import counterplay
from counterplay.algos.counterplay import Agent, Config
from counterplay.opponents import make
from counterplay.seats import Chair, Kind, Roster, bank

ENV = envs.make("matrix:pd,horizon=7")


@cache
def agent() -> Agent:
    """Its plans have half a say."""
    config = Config(
        widths=(4,), reader_widths=(4,), reader_gru=3, latent=5, world_width=6, world_token=3,
        value_width=4,
    )  # fmt: skip
    net = jax.jit(lambda key: counterplay.init_learner(config, ENV, 1, key).net)(jr.key(2))
    net = jax.tree.map(lambda x: x[0], net)
    leaves, structure = jax.tree.flatten(net)  # heads begin at 0, of which nothing can be told
    keys = jr.split(jr.key(5), len(leaves))
    moved = [x + 0.5 * jr.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    net = jax.tree.unflatten(structure, moved)
    return Agent(eqx.tree_at(lambda n: n.trust, net, jnp.float32(0.5)))


def opposite_tit_for_tat() -> Roster:
    """The agent sits at seat 1."""
    other = Kind("tit_for_tat", policy=make("tit_for_tat", ENV), first_id=1)
    kinds = Kind("mine", policy=bank([agent()])), other
    return Roster(kinds, ((Chair(1, 0), Chair(0, 0)),))
