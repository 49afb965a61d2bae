"""One episode as pictures: what happened, slot by slot."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.random as jr
import numpy as np

from counterplay.evaluate.watching import Watching, told_of, watched, whole_matches
from counterplay.opponents.rule import Mixture
from counterplay.rollout import collect, open_lanes
from counterplay.seats import Roster
from counterplay.types import Env, Picture


class Frame(NamedTuple):
    """A state and what each seat has earned so far."""

    picture: Picture
    returns: np.ndarray


class Recorded(NamedTuple):
    """A match, or as much of it as was played."""

    frames: list[Frame]
    """Every state, with what each seat has earned in the episode."""
    slots: list[int]
    """Of every frame the slot of the match in which it is shown, the last one for its end."""
    watching: Watching
    """One row: what everybody thought, the seat under evaluation first."""


def record_match(
    env: Env,
    roster: Roster,
    seat: int,
    *,
    known: Mixture | None = None,
    match: int = 1,
    most: int = 100,
    seed: int = 0,
    greedy: bool = False,
) -> Recorded:
    """Plays episodes of one match at the first table, until it ends or ``most`` slots are over.

    The last episode is played to its end. With ``known`` its rules watch from every other seat.
    """
    one = replace(roster, tables=roster.tables[:1], labels=(), focal=(seat,))
    _check_table(one)
    one = one if known is None else watched(one, known)
    seating = one.seating(1)
    key = jr.key(seed)
    lanes = open_lanes(env, seating, one.others, key)
    size = {"slots": 1, "match": match, "greedy": greedy, "starts": 1, "watch": True}
    move = jax.jit(partial(collect, env, seating, one.others, **size))
    step = jax.jit(env.step)
    first = lambda tree: jax.tree.map(lambda x: x[0], tree)
    frames, slots, parts = [], [], []
    played, episodes, nothing = 0, 0, np.zeros(env.num_seats)
    while episodes < match and (played < most or not bool(lanes.first[0])):
        if bool(lanes.first[0]):
            frames.append(Frame(env.render(first(lanes.state)), nothing))
            slots.append(played)
        state = first(lanes.state)
        lanes, chunk = move(lanes, jr.fold_in(key, len(parts)))
        parts.append(jax.tree.map(np.asarray, told_of(seating, np.array([seat]), chunk)))
        slot = {name: np.asarray(x)[0, 0] for name, x in chunk.slots.items()}
        if slot["closing"]:
            continue
        played, episodes = played + 1, episodes + int(parts[-1]["ended"][0, 0])
        frames.append(Frame(env.render(step(state, slot["actions"])[0]), slot["returns"]))
        slots.append(played)
    last = [min(slot, played - 1) for slot in slots]
    return Recorded(frames, last, whole_matches(env, parts, match, np.array([seat])))


def _check_table(one: Roster) -> None:
    kinds = {chair.kind for chair in one.tables[0]}
    if len(kinds) < len(one.kinds) or any(k.members > 1 for k in one.kinds):
        raise ValueError("recording wants one table at which every policy of the roster sits")


def record(env: Env, roster: Roster, seed: int = 0, greedy: bool = False) -> list[Frame]:
    """Plays one episode at the first table of the roster and draws every state."""
    one = Roster(roster.kinds, roster.tables[:1])
    _check_table(one)
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
