"""Learning a model of a game from somebody's play, how right it is, and planning a move in it.

Whatever is not the model is the same for all of them: whose play it is, the value of that play
(targets of Sutton & Barto (2018), eq. 12.3, on real slots), the expected moves of the others, read
from what is seen, and the plan, one move ahead, with the best move made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.maths import finite, lambda_returns, masked_log_softmax, masked_sum
from counterplay.models import twohot
from counterplay.models.history import features_of
from counterplay.models.nets import Dense, Trunk
from counterplay.models.windows import FIELDS, Window, window_of
from counterplay.pools import roster_of
from counterplay.rollout import Lanes, collect, open_lanes
from counterplay.studies.one_step_models import MODELS
from counterplay.types import NO_MOVE, Env

SEAT = 0
"""Where whoever learns sits; the others are rules."""
CLIP, WARM, LAMBDA, BINS, REACH = 10.0, 0.05, 0.95, 63, 5.0


class Head(eqx.Module):
    """Two layers of units and numbers on top."""

    trunk: Trunk
    out: Dense

    def __init__(self, inputs: int, outputs: int, width: int, key: PRNGKeyArray):
        trunk_key, out_key = jr.split(key)
        self.trunk = Trunk(inputs, (width, width), trunk_key, "silu")
        self.out = Dense(width, outputs, 0.1, out_key)

    def __call__(self, x: Float[Array, " X"]) -> Float[Array, " O"]:
        return self.out(self.trunk(x, jnp.zeros(0))[0])


class Nets(NamedTuple):
    """All that is learnt."""

    model: Any
    value: Head
    """Of x: logits of bins of what is earned from there on."""
    moves: Head
    """Of an observation: logits of the others' moves, [M A] flat."""


@dataclass(frozen=True)
class Lesson:
    """Settings of what is learnt, and of what is planned with it."""

    model: str
    """One of MODELS."""
    updates: int
    """Steps of Adam, each on windows never seen before."""
    behaviour: str = "random"
    """Whose play it is."""
    against: str = "pool:train"
    """Who sits in the other seats."""
    batch: int = 64
    """Windows in each update."""
    window: int = 8
    """Slots of a window."""
    lanes: int = 512
    """Games side by side."""
    rate: float = 2e-3
    """Largest step size; it rises over WARM of the updates and falls to 0 along a cosine."""
    hidden: int = 192
    """Numbers between what is made of an observation and what is told of the next."""
    width: int = 128
    """Units of a layer."""
    token: int = 192
    """Numbers that are picked out for each player."""
    gamma: float = 0.95
    """Discount of what is earned later."""
    samples: int = 8
    """Draws of the others' moves for each of mine."""
    held_out: int = 1024
    """Windows by which the model is measured."""

    @property
    def sizes(self) -> dict[str, int]:
        """Those of the networks, by the names that the models have for them."""
        return {"hidden": self.hidden, "width": self.width, "token": self.token}


class Programs(NamedTuple):
    """What is compiled once for all learners of a kind."""

    fresh: Callable[..., Any]
    """(key) -> networks and the states of their optimisers"""
    learn: Callable[..., Any]
    """(networks, states, windows, key) -> the same after a pass over the windows"""


def learnt(env: Env, lesson: Lesson, seed: int) -> Nets:
    """The networks after so many updates, each on windows of one seat."""
    net_key, play_key, learn_key = jr.split(jr.key(seed), 3)
    fresh, learn = _programs(env, lesson)
    nets, opts = fresh(net_key)
    begin, play = player(env, lesson.behaviour, lesson.against, lesson.lanes, lesson.window)
    lanes = begin(play_key)
    for i in range(-(-lesson.updates // (lesson.lanes // lesson.batch))):
        lanes, windows = play(lanes, jr.fold_in(play_key, i))
        nets, opts = learn(nets, opts, windows, jr.fold_in(learn_key, i))
        jax.block_until_ready(opts)
    return nets


@lru_cache(maxsize=4)
def _programs(env: Env, lesson: Lesson) -> Programs:
    warm = max(int(WARM * lesson.updates), 1)
    steps = max(lesson.updates, warm + 1)
    rate = optax.warmup_cosine_decay_schedule(0.0, lesson.rate, warm, steps)
    optimiser = optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(rate))

    def fresh(key: PRNGKeyArray) -> tuple[Nets, tuple]:
        nets: Any = _fresh(env, lesson, key)
        return nets, tuple(map(optimiser.init, nets))  # each is clipped for itself

    learn = partial(_learn, env, lesson, optimiser)
    return Programs(jax.jit(fresh), jax.jit(learn, donate_argnums=(0, 1)))


def _fresh(env: Env, lesson: Lesson, key: PRNGKeyArray) -> Nets:
    functions, keys, sizes = MODELS[lesson.model], jr.split(key, 3), lesson.sizes
    model = functions.make(env, keys[0], sizes)
    others, width = env.num_seats - 1, lesson.width
    value = Head(functions.width(model), BINS, width, keys[1])
    return Nets(model, value, Head(features_of(env), others * env.num_actions, width, keys[2]))


@lru_cache(maxsize=4)
def player(
    env: Env, behaviour: str, against: str, lanes: int, window: int
) -> tuple[Callable[..., Lanes], Callable[..., tuple[Lanes, Window]]]:
    """What opens games, and what plays on: the windows of the one seat."""
    seats = dict.fromkeys(range(env.num_seats), against) | {SEAT: behaviour}
    roster = roster_of(env, seats)
    seating, names = roster.seating(lanes), (*FIELDS, "visible")

    def play(lanes: Lanes, key: PRNGKeyArray) -> tuple[Lanes, Window]:
        lanes, chunk = collect(env, seating, roster.others, lanes, key, slots=window)
        slots = {name: chunk.slots[name] for name in names}
        return lanes, jax.vmap(lambda slots: window_of(env, slots, SEAT))(slots)

    begin = jax.jit(lambda key: open_lanes(env, seating, roster.others, key))
    return begin, jax.jit(play)


def _learn(
    env: Env,
    lesson: Lesson,
    optimiser: optax.GradientTransformation,
    nets: Nets,
    opts: tuple,
    windows: Window,
    key: PRNGKeyArray,
) -> tuple[Nets, tuple]:
    order_key, key = jr.split(key)
    number = lesson.lanes // lesson.batch

    def step(net: Any, grad: Any, opt: Any) -> tuple[Any, Any]:
        change, opt = optimiser.update(grad, opt)
        return optax.apply_updates(net, change), opt

    def update(carry: Any, chosen: Any) -> Any:
        nets, opts = carry
        rows, key = chosen
        batch = jax.tree.map(lambda x: x[rows], windows)
        grads = jax.grad(loss)(nets, env, lesson, batch, key)
        moved, opts = zip(*map(step, nets, grads, opts), strict=True)
        return (Nets(*moved), opts), None

    order = jr.permutation(order_key, lesson.lanes)[: number * lesson.batch]
    chosen = order.reshape(number, lesson.batch), jr.split(key, number)
    return lax.scan(update, (nets, opts), chosen)[0]


def loss(
    nets: Nets, env: Env, lesson: Lesson, batch: Window, key: PRNGKeyArray
) -> Float[Array, ""]:
    """Of a batch of windows: the sum of the means of all parts, in nats a slot."""
    functions = MODELS[lesson.model]

    def one(window: Window, key: PRNGKeyArray):
        (sums, counts), x = functions.loss(env, nets.model, window, key)
        parts = {
            "value": _value_loss(nets.value, lesson.gamma, x, window),
            "moves": _moves_loss(nets.moves, env, window),
        }
        sums |= {name: masked_sum(x, mask) for name, (x, mask) in parts.items()}
        more = {name: mask.sum().astype(jnp.float32) for name, (_, mask) in parts.items()}
        return sums, counts | more

    sums, counts = jax.vmap(one)(batch, jr.split(key, len(batch.contact)))
    means = jax.tree.map(lambda s, n: s.sum() / jnp.maximum(n.sum(), 1), sums, counts)
    return jnp.stack(list(means.values())).sum()


def _value_loss(
    value: Head, gamma: float, x: Float[Array, "W X"], window: Window
) -> tuple[Array, Array]:
    """Towards lambda-returns; the last slot of a window only tells what it is worth."""
    logits, acting = jax.vmap(value)(x), window.acting
    bins = twohot.bins(BINS, REACH)
    worth = lax.stop_gradient(worth_of(logits))
    discount = gamma * window.continues[:, 0].astype(jnp.float32)
    rows = finite(window.reward), discount, worth, window.shown & ~acting
    reward, discount, before, closing = (row[:-1] for row in rows)
    target = lambda_returns(reward, discount, before, worth[-1], closing, LAMBDA)
    off = jax.vmap(lambda logits, x: twohot.two_hot_loss(logits, x, bins))(logits[:-1], target)
    return off, acting[:-1]


def worth_of(logits: Float[Array, "*b B"]) -> Float[Array, "*b"]:
    """What the bins of a value stand for."""
    return twohot.expected(logits, twohot.bins(BINS, REACH))


def _moves_loss(moves: Head, env: Env, window: Window) -> tuple[Array, Array]:
    """Cross-entropy of the others' moves, as they truly were."""
    obs = jax.vmap(env.encode)(finite(window.obs))
    log_pi = jax.vmap(lambda o, legal: expected(moves, o, legal))(obs, window.seen.legal)
    made = window.joint[:, 1:]
    counts = (made != NO_MOVE) & window.acting[:, None]
    told = jnp.take_along_axis(log_pi, jnp.maximum(made, 0)[..., None], -1)[..., 0]
    return -jnp.where(counts, told, 0.0), counts


def expected(moves: Head, o: Float[Array, " F"], legal: Bool[Array, "M A"]) -> Float[Array, "M A"]:
    """Log-probabilities of the others' moves, of those that may be legal."""
    return masked_log_softmax(moves(o).reshape(legal.shape), legal)
