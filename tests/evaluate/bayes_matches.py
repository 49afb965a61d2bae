"""Matches of ``bayes`` in ordinary rollouts, with what it knew in every slot."""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.random as jr
import numpy as np

from counterplay import envs, opponents
from counterplay.opponents.sets import members
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes


class Played(NamedTuple):
    """``reward`` [L, T] is mine; the rest is of the other, or of the first of several."""

    reward: Any
    episode: Any
    """Of its match, [L, T]."""
    time: Any
    member: Any
    """Its place in the training set, or -1, [L, T]."""
    move: Any
    goal: Any
    types: Any
    """[L, T, Y]"""
    predicted: Any
    """[L, T, A]"""
    belief: Any
    """[L, T, G]; None where there are no goals."""
    legal: Any
    """Of its moves, [L, T, A]; none where it is away."""
    unfair: Any


@cache
def played(game: str, other: str, lanes: int, slots: int, match: int, me: int = 0) -> Played:
    env: Any = envs.make(game)
    n = env.num_seats
    roster = roster_of(env, {seat: "bayes" if seat == me else other for seat in range(n)})
    seating = roster.seating(lanes)
    policies = roster.others

    def whole(policies, key):
        start_key, play_key = jr.split(key)
        begun = open_lanes(env, seating, policies, start_key)
        return collect(
            env, seating, policies, begun, play_key, slots=slots, match=match, watch=True
        )[1]

    chunk = jax.device_get(jax.jit(whole)(policies, jr.key(11)))
    where = [kind.name for kind in roster.kinds].index("bayes")
    asked = ("types", "predict", "belief")
    told = {name: x[0][:, :, 0] for name, x in chunk.records[where].items() if name in asked}
    s, j = chunk.slots, (me + 1) % n
    known = [m.partition(":")[0] for m in members(envs.game_of(env), "train")]
    place = {opponents.names(envs.game_of(env)).index(name): i for i, name in enumerate(known)}
    member = np.vectorize(lambda x: place.get(int(x), -1))(s["type_id"][:, :, j])
    begins = np.cumsum(s["time"] == 0, axis=1) - 1
    matches = np.cumsum(s["contact"], axis=1) - 1
    return Played(
        s["reward"][:, :, me], begins - matches * match, s["time"], member, s["actions"][:, :, j],
        s["goal"][:, :, j], told["types"], told["predict"], told.get("belief"),
        s["avail_actions"][:, :, j], s["unfair"].sum(),
    )  # fmt: skip


def by_episode(one: Played, first: int, last: int) -> float:
    """Mean return of an episode, of those from ``first`` to before ``last``."""
    there = (one.episode >= first) & (one.episode < last)
    return float(one.reward[there].sum() / (there & (one.time == 0)).sum())
