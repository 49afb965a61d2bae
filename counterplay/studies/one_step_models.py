"""Models of a game to look one move ahead in, each as the same few functions.

What they are asked is the same, and so is what surrounds them; they differ in what is imagined: an
observation, by one of two losses, or a latent of what was seen.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay.evaluate.world import Probe, lived
from counterplay.maths import finite, masked_sum
from counterplay.models.history import seen_in
from counterplay.models.raw import Raw, raw_loss, raw_of
from counterplay.models.windows import Window
from counterplay.models.world import World, world_of
from counterplay.models.world_loss import (
    Parts,
    Weights,
    imagine,
    posterior,
    shown_loss,
    world_losses,
)
from counterplay.types import Env, View

ONE = Weights(steps=1, every=1)
"""One move is imagined, from every slot."""


class Ahead(NamedTuple):
    """What a joint move leads to, as planning asks."""

    x: Float[Array, "*b X"]
    """The place reached: an observation, or a latent."""
    reward: Float[Array, "*b"]
    alive: Float[Array, "*b N"]
    """Chances that I, and every other, play on."""
    legal: Float[Array, "*b A"]
    """Logits: mine there."""


class Functions(NamedTuple):
    """What is asked of a model; ``x`` is what a value reads of a situation."""

    make: Callable[..., Any]
    """(env, key, sizes) -> model"""
    width: Callable[..., int]
    """(model) -> numbers of x"""
    loss: Callable[..., tuple[Parts, Array]]
    """(env, model, window, key) -> parts of the loss, and x of every slot, without gradient"""
    foretold: Callable[..., tuple[Array, Array, Array]]
    """(env, model, window) -> of every slot, given its true joint move: the observation read one
    move ahead, its loss where what was shown is known, in units of its own, and the reward"""
    see: Callable[..., Array]
    """(model, x of the slot before, view) -> x"""
    begin: Callable[..., Array]
    """(model) -> x before anything was seen"""
    step: Callable[..., Ahead]
    """(model, x, joint) -> Ahead"""


class Latent(NamedTuple):
    """A latent world, and the probe that reads it: no gradient of the probe reaches the world."""

    world: World
    probe: Probe


def raw(form: str) -> Functions:
    """Of observations as they are; the value reads them, too."""

    def make(env: Env, key: PRNGKeyArray, sizes: dict[str, int]) -> Raw:
        return raw_of(env, form, key, **sizes)

    return Functions(
        make=make,
        width=lambda model: model.sizes[-1],
        loss=lambda env, model, window, key: (raw_loss(env, model, window), _encoded(env, window)),
        foretold=_foretold,
        see=lambda model, x, view: view.obs,
        begin=lambda model: jnp.zeros(model.sizes[-1]),
        step=_step,
    )


def _encoded(env: Env, window: Window) -> Float[Array, "W F"]:
    return jax.vmap(env.encode)(finite(window.obs))


def _foretold(env: Env, model: Raw, window: Window) -> tuple[Array, Array, Array]:
    obs = _encoded(env, window)
    told = jax.vmap(model.expect)(obs, window.joint)
    off = model.missed(told, jnp.roll(obs, -1, axis=0))
    return model.shown(told), off, model.earned(told)


def _step(model: Raw, x: Float[Array, " F"], joint: Int[Array, " N"]) -> Ahead:
    told = model.step(model.table(x), joint)
    return Ahead(model.shown(told), model.earned(told), jax.nn.sigmoid(told.alive), told.legal)


def _make_latent(env: Env, key: PRNGKeyArray, sizes: dict[str, int]) -> Latent:
    """Without draws, so that what is imagined is a mean there as elsewhere."""
    world_key, probe_key = jax.random.split(key)
    world = world_of(env, world_key, groups=0, **sizes)
    return Latent(world, Probe(world, probe_key))


def _latent_loss(
    env: Env, model: Latent, window: Window, key: PRNGKeyArray
) -> tuple[Parts, Float[Array, "W E"]]:
    obs, world = _encoded(env, window), model.world
    e, q = posterior(world, window, obs, None, key)
    sums, counts = world_losses(world, window, obs, e, q, key, ONE)
    world, e = lax.stop_gradient((world, e))
    dreams = imagine(world, e, window, None, ONE)[0]
    logits = jax.vmap(model.probe.logits)(dreams.e)
    off = shown_loss(logits, jnp.roll(obs, -1, axis=0), model.probe.binary).sum(-1)
    sums |= {"probe": masked_sum(off, window.follows)}
    return (sums, counts | {"probe": window.follows.sum().astype(jnp.float32)}), e


def _latent_foretold(env: Env, model: Latent, window: Window) -> tuple[Array, Array, Array]:
    world, probe = model
    obs, _, dreams = lived(env, world, window, None, ahead=1)
    off = shown_loss(jax.vmap(probe.logits)(dreams.e), jnp.roll(obs, -1, axis=0), probe.binary).sum(
        -1
    )
    earned = world.earned(jax.vmap(partial(world.read, shown=False))(dreams.e))
    return jax.vmap(probe)(dreams.e), off, earned


def _latent_step(model: Latent, x: Float[Array, " E"], joint: Int[Array, " N"]) -> Ahead:
    world = model.world
    e = world.arrive(None, *world.step(x, world.table(x), joint))
    told = world.read(e, shown=False)
    return Ahead(e, world.earned(told), jax.nn.sigmoid(told.alive), told.legal)


def _latent_seen(model: Latent, x: Float[Array, " E"], view: View) -> Float[Array, " E"]:
    seen = seen_in(view)
    return model.world.see(None, x, model.world.inputs(view.obs, seen), seen)


MODELS: dict[str, Functions] = {
    "raw-squared": raw("squared"),
    "raw-bernoulli": raw("bernoulli"),
    "latent": Functions(
        make=_make_latent,
        width=lambda model: model.world.size,
        loss=_latent_loss,
        foretold=_latent_foretold,
        see=_latent_seen,
        begin=lambda model: model.world.begin(),
        step=_latent_step,
    ),
}
"""What is imagined, and how it is learnt."""
