"""Games whose rewards are dense: the same game, which also pays for every step towards a goal."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from counterplay.envs import corridors
from counterplay.envs.board import GONE
from counterplay.envs.coordination import Coordination
from counterplay.envs.race import Race
from counterplay.envs.stag_hunt import StagHunt
from counterplay.types import NO_EVENT, Picture, TimeStep

PAY = 0.02
"""Of a step, a fiftieth of what a target of a race pays: a way of ten is worth a fifth of it."""
FAR = 10_000
"""Steps to what is not there."""


def _in_corridors(game: Any, state: Any) -> Int[Array, "N 3"]:
    """Steps to each target."""
    here = jnp.where(state.players == GONE, 0, state.players)
    steps = jnp.asarray(corridors.distances())[:, here].T
    return jnp.where((state.targets == GONE)[None], FAR, steps)


def _in_hunt(game: StagHunt, state: Any) -> Int[Array, "N 2"]:
    """Steps to the nearest stag and to the nearest hare, on a board without obstacles."""

    def nearest(prey: Int[Array, " P"]) -> Int[Array, " N"]:
        apart = lambda x: abs(x(state.players)[:, None] - x(prey)[None])
        steps = apart(lambda cell: cell // game.size) + apart(lambda cell: cell % game.size)
        return jnp.where((prey == GONE)[None], FAR, steps).min(1, initial=FAR)

    return jnp.stack([nearest(state.stags), nearest(state.hares)], axis=1)


AWAY: dict[type, Callable[[Any, Any], Array]] = {
    Race: _in_corridors, Coordination: _in_corridors, StagHunt: _in_hunt,
}  # fmt: skip
"""(game, state) -> steps of every player to every goal."""


@dataclass(frozen=True)
class Dense:
    """A game in which a step that brings a player nearer to one goal alone pays a little, and is
    an event of that goal. The last slot of an episode is left as it is: rules remember its events.
    """

    game: Any
    pay: float = PAY

    def __post_init__(self):
        if type(self.game) not in AWAY:
            known = ", ".join(kind.__name__ for kind in AWAY)
            raise ValueError(f"a dense version is known of {known}, found {self.game}")

    num_seats = property(lambda self: self.game.num_seats)
    num_actions = property(lambda self: self.game.num_actions)
    num_goals = property(lambda self: self.game.num_goals)
    horizon = property(lambda self: self.game.horizon)
    obs_shape = property(lambda self: self.game.obs_shape)
    obs_dtype = property(lambda self: self.game.obs_dtype)
    public_legal = property(lambda self: self.game.public_legal)
    public_events = property(lambda self: self.game.public_events)

    def reset(self, key: PRNGKeyArray) -> tuple[Any, TimeStep]:
        return self.game.reset(key)

    def step(self, state: Any, actions: Int[Array, " N"]) -> tuple[Any, TimeStep]:
        after, shown = self.game.step(state, actions)
        away = AWAY[type(self.game)]
        nearer = away(self.game, after) < away(self.game, state)
        counts = (nearer.sum(1) == 1) & shown.alive & (shown.event == NO_EVENT)
        counts &= ~(shown.terminated | shown.truncated)
        event = jnp.where(counts, jnp.argmax(nearer, axis=1), shown.event)
        reward = jnp.where(counts, shown.reward + self.pay, shown.reward)
        return after, replace(shown, event=event, reward=reward)

    def encode(self, obs: Shaped[Array, " D"]) -> Float[Array, " F"]:
        return self.game.encode(obs)

    def render(self, state: Any) -> Picture:
        return self.game.render(state)
