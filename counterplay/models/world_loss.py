"""What a model of the game learns from windows of play: a few slots of one place, all its parts.

Two sorts of latent are told apart. The *posterior* one of a slot has seen it: everything shown is
to be told from it, and, where the slot before belongs to the same episode, what its moves led to.
An *imagined* one has seen nothing since its start: it is drawn from the prior after true joint
moves, one step on from every slot and several steps on from some. Where I leave, only imagined ones
exist: reward, departures and goals of a last move are learnt from them alone, and what is shown is
learnt only where there is something.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.maths import finite, masked_sum
from counterplay.models import categorical, twohot
from counterplay.models.windows import Window
from counterplay.models.world import Outcome, World
from counterplay.settings import check_least
from counterplay.types import NO_EVENT, Env

Parts = tuple[dict[str, Array], dict[str, Array]]


@dataclass(frozen=True)
class Weights:
    """How the parts of the loss are weighed, each of which is in nats a slot."""

    dynamics: float = 1.0
    """Of the divergence that moves the prior; without a discrete latent of half the squared
    distance between what was expected and what it is corrected to."""
    representation: float = 0.1
    """Of the same, moving the posterior."""
    imagined: float = 1.0
    """Of everything told by imagined latents, beside that told by posterior ones."""
    reconstruction: float = 1.0
    """Of what is shown."""
    steps: int = 5
    """Moves imagined one after another."""
    every: int = 2
    """From each how manieth slot of a window on; one step is imagined from all."""

    def __post_init__(self):
        check_least(self, steps=1, every=1)


DEFAULTS = Weights()
PRECISION = 0.03
"""To which numbers between 0 and 1 are told, such as a time over a horizon."""


class Imagined(NamedTuple):
    """Latents some moves on from their starts, one after another."""

    e: Float[Array, "X E"]
    moved: Int[Array, " X"]
    """The slot whose moves led there; what they led to is shown in the slot after."""
    counts: Bool[Array, " X"]
    """I made that move, and all before it since the start, in one episode."""
    shown: Bool[Array, " X"]
    """And what it led to is in the window."""


def world_loss(
    env: Env,
    world: World,
    window: Window,
    start: Float[Array, " E"] | None,
    key: PRNGKeyArray,
    weights: Weights = DEFAULTS,
) -> Parts:
    """Parts of the loss of one window: name -> sum over slots, weighed, and over how many slots.

    ``start`` is the latent before the window; without one its first slot is seen as if it were the
    first of an episode. What stands in slots that were not shown changes nothing.
    """
    see_key, imagine_key = jr.split(key)
    obs = jax.vmap(env.encode)(finite(window.obs))
    e, q = posterior(world, window, obs, start, see_key)
    return world_losses(world, window, obs, e, q, imagine_key, weights)


def world_losses(
    world: World,
    window: Window,
    obs: Float[Array, "W F"],
    e: Float[Array, "W E"],
    q: Float[Array, "W Z C"],
    key: PRNGKeyArray,
    weights: Weights = DEFAULTS,
) -> Parts:
    """The same, from what ``posterior`` made of the encoded observations."""
    told = jax.vmap(world.read)(e)
    follows = window.follows
    after = jnp.arange(len(follows)) > 0  # the slot before it is in the window
    parts = {}
    losses = jax.vmap(lambda *x: shown_losses(world, *x))(told, window, obs)
    parts |= {name: (x, window.shown) for name, x in losses.items()}
    moves = jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), window)
    came = after & jnp.roll(follows, 1)
    losses = jax.vmap(lambda *x: moved_losses(world, *x))(told, moves)
    parts |= {name: (x, came) for name, x in losses.items()}
    dreams, expected = imagine(world, e, window, key, weights)
    parts |= _divergences(world, expected, e, q, follows)
    parts |= _dreamt(world, dreams, window, obs) | _departed(world, dreams, window)
    sums = {name: _weight(name, weights) * masked_sum(*part) for name, part in parts.items()}
    return sums, {name: counts.sum().astype(jnp.float32) for name, (_, counts) in parts.items()}


def _divergences(world: World, expected, e, q, follows) -> dict[str, tuple[Array, Array]]:
    """Between what was expected of the next slot and what it was, at each that has a next one."""
    h, prior = expected
    e, q = jnp.roll(e, -1, axis=0), jnp.roll(q, -1, axis=0)
    half, came = lambda a, b: 0.5 * jnp.square(a - b).sum(-1), e[:, : world.hidden]
    dynamics = half(lax.stop_gradient(came), h)
    representation = half(came, lax.stop_gradient(h))
    if world.groups:
        drawn, draws = jax.vmap(categorical.balanced)(q, prior)
        dynamics, representation = dynamics + drawn, representation + draws
    return {"dynamics": (dynamics, follows), "representation": (representation, follows)}


def _dreamt(world: World, dreams: Imagined, window: Window, obs) -> dict[str, tuple[Array, Array]]:
    """Of imagined latents, whose heads are given: learnt from what was drawn instead of from what
    came, they would tell the mean of what might have come."""
    given = lax.stop_gradient(world)
    told = jax.vmap(given.read)(dreams.e)
    after = jnp.minimum(dreams.moved + 1, len(obs) - 1)
    at = lambda slots: jax.tree.map(lambda x: x[slots], window)
    shown = jax.vmap(lambda *x: shown_losses(given, *x))(told, at(after), obs[after])
    moved = jax.vmap(lambda *x: moved_losses(given, *x))(told, at(dreams.moved))
    parts = {f"imagined_{name}": (x, dreams.shown) for name, x in shown.items()}
    return parts | {f"imagined_{name}": (x, dreams.counts) for name, x in moved.items()}


def _departed(world: World, dreams: Imagined, window: Window) -> dict[str, tuple[Array, Array]]:
    """Of what was imagined one move on where I left: there is nothing else for heads to learn."""
    told = jax.vmap(world.read)(dreams.e[: len(window.acting)])
    losses = jax.vmap(lambda *x: moved_losses(world, *x))(told, window)
    left = window.acting & ~window.continues[:, 0]
    return {f"last_{name}": (x, left) for name, x in losses.items()}


def _weight(name: str, weights: Weights) -> float:
    if name in ("dynamics", "representation"):
        return getattr(weights, name)
    imagined = weights.imagined if name.startswith("imagined_") else 1.0
    return imagined * (weights.reconstruction if name.endswith("reconstruction") else 1.0)


def posterior(
    world: World,
    window: Window,
    obs: Float[Array, "W F"],
    start: Float[Array, " E"] | None,
    key: PRNGKeyArray | None,
) -> tuple[Float[Array, "W E"], Float[Array, "W Z C"]]:
    """The latents after each slot was seen, and the posteriors of their draws.

    Where I do not act the latent stays what it was, as a policy's memory does.
    """
    looked = jax.vmap(lambda o, seen: world.look(world.inputs(o, seen)))(obs, window.seen)
    keys = jr.split(jr.key(0) if key is None else key, len(obs))

    def step(e, slot):
        looked, moved, contact, acting, k = slot
        e = jnp.where(contact, world.begin(), e)
        h, _ = world.expect(e, moved)
        seen, q = world.corrected(None if key is None else k, h, looked)
        return jnp.where(acting, seen, e), (seen, q)

    slots = looked, window.seen.moved, window.contact, window.acting, keys
    return lax.scan(step, world.begin() if start is None else start, slots)[1]


def imagine(
    world: World,
    e: Float[Array, "W E"],
    window: Window,
    key: PRNGKeyArray | None,
    weights: Weights = DEFAULTS,
) -> tuple[Imagined, tuple[Float[Array, "W H"], Float[Array, "W Z C"]]]:
    """Moves on from the latents of a window, without a key to the likeliest latent each time.

    One move from all W slots, then horizon by horizon from each ``every``-th. Also what was
    expected after the move of each slot: h, and the prior of z.
    """
    length = len(e)
    keys = jr.split(jr.key(0) if key is None else key, (weights.steps, length))
    arrive = jax.vmap(lambda k, h, p: world.arrive(None if key is None else k, h, p))
    acting, follows = window.acting, window.follows
    expected = jax.vmap(world.expect)(e, window.joint)
    first = Imagined(arrive(keys[0], *expected), jnp.arange(length), acting, follows)

    def step(before: Imagined, keys):
        slot = jnp.minimum(before.moved + 1, length - 1)
        e = arrive(keys, *jax.vmap(world.expect)(before.e, window.joint[slot]))
        counts = before.shown & acting[slot]
        after = Imagined(e, slot, counts, counts & follows[slot])
        return after, after

    some = jax.tree.map(lambda x: x[:: weights.every], first)
    _, later = lax.scan(step, some, keys[1:, :: weights.every])
    flat = lambda x: x.reshape(-1, *x.shape[2:])
    return jax.tree.map(lambda a, b: jnp.concatenate([a, flat(b)]), first, later), expected


def shown_losses(
    world: World, told: Outcome, slot: Window, obs: Float[Array, " F"]
) -> dict[str, Float[Array, ""]]:
    """Of what is shown in a slot, in nats: the observation, my legal moves, the others'."""
    binary = optax.sigmoid_binary_cross_entropy
    losses = {"reconstruction": shown_loss(told.obs, obs, world.binary).sum()}
    losses["legal"] = binary(told.legal, slot.legal.astype(jnp.float32)).sum()
    if world.public:
        others = binary(told.public_legal, slot.seen.legal.astype(jnp.float32))
        there = jnp.broadcast_to(slot.seen.alive[1:, None], others.shape)
        losses["public_legal"] = masked_sum(others, there)
    return losses


def shown_loss(
    logits: Float[Array, "*b F"], obs: Float[Array, "*b F"], binary: bool
) -> Float[Array, "*b F"]:
    """Of what is seen, in nats. Where it lies in 0..1: of ones; a number in between is normally
    distributed with a deviation of PRECISION. Elsewhere of symlog, with a deviation of 1."""
    if not binary:
        return 0.5 * jnp.square(logits - twohot.symlog(obs))
    between = (obs > 0) & (obs < 1)
    off = (jax.nn.sigmoid(logits) - obs) / PRECISION
    return jnp.where(between, 0.5 * off**2, optax.sigmoid_binary_cross_entropy(logits, obs))


def moved_losses(world: World, told: Outcome, slot: Window) -> dict[str, Float[Array, ""]]:
    """Of what a slot's moves led to, in nats: my reward, who plays on, goals completed."""
    bins = twohot.bins(world.bins, world.reach)
    goal = jnp.where(slot.event == NO_EVENT, world.goals, slot.event).astype(jnp.int32)
    events = optax.softmax_cross_entropy_with_integer_labels(told.events, goal)
    alive = optax.sigmoid_binary_cross_entropy(told.alive, slot.continues.astype(jnp.float32))
    return {
        "reward": twohot.two_hot_loss(told.reward, finite(slot.reward), bins),
        "alive": masked_sum(alive, slot.alive),
        "events": masked_sum(events, slot.alive),
    }
