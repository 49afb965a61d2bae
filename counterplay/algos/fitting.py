"""How readers of the others learn: several passes of Adam over stretches of play."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.algos.adam import optimiser
from counterplay.algos.loops import Spec
from counterplay.algos.past import joined
from counterplay.views import select


def fit_reader(
    loss_of: Any,
    config: Any,
    spec: Spec,
    reader: Any,
    opt: Any,
    study: Any,
    progress: Float[Array, ""],
    key: PRNGKeyArray,
    past: Any = None,
) -> tuple[Any, Any, dict[str, Float[Array, " K"]]]:
    """Several passes over the places, arrays [K, P, T, ...]; every part of the loss is a mean.

    ``loss_of`` is that of an algorithm; see ``informed.Loss``; ``study`` any tree with ``acting``.
    With ``past``, as many places of earlier play, passes are as long as without, and draw from
    both.
    """
    total = (lambda x: lax.psum(x, spec.axis)) if spec.axis else (lambda x: x)
    members, places = study.acting.shape[:2]
    size, number = minibatches_of(places, here(config, spec), config.reader_minibatches)
    rate = config.reader_rate * (1 - progress)
    study = study if past is None else joined(study, past)
    drawn = study.acting.shape[1]

    loss = partial(_loss, partial(loss_of, config, spec.env), total)

    def member(reader, opt, batch):
        found = eqx.filter_value_and_grad(loss, has_aux=True)(reader, batch)
        flat, back = ravel_pytree(found)  # shards wait for each other once
        (value, info), grad = back(total(flat))
        good = jnp.isfinite(optax.tree.norm(grad)) & jnp.isfinite(value)
        step, after = optimiser(config).update(grad, opt)
        moved = jax.tree.map(lambda w, s: w - rate * s, reader, step)
        return *select(good, (moved, after), (reader, opt)), (*info, 1.0 - good)

    def minibatch(carry, chosen):
        batch = jax.tree.map(lambda x: jax.vmap(lambda y, at: y[at])(x, chosen), study)
        reader, opt = carry
        reader, opt, info = jax.vmap(member)(reader, opt, batch)
        return (reader, opt), info

    order = jax.vmap(jax.vmap(partial(jr.permutation, x=drawn)))(
        jr.split(key, (config.reader_epochs, members))
    )
    parts = order[:, :, : number * size].reshape(config.reader_epochs, members, number, size)
    parts = jnp.moveaxis(parts, 2, 1).reshape(-1, members, size)
    (reader, opt), (sums, counts, bad) = lax.scan(minibatch, (reader, opt), parts)
    mean = lambda x, number: x.sum(0) / jnp.maximum(number.sum(0), 1.0)
    return reader, opt, jax.tree.map(mean, sums, counts) | {"bad_updates": bad.mean(0)}


def _loss(loss_of: Any, total: Any, reader: Any, batch: Any) -> tuple[Any, Any]:
    """The sum of all means over a minibatch, of all cores together; and the sums and counts that
    they are made of, of this core alone."""
    parts = jax.vmap(partial(loss_of, reader))(batch)
    sums, number = jax.tree.map(lambda x: x.sum(0), parts)
    flat, back = ravel_pytree(lax.stop_gradient(number))
    counts = back(jnp.maximum(total(flat), 1.0))
    means = jax.tree.map(jnp.divide, sums, counts)
    return sum(means.values()), (sums, number)


def here(config: Any, spec: Spec) -> int:
    """Places of a pass that this core has to draw, of those of all cores."""
    return max(share(config.reader_places, spec), 1)


def share(number: int, spec: Spec) -> int:
    """What this core has of a number for all cores."""
    return number // (int(lax.psum(1, spec.axis)) if spec.axis else 1)


def minibatches_of(places: int, most: int, minibatches: int) -> tuple[int, int]:
    """Places in each minibatch of a pass over so many at most, and how many minibatches it has."""
    size = max(min(places, most) // minibatches, 1)
    return size, min(minibatches, min(places, most) // size)
