"""Drawing from a store: without replacement, weighted, by strata, by priority. Pure functions."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.maths import counter_hash

ROUNDS = 24
"""Of the shuffle; every round halves what is left of the order."""


def need(n: int, have: Array, what: str, most: int) -> None:
    """ValueError where so many cannot be drawn; inside jit only where they never could."""
    if not 1 <= n <= most:
        raise ValueError(f"replay: {what} to draw must be 1 to {most}, its capacity; found {n}")
    if not isinstance(have, Tracer) and n > int(have):
        raise ValueError(
            f"replay: asked for {n} {what}, holds {int(have)}: ask can_sample(n, {what!r}) first, "
            "or write more before drawing"
        )


def distinct(key: PRNGKeyArray, n: int, size: Int[Array, ""]) -> Int[Array, " n"]:
    """``n`` different numbers from 0 to ``size - 1``, every choice of them equally likely.

    The first n places of a keyed permutation that is never written out: the cost does not grow
    with ``size``. Where ``size`` is below n, the first ``size`` of them are. Swap-or-not shuffle,
    Hoang, Morris and Rogaway (2012), section 3.
    """
    offset_key, salt_key = jr.split(key)
    whole = jnp.maximum(size, 1).astype(jnp.uint32)
    offsets = jr.randint(offset_key, (ROUNDS,), 0, whole.astype(jnp.int32)).astype(jnp.uint32)
    salts = jr.bits(salt_key, (ROUNDS,), jnp.uint32)
    x = jnp.arange(n, dtype=jnp.uint32) % whole
    for i in range(ROUNDS):
        partner = jnp.where(x > offsets[i], offsets[i] + (whole - x), offsets[i] - x)  # mod whole
        swap = counter_hash(jnp.maximum(x, partner) ^ salts[i]) & 1
        x = jnp.where(swap == 1, partner, x)
    return x.astype(jnp.int32)


def weighted(key: PRNGKeyArray, n: int, log_weight: Float[Array, " I"]) -> Int[Array, " n"]:
    """``n`` different entries, one after another with chances as their weights, given as logs.

    Efraimidis and Spirakis (2006), algorithm A: the n largest of u^(1 / weight), in the order of
    log(weight) - log(-log u), which no weight is too small for. Entries of weight 0, at -inf, come
    last, where there are fewer others than n.
    """
    u = jr.uniform(key, log_weight.shape, minval=jnp.finfo(jnp.float32).tiny)
    return jax.lax.top_k(log_weight - jnp.log(-jnp.log(u)), n)[1].astype(jnp.int32)


def share_of_stratum(stratum: Int[Array, " I"], valid: Bool[Array, " I"]) -> Float[Array, " I"]:
    """1 / (how many valid entries are of the same stratum): all strata together weigh the same."""
    most = jnp.iinfo(jnp.int32).max
    order = jnp.sort(jnp.where(valid, stratum, most))
    count = jnp.searchsorted(order, stratum, side="right") - jnp.searchsorted(order, stratum)
    return jnp.where(valid, 1.0 / jnp.maximum(count, 1).astype(jnp.float32), 0.0)


def joined(ids: Int[Array, "I N"]) -> Int[Array, " I"]:
    """One number for each row of numbers, equal where the rows are (else by a chance of 2^-31)."""
    total = jnp.zeros(ids.shape[0], jnp.uint32)
    for column in ids.T:
        total = counter_hash(total + column.astype(jnp.uint32) + jnp.uint32(0x9E3779B9))
    return (total >> 1).astype(jnp.int32)


def prioritised(
    key: PRNGKeyArray, n: int, priority: Float[Array, " S"]
) -> tuple[Int[Array, " n"], Float[Array, " n"]]:
    """``n`` entries, with replacement, and the chance of each: priority over their sum.

    Two levels of sums, blocks and then entries of a block; one draw from each n-th part of the
    whole. Schaul et al. (2016), section 3.3 and appendix B.2.1.
    """
    width = max(int(priority.shape[0] ** 0.5), 1)
    flat = jnp.pad(priority, (0, -priority.shape[0] % width)).reshape(-1, width)
    blocks = flat.sum(1)
    reach = jnp.cumsum(blocks)
    u = (jnp.arange(n, dtype=jnp.float32) + jr.uniform(key, (n,))) / float(n)
    target = u * reach[-1]
    block = _first_above(jnp.broadcast_to(reach, (n, *reach.shape)), target, blocks[None] > 0)
    inside = flat[block]
    before = reach[block] - blocks[block]
    reach_in = jnp.cumsum(inside, axis=1)
    entry = _first_above(reach_in, target - before, inside > 0)
    at = block * width + entry
    return at, priority[at] / jnp.maximum(reach[-1], 1e-30)


def _first_above(
    reach: Float[Array, "n W"], target: Float[Array, " n"], possible: Bool[Array, "#n W"]
) -> Int[Array, " n"]:
    """The first possible entry whose sum so far passes the target, else the last possible."""
    ahead = possible & (reach > target[:, None])
    last = reach.shape[1] - 1 - jnp.argmax(jnp.broadcast_to(possible, reach.shape)[:, ::-1], axis=1)
    return jnp.where(ahead.any(1), jnp.argmax(ahead, axis=1), last).astype(jnp.int32)
