"""Long matches of games of hidden information, many at once, with a filter that watches."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from counterplay.opponents.rule import Mixture
from counterplay.views import Last, cut_views, select


class Played(NamedTuple):
    """Of every slot, before its moves, [T, L, ...]."""

    told: Any
    member: Any
    intent: Any
    first: Any
    cell: Any


def play(
    env: Any, exact: Any, rules: Any, player: Any, lanes: int, slots: int, seat: int = 0
) -> Played:
    """Matches of one of the rules, all equally likely, against who moves by the logits of
    ``player`` in a seat, for whom the filter watches.
    """
    pool = Mixture(tuple(rules))

    def one(key):
        reset_key, begin_key, key = jr.split(key, 3)
        state, shown = env.reset(reset_key)
        views = cut_views(env, shown, Last.nothing(2), jnp.int32(0), jnp.array(True))
        memory, carry = pool.begin(begin_key, None), exact.begin(None)

        def slot(carried, key):
            state, views, time, memory, carry, begins = carried
            begin_key, my_key, key, reset_key = jr.split(key, 4)
            memory = select(begins, pool.begin(begin_key, memory), memory)
            carry = select(begins, exact.begin(carry), carry)
            mine, theirs = (jax.tree.map(lambda x, i=i: x[i], views) for i in (seat, 1 - seat))
            seen = Played(exact.told(carry), pool.member(memory), pool.intent(memory, theirs),
                          mine.first, state.players[1 - seat])  # fmt: skip
            move = jr.categorical(my_key, player(mine))
            done = pool.act(key, memory, theirs, False)
            joint = jnp.stack([move, done.action])[:: 1 - 2 * seat]
            state, shown = env.step(state, joint)
            last, over = Last(joint, shown.reward, shown.event, shown.visible), shown.terminated
            state, shown = select(over, env.reset(reset_key), (state, shown))
            time = jnp.where(over, 0, time + 1)
            views = cut_views(env, shown, last, time, over)
            carry = exact.update(carry, mine, move, jax.tree.map(lambda x: x[seat], views))
            return (state, views, time, done.memory, carry, over), seen

        start = (state, views, jnp.int32(0), memory, carry, jnp.array(False))
        return jax.lax.scan(slot, start, jr.split(key, slots))[1]

    played = jax.jit(jax.vmap(one, out_axes=1))(jr.split(jr.key(7), lanes))
    return jax.tree.map(lambda x: np.asarray(x), played)


def check_calibration(belief: np.ndarray, truth: np.ndarray, floor: float = 0.0) -> None:
    """Of independent predictions [L, K] as many come true as they say, bin by bin; and they lose
    as many nats as they expect to. Within 4.5 standard errors, plus ``floor``.
    """
    assert truth.min() >= 0 and (abs(belief.sum(1) - 1) < 1e-4).all()
    came = np.arange(belief.shape[1])[None] == truth[:, None]
    for low in np.arange(0, 1, 0.1):
        there = (belief >= low) & (belief < low + 0.1)
        if there.sum() < 30:
            continue
        said, happened = belief[there].mean(), came[there].mean()
        error = np.sqrt(max(said * (1 - said), 1e-3) / there.sum())
        assert abs(said - happened) < 4.5 * error + floor, (low, said, happened)
    log = np.log(np.maximum(belief, 1e-12))
    excess = (belief * log).sum(1) - (came * log).sum(1)
    assert abs(excess.mean()) < 4.5 * excess.std() / np.sqrt(len(excess)) + 1e-3 + floor


def wandering(view: Any) -> Any:
    """Logits of a player of seat 0 who moves at random and seldom stays."""
    eager = jnp.arange(view.legal.shape[0]) < 4
    return jnp.where(view.legal, jnp.where(eager, 0.0, -2.0), -jnp.inf)
