"""A recorded chunk of play by agents that read the others, and what their readers learn from it."""

from functools import cache, partial
from importlib import import_module
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from probes import Leavers

from counterplay.algos import informed, module_of
from counterplay.algos.study import Study, studies
from counterplay.envs import make
from counterplay.models.history import from_record
from counterplay.pools import roster_of
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.seats import Seating

LANES, SLOTS, SEATS = 6, 10, 3
SMALL: dict[str, Any] = {"widths": (8,), "told_width": 4, "reader_widths": (8,), "reader_gru": 6}


class Read(NamedTuple):
    """A chunk that begins inside matches, in which some leave and some episodes are cut short."""

    name: str
    """Of the algorithm."""
    config: Any
    env: Any
    seating: Seating
    net: informed.Net
    """Of the one learner at every seat, leaves [1, ...]."""
    chunk: Chunk

    @property
    def reader(self) -> Any:
        return jax.tree.map(lambda x: x[0], self.net.reader)

    def study(self, chunk: Chunk | None = None) -> Study:
        """Of every place, leaves [P, T, ...]."""
        found = _studied(self.seating)(chunk or self.chunk)
        return jax.tree.map(lambda x: x[0], found)

    def loss(self, study: Study) -> tuple[Any, Any, Any]:
        """Sums over all places, their counts, and the gradient of all parts together."""
        return _loss(self.name, self.config, self.env)(self.reader, study)


@cache
def _studied(seating: Seating) -> Any:
    return jax.jit(partial(studies, seating, 0))


@cache
def _loss(name: str, config: Any, env: Any) -> Any:
    module: Any = import_module(module_of(name))

    def total(reader, study):
        each = jax.vmap(partial(module.reader_loss, config, env, reader))(study)
        sums, counts = jax.tree.map(lambda x: x.sum(0), each)
        return sum(sums.values()), (sums, counts)

    def found(reader, study):
        grad, (sums, counts) = eqx.filter_grad(total, has_aux=True)(reader, study)
        return sums, counts, grad

    return jax.jit(found)


@cache
def read(name: str) -> Read:
    """The second of two chunks that fresh networks played in a game which players leave."""
    module: Any = import_module(module_of(name))
    config = module.Config(lanes=LANES, slots=SLOTS, match=2, **SMALL)
    env = Leavers(over=False)
    seating = roster_of(env, dict.fromkeys(range(SEATS), "self")).seating(LANES)
    net_key, lane_key, first_key, second_key = jr.split(jr.key(1), 4)

    @jax.jit
    def play():
        net = module.init_learner(config, env, 1, net_key).net
        agents = (module.Agent(net),)
        lanes = open_lanes(env, seating, agents, lane_key)
        step = lambda lanes, key: collect(env, seating, agents, lanes, key, slots=SLOTS, match=2)
        _, chunks = jax.lax.scan(step, lanes, jnp.stack([first_key, second_key]))
        return net, jax.tree.map(lambda x: x[1], chunks)

    net, chunk = play()
    slots = jax.tree.map(np.asarray, chunk.slots)
    absent = ~slots["alive"]
    assert absent.any((1, 2)).all() and slots["closing"].any() and slots["contact"][:, 1:].any()
    assert not slots["contact"][:, 0].all(), "the chunk begins inside a match"
    return Read(name, config, env, seating, net, chunk)


def moves_loss(study: Study, log_pi: np.ndarray) -> tuple[float, int]:
    """The same cross-entropy by a loop over all that was seen, and how much that is."""
    total, count = 0.0, 0
    acting, there, moves = map(np.asarray, (study.acting, study.there, study.moves))
    for p, t, m in np.ndindex(*moves.shape):
        if acting[p, t] and there[p, t, m] and moves[p, t, m] >= 0:
            total -= float(log_pi[p, t, m, moves[p, t, m]])
            count += 1
    return total, count


def unseen(here: Read) -> Chunk:
    """The chunk in which seat 0 never sees what seat 1 does."""
    visible = here.chunk.slots["visible"].at[:, :, 0, 1].set(False)
    return here.chunk._replace(slots=here.chunk.slots | {"visible": visible})


def spoilt(here: Read) -> Chunk:
    """The chunk with NaN, and moves that nobody made, in every slot of every absent player."""
    chunk, absent = here.chunk, ~here.chunk.slots["alive"]

    def bad(x):
        if not jnp.issubdtype(x.dtype, jnp.inexact) or x.shape[:3] != absent.shape:
            return x
        return jnp.where(absent.reshape(absent.shape + (1,) * (x.ndim - 3)), jnp.nan, x)

    slots = {name: bad(x) for name, x in chunk.slots.items()}
    slots["actions"] = jnp.where(absent, 1, slots["actions"])
    out = here.seating.take(jnp.moveaxis(absent, 2, 1), 0)

    def worse(x):
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            return x
        return jnp.where(out.reshape(out.shape + (1,) * (x.ndim - 3)), jnp.nan, x)

    record = {name: worse(x) for name, x in chunk.records[0].items()}
    spoilt = chunk._replace(slots=slots, records=(record,))
    assert bool(jnp.isnan(slots["obs"]).any()) and bool(jnp.isnan(record["seen_reward"]).any())
    return spoilt


def same_bits(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) and np.isfinite(x).all() for x, y in pairs)


def seen_of(here: Read) -> Any:
    """What was recorded of views, leaves [P, T, ...]."""
    return from_record(jax.tree.map(lambda x: np.asarray(x[0]), here.chunk.records[0]))


def against_tit_for_tat(name: str, **settings: Any) -> list[dict[str, float]]:
    """First and last metrics of a reader of a rule that copies me, who hardly learn and so move
    at random."""
    iterations, lanes, slots = 120, 16, 10
    usual = {"learning_rate": 1e-6, "reader_rate": 0.01, "minibatches": 1, "epochs": 1, "match": 5}
    usual |= {"lanes": lanes, "slots": slots, "steps": iterations * lanes * slots}
    module: Any = import_module(module_of(name))
    config = module.Config(**usual | SMALL | {"reader_widths": (16,)} | settings)
    env = make("matrix:pd,horizon=5")
    roster = roster_of(env, {0: "self", 1: "tit_for_tat:tremble=0"})
    found = [update.metrics for update in module.train(config, env, roster)]
    number = lambda x: float(np.asarray(x).mean())
    return [{name: number(x) for name, x in found[i].items()} for i in (0, -1)]
