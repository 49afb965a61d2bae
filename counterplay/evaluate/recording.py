"""One episode as pictures: what happened, slot by slot."""

from functools import partial
from typing import NamedTuple

import jax
import jax.random as jr
import numpy as np

from counterplay.rollout import collect, open_lanes
from counterplay.seats import Roster
from counterplay.types import Env, Picture


class Frame(NamedTuple):
    """A state and what each seat has earned so far."""

    picture: Picture
    returns: np.ndarray


def record(env: Env, roster: Roster, seed: int = 0, greedy: bool = False) -> list[Frame]:
    """Plays one episode at the first table of the roster and draws every state."""
    one = Roster(roster.kinds, roster.tables[:1])
    kinds = sorted({chair.kind for chair in one.tables[0]})
    if len(kinds) < len(roster.kinds) or any(k.members > 1 for k in roster.kinds):
        raise ValueError("recording wants one table at which every policy of the roster sits")
    seating = one.seating(1)
    key = jr.key(seed)
    lanes = open_lanes(env, seating, one.others, key)
    move = jax.jit(partial(collect, env, seating, one.others, slots=1, greedy=greedy, starts=1))
    step = jax.jit(env.step)
    returns = np.zeros(env.num_seats)
    first = lambda tree: jax.tree.map(lambda x: x[0], tree)
    frames = [Frame(env.render(first(lanes.state)), returns)]
    for t in range(env.horizon):
        state = first(lanes.state)
        lanes, chunk = move(lanes, jr.fold_in(key, t))
        slot = {name: np.asarray(x)[0, 0] for name, x in chunk.slots.items()}
        returns = returns + slot["reward"]
        frames.append(Frame(env.render(step(state, slot["actions"])[0]), returns))
        if slot["terminated"] or slot["truncated"]:
            break
    return frames
