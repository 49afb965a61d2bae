"""The four heuristics that come with level-based foraging, H1 to H4 of lbforaging.

Each aims at one of the foods that it sees, by straight distance, ties to the first cell. Beside
it it loads; else it takes a step that brings it nearer, up or down before left or right. Where no
food will do, or no such step is free, its move is any legal one. None of them remembers anything,
and whom or what they do not see they know nothing of.
"""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.foraging import DOWN, LEFT, LOAD, RIGHT, TEAM, UP, Foraging
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.types import NO_EVENT, Memory, View

Point = tuple[Array, Array]
"""Row and column in the window; the middle of several players is rounded, halves to even."""


class Seen(NamedTuple):
    """What a player sees in its window, cells row by row."""

    me: Point
    centre: Point
    """The middle of all players that it sees, itself too."""
    foods: Int[Array, " cells"]
    """Their levels; 0 where there is none."""
    mine: Int[Array, ""]
    together: Int[Array, ""]
    """The levels of all players that it sees, its own too."""
    slots: Bool[Array, " X"]
    """Which foods, by number, it sees."""


class Heuristic(eqx.Module):
    """Goes for a food near a point; a rule says which will do, and near what."""

    env: eqx.AbstractVar[Foraging]

    @abstractmethod
    def aim(self, seen: Seen) -> tuple[Bool[Array, " cells"], Point]:
        """Cells of the foods that will do, and the point from which the nearest is sought."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        seen = read(view, self.env)
        wanted, start = self.aim(seen)
        towards = steps(seen.me, nearest(wanted, start, self.env.window), view.legal)
        return any_of(jnp.where(wanted.any() & towards.any(), towards, view.legal))

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        """The number of the food that it aims at."""
        seen = read(view, self.env)
        wanted, start = self.aim(seen)
        row, col = nearest(wanted, start, self.env.window)
        cell = row * self.env.window + col
        # numbers and cells of what is seen have one order
        before = ((seen.foods > 0) & (jnp.arange(len(seen.foods)) < cell)).sum()
        number = jnp.argmax(seen.slots & (jnp.cumsum(seen.slots) == before + 1))
        return jnp.where(wanted.any(), number, NO_EVENT)


class H1(Heuristic):
    """Goes for the nearest food."""

    env: Foraging = eqx.field(static=True)

    def aim(self, seen: Seen) -> tuple[Bool[Array, " cells"], Point]:
        return seen.foods > 0, seen.me


class H2(Heuristic):
    """Goes for the food nearest to the middle of the players."""

    env: Foraging = eqx.field(static=True)

    def aim(self, seen: Seen) -> tuple[Bool[Array, " cells"], Point]:
        return seen.foods > 0, seen.centre


class H3(Heuristic):
    """Goes for the nearest food that it can load alone."""

    env: Foraging = eqx.field(static=True)

    def aim(self, seen: Seen) -> tuple[Bool[Array, " cells"], Point]:
        return (seen.foods > 0) & (seen.foods <= seen.mine), seen.me


class H4(Heuristic):
    """Goes for the food nearest to the middle of the players that all of them can load together."""

    env: Foraging = eqx.field(static=True)

    def aim(self, seen: Seen) -> tuple[Bool[Array, " cells"], Point]:
        return (seen.foods > 0) & (seen.foods <= seen.together), seen.centre


def read(view: View, env: Foraging) -> Seen:
    """What an encoded observation shows, in whole numbers."""
    players, cells = env.players, env.window**2
    planes = view.obs[: (players + 1) * cells].reshape(-1, cells)
    strong, needs, _ = jnp.split(view.obs[planes.size :], [players, players + env.foods])
    levels = jnp.rint(strong * env.max_level).astype(jnp.int32)
    highest = env.max_level * min(players, TEAM)
    row, col = jnp.divmod(jnp.arange(cells), env.window)
    there = planes[:players] > 0
    count = there.sum()
    middle = lambda places: jnp.rint(jnp.where(there, places[None], 0).sum() / count)
    own = lambda places: jnp.where(there[0], places, 0).sum()
    return Seen(
        me=(own(row), own(col)),
        centre=(middle(row), middle(col)),
        foods=jnp.rint(planes[players] * highest).astype(jnp.int32),
        mine=levels[0],
        together=levels.sum(),
        slots=needs > 0,
    )


def nearest(wanted: Bool[Array, " cells"], start: Point, window: int) -> Point:
    """The first of the wanted cells that are nearest to a point."""
    row, col = jnp.divmod(jnp.arange(window**2), window)
    far = (row - start[0]) ** 2 + (col - start[1]) ** 2
    cell = jnp.argmin(jnp.where(wanted, far.astype(jnp.float32), jnp.inf))
    return cell // window, cell % window


def steps(me: Point, target: Point, legal: Bool[Array, " A"]) -> Bool[Array, " A"]:
    """The one move that loads the target or leads nearer; none where there is no such move."""
    down, right = target[0] - me[0], target[1] - me[1]
    move = jnp.int32(-1)
    # what comes later comes first
    for action, good in ((LEFT, right < 0), (RIGHT, right > 0), (DOWN, down > 0), (UP, down < 0)):
        move = jnp.where(good & legal[action], action, move)
    move = jnp.where(abs(down) + abs(right) == 1, LOAD, move)
    return jnp.arange(legal.shape[0]) == move


def h1(env: Foraging, tremble: float = 0.0) -> Rule:
    return Rule(H1(env), tremble)


def h2(env: Foraging, tremble: float = 0.0) -> Rule:
    return Rule(H2(env), tremble)


def h3(env: Foraging, tremble: float = 0.0) -> Rule:
    return Rule(H3(env), tremble)


def h4(env: Foraging, tremble: float = 0.0) -> Rule:
    return Rule(H4(env), tremble)
