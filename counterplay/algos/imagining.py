"""How what is planned with is learnt: the game, moves expected in it, and the value of latents.

No gradient passes from expected moves or values into the model of the game.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.algos.dreaming import Dream
from counterplay.algos.labels import goals_of, types_of
from counterplay.algos.past import Again
from counterplay.algos.study import Study
from counterplay.algos.thinking import Model
from counterplay.maths import finite, masked_sum, rank_correlation
from counterplay.models import twohot
from counterplay.models.history import from_record
from counterplay.models.windows import Window, window_of
from counterplay.models.world import World
from counterplay.models.world_loss import Weights, posterior, world_losses
from counterplay.rollout import Chunk
from counterplay.seats import Seating
from counterplay.types import NO_MOVE, Env
from counterplay.views import select


class Stretch(NamedTuple):
    """A chunk of slots of one place, arrays [T, ...], as models of the game learn from it."""

    window: Window
    study: Study
    start: Float[Array, "*b E"]
    """The latent before slot 0."""
    closing: Bool[Array, "*b T"]
    key: Array
    """Of all draws, uint32 [T, 2]."""
    target: Array
    """What playing on from each slot turned out to be worth, [T]."""
    worth: Array
    """What it was thought to be worth, by the value that plans."""
    rows: Array
    """What the value is told of the others, [T, M, R]."""
    fresh: Bool[Array, "*b T"]
    """Of the latest play: what is said of values holds."""
    dreamt: Dream | None = None
    """What was imagined from some of its slots, [S, H]."""

    @property
    def acting(self) -> Bool[Array, "*b T"]:
        return self.window.acting


def stretches(
    env: Env, seating: Seating, index: int, chunk: Chunk, study: Study, key: PRNGKeyArray
) -> Stretch:
    """Of all places of one kind of learner, leaves [K, P, T, ...]; targets are still to come."""
    places = jnp.asarray(seating.places[index])
    lane, seat = places // seating.num_seats, places % seating.num_seats
    cut = lambda lane, seat: window_of(env, {n: x[lane] for n, x in chunk.slots.items()}, seat)
    window = jax.vmap(jax.vmap(cut))(lane, seat)
    seen = from_record(chunk.records[index])
    nothing: Any = jax.tree.map(jnp.zeros_like, seen)
    window = window._replace(seen=select(window.shown, seen, nothing))
    closing = chunk.slots["closing"][lane]
    keys = jr.bits(key, (*closing.shape, 2), jnp.uint32)
    none, start = jnp.zeros(closing.shape), chunk.memories[index][2]
    rows = chunk.records[index]["rows"]
    rows = jnp.where(window.shown[..., None, None], rows, 0.0)
    fresh, study = jnp.ones_like(closing), study._replace(record={})
    return Stretch(window, study, start, closing, keys, none, none, rows, fresh)


def earlier(
    env: Env, seating: Seating, index: int, old: Again, latest: Stretch, key: PRNGKeyArray
) -> Stretch:
    """As many of earlier play, from which the game is learnt, but no value."""
    nothing: Any = jax.tree.map(jnp.zeros_like, latest)
    record = old.chunk.records[index] | {"rows": nothing.rows}
    records = tuple(record if i == index else x for i, x in enumerate(old.chunk.records))
    found = stretches(env, seating, index, old.chunk._replace(records=records), old.study, key)
    return found._replace(fresh=nothing.fresh, dreamt=nothing.dreamt)


def modelling(config: Any) -> Any:
    """The settings by which the model learns, under the names that a reader's have."""
    return replace(
        config, reader_rate=config.world_rate, reader_epochs=config.world_epochs,
        reader_minibatches=config.world_minibatches, reader_places=config.world_places,
    )  # fmt: skip


def model_loss(
    ids: tuple[int, ...], config: Any, env: Env, model: Model, s: Stretch
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Parts of the loss of one place, summed over its slots, and how many entries each sums."""
    world, key = model.world, jr.wrap_key_data(s.key[0])
    keys = jr.split(key, 3)
    obs = jax.vmap(env.encode)(finite(s.window.obs))
    e, q = posterior(world, s.window, obs, s.start, keys[0])
    sums, counts = world_losses(
        world, s.window, obs, e, q, keys[1], Weights(steps=config.world_steps)
    )
    e = lax.stop_gradient(e)
    parts = _expected(ids, model, s, e) | _valued(config.gamma, model, s, e, keys[2])
    parts |= _judged(world, s.window, s.fresh, e, keys[2])
    sums |= {name: masked_sum(x, mask) for name, (x, mask) in parts.items()}
    counts |= {name: mask.sum().astype(jnp.float32) for name, (_, mask) in parts.items()}
    return sums, counts


def _expected(
    ids: tuple[int, ...], model: Model, s: Stretch, e: Float[Array, "T E"]
) -> dict[str, tuple[Array, Array]]:
    """Cross-entropy of the others' moves, given type and goal, in nats."""
    study, types = s.study, model.ahead.bias.shape[0]
    log_pi = jax.vmap(model.ahead)(e, study.seen.legal)
    kind, typed = types_of(ids, study.opponent, types)
    counts = (study.moves != NO_MOVE) & typed
    made = study.moves[..., None] == jnp.arange(log_pi.shape[-1])[None, None]
    made = (made & counts[..., None])[:, :, None, None]
    log_pi = jnp.where(made, log_pi, 0.0).sum(-1)
    log_pi = (kind[..., None] * log_pi).sum(2)
    even = jnp.zeros_like(log_pi) - jnp.log(float(log_pi.shape[-1]))
    q = goals_of(study, log_pi, even)
    return {"ahead_loss": (-(q * log_pi).sum(-1), counts)}


def _valued(
    gamma: float, model: Model, s: Stretch, e: Float[Array, "T E"], key: PRNGKeyArray
) -> dict[str, tuple[Array, Array]]:
    """Of what playing on is worth, and what arriving is: where I came, and where I left to."""
    values, window = model.values, s.window
    bins, acting = twohot.bins(values.bins, values.reach), window.acting & s.fresh
    told = jax.vmap(values)(e, s.rows)
    loss = jax.vmap(lambda logits, x: twohot.two_hot_loss(logits, x, bins))
    both = loss(told.later[:, 0], s.target) + loss(told.later[:, 1], s.target)
    came = jnp.roll(window.follows & s.fresh, 1).at[0].set(False)
    arrived = jnp.roll(window.reward, 1) + gamma * s.worth
    parts = {"later_loss": (both, acting)}
    parts |= {"arriving_loss": (loss(told.arriving, arrived), came)}
    if s.dreamt is not None:
        both = parts["later_loss"], _dreamt(values, s.dreamt, loss)  # every decision counts alike
        parts["later_loss"] = jax.tree.map(lambda *x: jnp.concatenate(x), *both)
    left = lax.stop_gradient(_next(model.world, e, window, key))
    staying = jnp.where(window.continues[:, 1:, None], s.rows, 0.0)
    leaving = loss(jax.vmap(values)(left, staying).arriving, window.reward)
    return parts | {"leaving_loss": (leaving, acting & ~window.continues[:, 0])}


def _dreamt(values: Any, dreamt: Dream, loss: Any) -> tuple[Array, Array]:
    """Of what playing on is worth in dreams."""
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), dreamt)
    told = jax.vmap(values)(flat.e, flat.rows)
    return loss(told.later[:, 0], flat.target) + loss(told.later[:, 1], flat.target), flat.there


def _next(world: World, e: Array, window: Window, key: PRNGKeyArray) -> Float[Array, "T E"]:
    """Draws of where the moves of each slot lead, before anything is seen."""
    h, prior = jax.vmap(world.expect)(e, window.joint)
    return jax.vmap(world.arrive)(jr.split(key, len(e)), h, prior)


def _judged(
    world: World, window: Window, fresh: Array, e: Array, key: PRNGKeyArray
) -> dict[str, tuple[Array, Array]]:
    """How often it is wrong where it only imagines; without weight in the loss."""
    told = jax.vmap(lambda x: world.read(x, False))(_next(world, e, window, key))
    told = lax.stop_gradient(told)
    acting, alive = window.acting & fresh, window.alive
    wrong = (told.alive > 0) != window.continues
    legal = (told.legal > 0) != jnp.roll(window.legal, -1, axis=0)
    share = lambda x: x.astype(jnp.float32)
    return {
        "alive_wrong": (share(wrong), alive & acting[:, None]),
        "legal_wrong": (share(legal).mean(-1), window.follows & fresh),
    }


def judged(
    config: Any,
    gain: Float[Array, "K P T"],
    happened: Float[Array, "K P T"],
    worth: Float[Array, "K P T"],
    acting: Bool[Array, "K P T"],
    info: dict[str, Array],
    progress: Float[Array, ""],
    total: Any,
) -> tuple[Float[Array, " K"], dict[str, Array]]:
    """How far plans are to be trusted: none before they have been seen to tell good moves from
    bad, or before the model knows who plays on and what is legal."""
    flat = lambda x: x.reshape(x.shape[0], x.shape[1] * x.shape[2])
    rank = jax.vmap(rank_correlation)(flat(gain), flat(happened - worth), flat(acting))
    shards = total(jnp.ones(()))
    rank = total(rank) / shards
    low, high = (
        jnp.nanpercentile(jnp.where(acting, happened, jnp.nan), p, axis=(1, 2)) for p in (5, 95)
    )
    spread = total(jnp.nan_to_num(high - low)) / shards
    sound = (info["legal_right"] >= 0.99) & (info["alive_right"] >= 0.99)
    sound &= progress >= config.warm
    trust = jnp.clip(2 * rank, 0, 1) * sound
    told = {"plan_rank": rank, "trust": trust, "spread": spread}
    return trust, told | {"sound": sound.astype(jnp.float32)}
