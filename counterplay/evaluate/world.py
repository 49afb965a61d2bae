"""How right a model of the game is, given the true joint moves: by how many moves it looks ahead.

What a latent holds is read by a probe, a decoder of its own whose gradient never reaches the model,
so that no part of the model can be tuned to look good. A state is exact when every number shown is:
one cell wrong is a wrong state, however small a mean error over cells would be.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.maths import finite, masked_sum
from counterplay.models.nets import Dense
from counterplay.models.twohot import symlog
from counterplay.models.windows import Window
from counterplay.models.world import World
from counterplay.models.world_loss import Imagined, Weights, imagine, posterior, shown_loss
from counterplay.types import Env

AHEAD = 5
Tally = dict[str, tuple[Array, Array]]
"""Name -> sum and count, arrays [H] by the number of moves ahead."""


class Probe(eqx.Module):
    """Reads what is shown from latents."""

    layers: tuple[Dense, Dense]
    past: Dense
    """Straight from the latent, beside the layers."""
    binary: bool = eqx.field(static=True)

    def __init__(self, world: World, key: PRNGKeyArray, width: int = 256):
        first, second, past = jr.split(key, 3)
        self.layers = (
            Dense(world.size, width, 2**0.5, first),
            Dense(width, world.features, 0.1, second),
        )
        self.past = Dense(world.size, world.features, 1.0, past)
        self.binary = world.binary

    def logits(self, e: Float[Array, " E"]) -> Float[Array, " F"]:
        return self.layers[1](jax.nn.silu(self.layers[0](e))) + self.past(e)

    def __call__(self, e: Float[Array, " E"]) -> Float[Array, " F"]:
        """The likeliest features; symlog of them where they do not all lie in 0..1."""
        return jax.nn.sigmoid(self.logits(e)) if self.binary else self.logits(e)


def lived(
    env: Env,
    world: World,
    window: Window,
    key: PRNGKeyArray | None,
    start: Float[Array, " E"] | None = None,
    ahead: int = AHEAD,
) -> tuple[Float[Array, "W F"], Float[Array, "W E"], Imagined]:
    """What was shown in a window, its latents, and those imagined ahead of every slot, H by W."""
    see_key, imagine_key = (None, None) if key is None else jr.split(key)
    obs = jax.vmap(env.encode)(finite(window.obs))
    e, _ = posterior(world, window, obs, start, see_key)
    dreams, _ = imagine(world, e, window, imagine_key, Weights(steps=ahead, every=1))
    return obs, e, dreams


def probe_loss(
    env: Env, world: World, probe: Probe, window: Window, key: PRNGKeyArray, ahead: int = 1
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Nats of what is shown under the probe, summed over latents, and how many there were.

    Of those that saw it and those imagined so many moves ahead; the model gets no gradient.
    """
    obs, e, dreams = lived(env, lax.stop_gradient(world), window, key, ahead=ahead)
    after = jnp.minimum(dreams.moved + 1, len(obs) - 1)
    latents = jnp.concatenate([e, dreams.e])
    truth, counts = (
        jnp.concatenate([obs, obs[after]]),
        jnp.concatenate([window.shown, dreams.shown]),
    )
    logits = jax.vmap(probe.logits)(latents)
    loss = shown_loss(logits, truth, probe.binary).sum(-1)
    return masked_sum(loss, counts), counts.sum().astype(jnp.float32)


def tolerances(features: Float[np.ndarray, "X F"], binary: bool) -> Float[np.ndarray, " F"]:
    """How far off each feature may be and still be told from all its other values: half the
    smallest gap between two that occur; .5 where there is one. Of symlog where not ``binary``."""
    features = features if binary else np.asarray(symlog(jnp.asarray(features)))
    gaps = [np.diff(np.unique(column)) for column in features.T]
    return np.array([gap.min() / 2 if gap.size else 0.5 for gap in gaps], np.float32)


def measured(
    env: Env,
    world: World,
    probe: Probe,
    window: Window,
    tolerance: Float[Array, " F"],
    key: PRNGKeyArray | None,
    ahead: int = AHEAD,
) -> Tally:
    """What one window tells of the model; without a key by the likeliest latents. Sum the tallies.

    ``seen``: states exact from latents that saw them, [1]. ``state``: exact after so many moves;
    ``rollout``: and after every move on the way. ``reward``: absolute error. ``paid``: the same,
    where there was a reward. ``alive``, ``legal``, ``public_legal``: entries right. ``ghosts``:
    boards with a player in too few or too many cells, in games on boards.
    """
    obs, e, dreams = lived(env, world, window, key, ahead=ahead)
    by = lambda x: x.reshape(ahead, len(obs), *x.shape[1:])
    after = jnp.minimum(dreams.moved + 1, len(obs) - 1)
    truth = obs[after]
    of = (lambda x: x) if probe.binary else symlog
    read = jax.vmap(probe)(dreams.e)
    right = lambda a, b: (abs(a - of(b)) < tolerance[None]).all(-1)
    state = by(right(read, truth))
    told = jax.vmap(world.read)(dreams.e)
    reward = window.reward[dreams.moved]
    error, paid = abs(jax.vmap(world.earned)(told) - reward), dreams.counts & (reward != 0)
    there = window.alive[dreams.moved] & dreams.counts[:, None]
    alive = (told.alive > 0) == window.continues[dreams.moved]
    legal = (told.legal > 0) == window.legal[after]
    entries = lambda x: jnp.broadcast_to(dreams.shown[:, None], x.shape)
    found = {
        "seen": tallied(right(jax.vmap(probe)(e), obs)[None], window.shown[None]),
        "state": tallied(state, by(dreams.shown)),
        "rollout": tallied(jnp.cumprod(state, 0) > 0, by(dreams.shown)),
        "reward": tallied(by(error), by(dreams.counts)),
        "paid": tallied(by(error), by(paid)),
        "alive": tallied(by(alive), by(there)),
        "legal": tallied(by(legal), by(entries(legal))),
    }
    if world.public:
        public = (told.public_legal > 0) == window.seen.legal[after]
        others = window.seen.alive[after][:, 1:, None] & dreams.shown[:, None, None]
        found["public_legal"] = tallied(by(public), by(jnp.broadcast_to(others, public.shape)))
    if cells := getattr(env, "cells", 0):
        wrong = jax.vmap(lambda a, b: ghosts(a, b, world.seats, cells))(read, truth)
        found["ghosts"] = tallied(by(wrong), by(dreams.shown))
    return found


def tallied(
    x: Array, counts: Bool[Array, "H ..."]
) -> tuple[Float[Array, " H"], Float[Array, " H"]]:
    """Sum where it counts, and how often that is, by the first axis."""
    rest = tuple(range(1, x.ndim))
    of = lambda x: x.astype(jnp.float32).sum(rest)
    return of(jnp.where(counts, x, 0)), of(counts)


def ghosts(
    read: Float[Array, " F"], shown: Float[Array, " F"], seats: int, cells: int
) -> Bool[Array, ""]:
    """A player is in no cell or in several of a board that was read, or there though it has left.

    Features of games on boards begin with a plane of ``cells`` for each player.
    """
    planes = lambda x: (x[: seats * cells] > 0.5).reshape(seats, cells).sum(1)
    return (planes(read) != planes(shown)).any()


def shares(tally: Tally) -> dict[str, list[float | None]]:
    """Means by moves ahead; None where nothing counted."""
    mean = lambda s, n: [float(a / b) if b else None for a, b in zip(s, n, strict=True)]
    return {name: mean(np.asarray(s), np.asarray(n)) for name, (s, n) in tally.items()}
