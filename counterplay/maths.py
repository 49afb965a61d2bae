"""Returns, masked means and policy losses: arrays in, arrays out, each with its source."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32


def masked_sum(x: Float[Array, "*s"], mask: Bool[Array, "*s"]) -> Float[Array, ""]:
    """Sum over entries where the mask is True; what stands elsewhere, NaN included, is unread."""
    return jnp.where(mask, x, 0.0).sum()


def masked_mean(x: Float[Array, "*s"], mask: Bool[Array, "*s"]) -> Float[Array, ""]:
    """Mean over entries where the mask is True; 0 when there are none."""
    return masked_sum(x, mask) / jnp.maximum(mask.sum(), 1)


def finite(x: Array) -> Array:
    """The same, any shape, with 0 for what is not finite."""
    return jnp.where(jnp.isfinite(x), x, 0) if jnp.issubdtype(x.dtype, jnp.inexact) else x


def is_legal(legal: Bool[Array, "*b A"], action: Int[Array, "*b"]) -> Bool[Array, "*b"]:
    """Whether each action is among the legal ones; never for a number out of range."""
    numbers = lax.broadcasted_iota(jnp.int32, legal.shape, legal.ndim - 1)
    return (legal & (numbers == action[..., None])).any(-1)


def masked_log_softmax(
    logits: Float[Array, "*b A"], legal: Bool[Array, "*b A"], axis: int = -1
) -> Float[Array, "*b A"]:
    """Log-probabilities over legal actions, by default on the last axis, -inf elsewhere.

    With nothing legal (an absent player) every entry is -inf and every gradient zero.
    """
    some = legal.any(axis, keepdims=True)
    log_pi = jax.nn.log_softmax(jnp.where(legal | ~some, logits, -jnp.inf), axis)
    return jnp.where(legal, log_pi, -jnp.inf)


def entropy(log_pi: Float[Array, "*b A"]) -> Float[Array, "*b"]:
    """Entropy in nats; actions of probability zero add nothing, to the gradient neither."""
    possible = log_pi > -jnp.inf
    finite = jnp.where(possible, log_pi, 0.0)
    return -jnp.where(possible, jnp.exp(finite) * finite, 0.0).sum(-1)


def chosen(log_pi: Float[Array, "*b A"], action: Int[Array, "*b"]) -> Float[Array, "*b"]:
    """log_pi[action]; 0 where the action is NO_MOVE."""
    acts = lax.broadcasted_iota(jnp.int32, log_pi.shape, log_pi.ndim - 1) == action[..., None]
    return jnp.where(acts, log_pi, 0.0).sum(-1)


def sample_action(key: PRNGKeyArray, log_pi: Float[Array, " A"]) -> Int[Array, ""]:
    """Draws from exp(log_pi) by inverting its distribution function, with one random number.

    Never an action of probability zero; 0 when all are.
    """
    possible = log_pi > -jnp.inf
    reach = jnp.cumsum(jnp.exp(log_pi))
    # a parallel sum of many entries may waver in its last digits: so ask for possible ones
    ahead = possible & (reach > jr.uniform(key) * reach[-1])
    last = log_pi.shape[0] - 1 - jnp.argmax(possible[::-1])
    action = jnp.where(ahead.any(), jnp.argmax(ahead), last)
    return jnp.where(possible.any(), action, 0).astype(jnp.int32)


def lambda_returns(
    reward: Float[Array, " T"],
    discount: Float[Array, " T"],
    value: Float[Array, " T"],
    last_value: Float[Array, ""],
    closing: Bool[Array, " T"],
    lam: float,
) -> Float[Array, " T"]:
    """G[t] = reward[t] + discount[t] ((1 - lam) value[t+1] + lam G[t+1]), value[T] = last_value.

    ``discount[t]`` is gamma where the player plays on after t, else 0. At a closing slot, which
    only shows where a truncated episode stopped, G is the value there.
    Sutton & Barto (2018), eq. 12.18; G - value is the generalised advantage estimate of
    Schulman et al. (2016), eq. 16.
    """

    def back(carry, slot):
        g_next, v_next = carry
        r, d, v, closes = slot
        later = jnp.where(d > 0, d * ((1 - lam) * v_next + lam * g_next), 0.0)  # 0 * NaN is NaN
        g = jnp.where(closes, v, r + later)
        return (g, v), g

    start = (last_value, last_value)
    return lax.scan(back, start, (reward, discount, value, closing), reverse=True)[1]


def v_trace(
    reward: Float[Array, " T"],
    discount: Float[Array, " T"],
    value: Float[Array, " T"],
    last_value: Float[Array, ""],
    closing: Bool[Array, " T"],
    ratio: Float[Array, " T"],
    lam: float,
) -> Float[Array, " T"]:
    """What a policy would earn, from what another one did: targets for its value.

    v[t] = V[t] + rho (r[t] + d[t] V[t+1] - V[t]) + lam rho d[t] (v[t+1] - V[t+1]), where rho is
    ``ratio``, that of the chances of the move made, at most 1. With ratios of 1 these are
    ``lambda_returns``. Espeholt et al. (2018), remark 1.
    """

    def back(carry, slot):
        ahead, v_next = carry
        r, d, v, closes, rho = slot
        later = jnp.where(d > 0, d * v_next, 0.0)
        passed = jnp.where(d > 0, d * (ahead - v_next), 0.0)
        target = v + rho * (r + later - v) + lam * rho * passed
        target = jnp.where(closes, v, target)
        return (target, v), target

    slots = reward, discount, value, closing, jnp.minimum(ratio, 1.0)
    return lax.scan(back, (last_value, last_value), slots, reverse=True)[1]


def clipped_surrogate(
    ratio: Float[Array, "*b"], advantage: Float[Array, "*b"], clip: float
) -> Float[Array, "*b"]:
    """The loss of Schulman et al. (2017), eq. 7, to be minimised, one entry a decision."""
    clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
    return -jnp.minimum(ratio * advantage, clipped * advantage)


def n_step_returns(
    reward: Float[Array, " T"],
    discount: Float[Array, " T"],
    acts: Bool[Array, " T"],
    closing: Bool[Array, " T"],
    n: int,
) -> tuple[Float[Array, " T"], Float[Array, " T"], Int[Array, " T"], Bool[Array, " T"]]:
    """Parts of G[t] = paid[t] + weight[t] value[at[t]], over n slots from t on: paid, weight, at.

    ``at[t]`` is t + n, or earlier a closing slot or the last of the row; ``weight`` is 0 where the
    player did not play on till then. ``discount[t]`` is gamma where he plays on after t, else 0.
    The fourth array tells which of them are known: where he ``acts`` in every slot on the way, and
    there is one. Sutton & Barto (2018), eq. 7.1.
    """
    number = jnp.arange(reward.shape[0])
    at, weight, paid = number, jnp.ones_like(reward), jnp.zeros_like(reward)
    known = acts & ~closing & (number < number[-1])
    for _ in range(n):
        goes = (at < number[-1]) & ~closing[at] & (weight > 0)
        known &= acts[at] | ~goes
        paid = jnp.where(goes, paid + weight * reward[at], paid)
        weight = jnp.where(goes, weight * discount[at], weight)
        at = at + goes
    return paid, weight, at, known


def huber(x: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """Half the square, but with slope 1 beyond 1 (Huber, 1964)."""
    size = abs(x)
    return jnp.where(size <= 1, 0.5 * x**2, size - 0.5)


def epsilon_soft(
    q: Float[Array, " A"], legal: Bool[Array, " A"], epsilon: Float[Array, ""]
) -> Float[Array, " A"]:
    """Log-probabilities: the best legal action, or with chance epsilon any legal one.

    All are -inf where none is legal.
    """
    best = jnp.arange(q.shape[0]) == jnp.argmax(jnp.where(legal, q, -jnp.inf))
    share = epsilon / jnp.maximum(legal.sum(), 1)
    return jnp.where(legal, jnp.log(jnp.where(best, 1 - epsilon + share, share)), -jnp.inf)


def rank_correlation(
    x: Float[Array, " R"], y: Float[Array, " R"], mask: Bool[Array, " R"]
) -> Float[Array, ""]:
    """Correlation of the ranks of x and y among the entries that count, -1 to 1; 0 for none.

    Entries that are equal share the mean of their ranks. Spearman (1904).
    """
    count = jnp.maximum(mask.sum(), 1)

    def ranks(values):
        values = jnp.where(mask, values, jnp.inf)
        ordered = jnp.sort(values)
        below = jnp.searchsorted(ordered, values, side="left", method="sort")
        upto = jnp.searchsorted(ordered, values, side="right", method="sort")
        return jnp.where(mask, (below + upto - count) / 2.0, 0.0)

    a, b = ranks(x), ranks(y)
    return (a * b).sum() / jnp.maximum(jnp.sqrt((a**2).sum() * (b**2).sum()), 1e-9)


LEAST_LOG = -1e4
"""Nats, which a thousand steps that all speak against a type do not reach at 1% of uniform."""


def bayes_update(
    log_posterior: Float[Array, "*b Y"], log_likelihood: Float[Array, "*b Y"], axis: int = -1
) -> Float[Array, "*b Y"]:
    """Log-posterior over types after one observation, from that before it; both normalised,
    by default on the last axis.

    ``log_likelihood`` is that of what was observed, of every type; 0 for all where nothing was.
    No entry falls below LEAST_LOG, so types that seem impossible neither give NaN nor stay lost:
    where every type does, nothing is learned. Bayes' rule, Rabiner (1989), eq. 20.
    """
    weight = jnp.maximum(log_posterior, LEAST_LOG) + jnp.maximum(log_likelihood, LEAST_LOG)
    return jnp.maximum(jax.nn.log_softmax(weight, axis), LEAST_LOG)


def counter_hash(counter: UInt32[Array, "*s"]) -> UInt32[Array, "*s"]:
    """Scrambles a counter into 32 bits that pass for random: chance inside games, at little cost.

    Two rounds of multiply and xor-shift; the constants are those of Wellons' lowbias32 (2018).
    Use JAX keys for everything that decides a result.
    """
    x = counter
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)
