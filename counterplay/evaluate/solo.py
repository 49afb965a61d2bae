"""A match against a pool of opponents as a game for one player, who may be told about them.

This is how the references of a scenario are learnt. What is told makes the player ``blind``
(nothing: all zeros), a ``filter`` (the exact posterior over the other's type, and what follows
from it for the next move) or an ``oracle`` (the true type, and the same under it). One network
can learn all three, because the last three features say which it is.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.opponents.rule import Mixture
from counterplay.types import NO_EVENT, NO_MOVE, Env, TimeStep, View
from counterplay.views import Last, cut_views, select

BLIND, FILTER, ORACLE = range(3)
MODES = ("blind", "filter", "oracle")


class Reader(Protocol):
    """An exact inference, from what one seat sees, over the others of one pool.

    Written for one lane. In every slot ``look`` takes in what is seen, ``told`` is asked, and
    ``moved`` takes in what was done.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Others, types, and numbers that say what each other is about to do."""
        ...

    def begin(self, carry: Any) -> Any:
        """At every first slot; ``carry`` is None at first contact."""
        ...

    def look(self, carry: Any, views: View) -> Any:
        """``views`` are those of all seats, leaves [N, ...]; it may use what its seat can know."""
        ...

    def told(self, carry: Any) -> tuple[Float[Array, "M Y"], Float[Array, "M X"]]:
        """The posterior over each other's type, and what each is about to do."""
        ...

    def truth(
        self, carry: Any, member: Int[Array, " M"], log_probs: Float[Array, "M A"], goal: Array
    ) -> Float[Array, "M X"]:
        """What each is about to do in truth, in the form in which ``told`` has it."""
        ...

    def moved(self, carry: Any, moves: Int[Array, " N"]) -> Any: ...


def flags(mode: Int[Array, ""]) -> Float[Array, "3"]:
    """Which mode it is, as a network is told."""
    return (jnp.arange(len(MODES)) == mode).astype(jnp.float32)


class Match(NamedTuple):
    """Everything that a match carries from slot to slot."""

    game: Any
    shown: TimeStep
    last: Last
    time: Int[Array, ""]
    episode: Int[Array, ""]
    mode: Int[Array, ""]
    memories: tuple[Any, ...]
    """Of each other, in the order of seats after mine."""
    carry: Any
    key: PRNGKeyArray


@dataclass(frozen=True)
class Solo:
    """Seat ``seat`` of a game, all other seats taken by members of one pool, a match an episode."""

    env: Env
    pool: Mixture
    """Each other is one of these for the match, all equally likely, drawn independently."""
    reader: Any
    """The exact inference over the others; see ``Reader``."""
    match: int = 20
    """Episodes a match."""
    seat: int = 0
    modes: tuple[int, ...] = (BLIND, FILTER, ORACLE)
    """Of which each match draws one. Without any, what a filter and what an oracle is told are
    both shown, for a ``Reference`` to choose from."""
    narrow: bool = True
    """Leaves out moves that a game knows to be worthless, where it has ``worthwhile``: no best
    policy makes them, and none has to be found by chance."""
    width: int | None = None
    """Types that there is room for; by default as many as the reader or the pool has."""

    num_seats = 1
    num_goals = 0
    public_legal = True
    public_events = True
    obs_dtype = np.dtype(np.float32)

    @property
    def num_actions(self) -> int:
        return self.env.num_actions

    @property
    def horizon(self) -> int:
        return self.match * self.env.horizon

    @property
    def others(self) -> tuple[int, ...]:
        n = self.env.num_seats
        return tuple((self.seat + k) % n for k in range(1, n))

    @cached_property
    def types(self) -> int:
        return self.width or max(len(self.pool.rules), self.reader.shape[1])

    @property
    def told(self) -> int:
        """Numbers that are told."""
        others, _, about = self.reader.shape
        return others * (self.types + about)

    @property
    def obs_shape(self) -> tuple[int]:
        env = self.env
        obs = jax.eval_shape(env.encode, jax.ShapeDtypeStruct(env.obs_shape, env.obs_dtype))
        return (obs.shape[0] + (self.told + len(MODES) if self.modes else 2 * self.told),)

    def encode(self, obs: Float[Array, " D"]) -> Float[Array, " F"]:
        return obs

    def render(self, state: Match) -> Any:
        return self.env.render(state.game)

    def reset(self, key: PRNGKeyArray) -> tuple[Match, TimeStep]:
        game_key, mode_key, key, *keys = jr.split(key, 3 + len(self.others))
        game, shown = self.env.reset(game_key)
        mode = jr.choice(mode_key, jnp.array(self.modes)) if self.modes else BLIND
        match = Match(
            game=game,
            shown=shown,
            last=Last.nothing(self.env.num_seats),
            time=jnp.int32(0),
            episode=jnp.int32(0),
            mode=jnp.int32(mode),
            memories=tuple(self.pool.begin(k, None) for k in keys),
            carry=self.reader.begin(None),
            key=key,
        )
        match = self._looked(match)
        return match, self._show(match, jnp.zeros(1), jnp.bool_(False))

    def step(self, state: Match, actions: Int[Array, " N"]) -> tuple[Match, TimeStep]:
        """After the last move of an episode the next one of the match is shown at once."""
        key, move_key, start_key = jr.split(state.key, 3)
        views, n = self._views(state), self.env.num_seats
        moves = (
            jnp.full(n, NO_MOVE, jnp.int32)
            .at[self.seat]
            .set(jnp.where(state.shown.alive[self.seat], actions[0], NO_MOVE))
        )
        memories = []
        for j, memory, k in zip(
            self.others, state.memories, jr.split(move_key, len(self.others)), strict=True
        ):
            view = jax.tree.map(lambda x, j=j: x[j], views)
            act = self.pool.act(k, memory, view, False)
            present = state.shown.alive[j]
            moves = moves.at[j].set(jnp.where(present, act.action, NO_MOVE))
            memories.append(select(present, act.memory, memory))
        game, shown = self.env.step(state.game, moves)
        acting = state.shown.alive
        last = Last(
            moves,
            jnp.where(acting, shown.reward, 0.0),
            jnp.where(acting, shown.event, NO_EVENT),
            shown.visible,
        )
        played = state._replace(
            game=game,
            shown=shown,
            last=last,
            time=state.time + 1,
            memories=tuple(memories),
            carry=self.reader.moved(state.carry, moves),
            key=key,
        )
        over = shown.terminated | shown.truncated
        # where I have left and others play on I wait: no move of mine, no reward
        after = select(over, self._next(played, start_key), played)
        done = over & (state.episode + 1 >= self.match)
        after = self._looked(after)
        return after, self._show(after, last.reward[self.seat][None], done)

    def _next(self, played: Match, key: PRNGKeyArray) -> Match:
        game_key, *keys = jr.split(key, 1 + len(self.others))
        game, shown = self.env.reset(game_key)
        begun = zip(keys, played.memories, strict=True)
        return played._replace(
            game=game,
            shown=shown,
            time=jnp.int32(0),
            episode=played.episode + 1,
            memories=tuple(self.pool.begin(k, memory) for k, memory in begun),
            carry=self.reader.begin(played.carry),
        )

    def _views(self, match: Match) -> View:
        return cut_views(self.env, match.shown, match.last, match.time, match.time == 0)

    def _looked(self, match: Match) -> Match:
        return match._replace(carry=self.reader.look(match.carry, self._views(match)))

    def _told(self, match: Match) -> Float[Array, " O"]:
        """What the mode of this match lets me know, [M (Y + X)] and the mode itself."""
        known, true = self._known(match)
        if not self.modes:
            return jnp.concatenate([known, true])
        told = jnp.where(match.mode == ORACLE, true, jnp.where(match.mode == FILTER, known, 0.0))
        return jnp.concatenate([told, flags(match.mode)])

    def _known(self, match: Match) -> tuple[Float[Array, " told"], Float[Array, " told"]]:
        """What a filter is told, and what an oracle is."""
        views = self._views(match)
        types, about = self.reader.told(match.carry)
        seen = [jax.tree.map(lambda x, j=j: x[j], views) for j in self.others]
        pairs = list(zip(match.memories, seen, strict=True))
        member = jnp.stack([self.pool.member(memory) for memory, _ in pairs])
        log_probs = jnp.stack([self.pool.log_probs(*pair) for pair in pairs])
        goal = jnp.stack([self.pool.intent(*pair) for pair in pairs])
        truth = self.reader.truth(match.carry, member, log_probs, goal)
        widened = jnp.pad(types, ((0, 0), (0, self.types - types.shape[1])))
        is_it = (member[:, None] == jnp.arange(self.types)[None]).astype(jnp.float32)
        known = jnp.concatenate([widened, about], 1)
        return known.ravel(), jnp.concatenate([is_it, truth], 1).ravel()

    def _open(self, match: Match) -> Bool[Array, " A"]:
        """The moves that I may make."""
        worthwhile = getattr(self.env, "worthwhile", None)
        if not self.narrow or worthwhile is None:
            return match.shown.legal[self.seat]
        return worthwhile(match.game)[self.seat]

    def _show(self, match: Match, reward: Float[Array, " one"], done: Bool[Array, ""]) -> TimeStep:
        shown, i = match.shown, self.seat
        obs = jnp.concatenate([self.env.encode(shown.obs[i]), self._told(match)])
        waiting = ~shown.alive[i]
        # a player who has left has one thing to do, which is nothing
        idle = jnp.arange(self.num_actions) == 0
        return TimeStep(
            obs=obs[None],
            legal=jnp.where(waiting, idle, self._open(match))[None],
            alive=jnp.ones(1, bool),
            reward=reward,
            event=jnp.full(1, NO_EVENT, jnp.int32),
            visible=jnp.ones((1, 1), bool),
            terminated=done,
            truncated=jnp.bool_(False),
        )
