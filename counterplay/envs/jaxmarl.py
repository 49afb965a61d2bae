"""JaxMARL's games, inside jit (Rutherford et al. 2024, arXiv:2311.10090).

``jaxmarl:NAME[,setting=value...]``, for example ``jaxmarl:overcooked,layout=cramped_room`` or
``jaxmarl:SMAX,scenario=3m``; settings go to the game. The games are stepped without their own
reset: the rollout begins episodes, from a pool of start states.

What every player sees is laid flat and padded with zeros to the widest; small integers stay
integers. Actions beyond a player's own are never legal, nor are those that the game says it does
not offer. Rewards and ends may be told by name or in the order of the players. ``shaped=1`` adds,
with that weight, what a game pays for steps on the way (``shaped_reward``, as overcooked has it).

Time limits. JaxMARL has one word, done, for the end of a game and for running out of time. An
episode that is done when its limit is reached is truncated, unless the game can be asked and has
ended by its own rules. A player who is done while the episode goes on has left; what the game pays
to those who left is not theirs any more.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from counterplay.envs.jaxmarl_games import (
    Sizes,
    by_player,
    ends,
    flat,
    like,
    limit_of,
    make,
    named,
    own_end,
    sizes_of,
)
from counterplay.envs.making import split_game
from counterplay.names import Value
from counterplay.types import NO_EVENT, Picture, TimeStep


class State(NamedTuple):
    """A state of the game, and what the game does not keep itself."""

    game: Any
    key: PRNGKeyArray
    """Of the episode; every step folds in its number."""
    time: Int[Array, ""]
    alive: Bool[Array, " N"]
    idle: Int[Array, " N"]
    """The first action that the game offers to each, which it is given where a player has left."""


@dataclass(frozen=True)
class JaxMarl:
    """One of JaxMARL's games. Two are equal where name and settings are."""

    name: str
    """As typed, without settings."""
    settings: tuple[tuple[str, Value], ...]
    horizon: int
    """Moves after which an episode is cut short, if the game does not do so itself."""
    see_moves: bool
    """Everyone sees what the others did; the games do not say whether that is so."""
    shaped: float
    """Weight of the game's rewards for steps on the way."""
    game: Any = field(compare=False, repr=False)
    sizes: Sizes = field(compare=False, repr=False)

    num_goals = 0
    public_legal = False
    public_events = False

    @property
    def num_seats(self) -> int:
        return len(self.sizes.agents)

    @property
    def num_actions(self) -> int:
        return max(self.sizes.actions)

    @property
    def obs_shape(self) -> tuple[int]:
        return (max(self.sizes.widths),)

    @property
    def obs_dtype(self) -> np.dtype:
        return self.sizes.dtype

    @cached_property
    def limit(self) -> int | None:
        return limit_of(self.game)

    def encode(self, obs: Shaped[Array, " D"]) -> Float[Array, " F"]:
        return obs.astype(jnp.float32)

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        reset_key, episode_key = jr.split(key)
        obs, game = self.game.reset(reset_key)
        everyone, no = jnp.ones(self.num_seats, bool), jnp.zeros((), bool)
        game = like(game, self.sizes.state)
        offered = self._offered(game)
        state = State(game, episode_key, jnp.int32(0), everyone, offered.argmax(1))
        return state, self._show(state, obs, offered, jnp.zeros(self.num_seats), no, no)

    def rekeyed(self, state: State, key: PRNGKeyArray) -> State:
        """The same situation, after which other lots are drawn."""
        return state._replace(key=key)

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        """In place of players who have left, the game is given their first legal action."""
        agents, key = self.sizes.agents, jr.fold_in(state.key, state.time)
        moves = jnp.where(state.alive, actions, state.idle)
        told = named(agents, list(moves.astype(jnp.int32)))
        obs, game, paid, done, info = self.game.step_env(key, state.game, told)
        game, time = like(game, self.sizes.state), state.time + 1
        (over, out), late = ends(done, agents), time >= self.horizon
        by_rules, early = self._out_by_rules(state.game, moves, game), self._early(time)
        ended = over & (early | by_rules.all())
        cut = (over | late) & ~ended
        # when time is up everyone may be reported done: those who were there still are, but for
        # whom this very move put out
        here = jnp.where(cut & out.all(), state.alive & ~by_rules, ~out)
        reward = _numbers("rewards", paid, agents)
        if self.shaped:
            reward += self.shaped * _numbers("shaped rewards", info["shaped_reward"], agents)
        offered, reward = self._offered(game), jnp.where(state.alive, reward, 0.0)
        after = State(game, state.key, time, here, offered.argmax(1))
        return after, self._show(after, obs, offered, reward, ended, cut)

    def render(self, state: State) -> Picture:
        from counterplay.envs.jaxmarl_pictures import picture

        return picture(self, state)

    def _early(self, time: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether an end that the game reports now cannot be its time limit."""
        return jnp.array(True) if self.limit is None else time < self.limit

    def _out_by_rules(self, before: Any, moves: Int[Array, " N"], game: Any) -> Bool[Array, " N"]:
        """Who is known to be out also where time is up; nobody in games that cannot be asked."""
        asked = own_end(self.game)
        nobody = jnp.zeros(self.num_seats, bool)
        return nobody if asked is None else asked(before, moves, game)

    def _offered(self, game: Any) -> Bool[Array, "N A"]:
        """What the game offers to everyone, also to those who have left."""
        own = jnp.asarray(np.arange(self.num_actions) < np.asarray(self.sizes.actions)[:, None])
        if self.sizes.mask is None:
            return own
        found = getattr(self.game, self.sizes.mask)(game)
        masks = by_player(f"{self.sizes.mask}()", found, self.sizes.agents)
        rows = [flat(mask, np.dtype(bool), self.num_actions) for mask in masks]
        return own & jnp.stack(rows)

    def _show(
        self,
        state: State,
        obs: Any,
        offered: Bool[Array, "N A"],
        reward: Float[Array, " N"],
        terminated: Bool[Array, ""],
        truncated: Bool[Array, ""],
    ) -> TimeStep:
        n, alive, (width,) = self.num_seats, state.alive, self.obs_shape
        seen = by_player("observations", obs, self.sizes.agents)
        rows = jnp.stack([flat(one, self.obs_dtype, width) for one in seen])
        return TimeStep(
            obs=jnp.where(alive[:, None], rows, 0).astype(self.obs_dtype),
            legal=offered & alive[:, None],
            alive=alive,
            reward=reward,
            event=jnp.full(n, NO_EVENT),
            visible=jnp.ones((n, n), bool) if self.see_moves else jnp.eye(n, dtype=bool),
            terminated=terminated,
            truncated=truncated,
        )


def _numbers(what: str, found: Any, agents: tuple[Any, ...]) -> Float[Array, " N"]:
    return jnp.stack([jnp.asarray(x, jnp.float32) for x in by_player(what, found, agents)])


def make_jaxmarl(text: str) -> JaxMarl:
    """The game that the text names, read and checked."""
    head, settings, ours = split_game(text)
    shaped = settings.pop("shaped", 0)
    if not isinstance(shaped, int | float):
        raise ValueError(f"{head}: shaped is a weight, found {shaped!r}")
    game = make(head.partition(":")[2], head, settings)
    moves = [limit for limit in (limit_of(game), ours.get("horizon")) if limit is not None]
    if not moves:
        raise ValueError(
            f"{head} does not say how long an episode may last: give the most moves an episode "
            f"may have, for example {head},horizon=100; longer ones are then cut short"
        )
    sizes = sizes_of(game, head)
    if shaped and not sizes.shaped:
        raise ValueError(f"{head}: shaped is {shaped}, but the game tells no rewards on the way")
    options = (tuple(settings.items()), min(moves), ours.get("see_moves", True), float(shaped))
    return JaxMarl(head, *options, game, sizes)
