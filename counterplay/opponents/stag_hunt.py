"""Rules for the stag hunt. All but ``stay`` are after one kind of prey, and hunt when on it.

They read the board as shown: what is out of view counts as gone, and somebody who sees no prey
takes any legal step. Ties go to the first cell, row by row. A step towards the prey is drawn from
those that bring it nearer; when obstacles bar them all, from every legal step.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.stag_hunt import CAUGHT_HARE, CAUGHT_STAG, HUNT_STAG, STAY, StagHunt
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.opponents.walking import distances, steps_to
from counterplay.types import NO_EVENT, Memory, View


class Board(NamedTuple):
    """The planes of an encoded observation: where I am, each other player, and the prey."""

    me: Bool[Array, " cells"]
    others: Bool[Array, "M cells"]
    stags: Bool[Array, " cells"]
    hares: Bool[Array, " cells"]


class Aim(NamedTuple):
    """The kind of prey somebody is after (NO_EVENT: none), and the cells where it would do."""

    kind: Int[Array, ""]
    cells: Bool[Array, " cells"]


class NearestPrey(eqx.Module):
    """Goes for the nearest prey of its kind, or of the other kind when its own is gone.

    Ours: the two pure strategies of the stag hunt in Skyrms (2004), ch. 1, put on a board.
    """

    size: int = eqx.field(static=True)
    kind: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return pursue(read(view, self.size), self.aim(view), view, self.size)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return jnp.where(view.alive[0], self.aim(view).kind, NO_EVENT)

    def aim(self, view: View) -> Aim:
        board = read(view, self.size)
        order = [Aim(jnp.int32(CAUGHT_STAG), board.stags), Aim(jnp.int32(CAUGHT_HARE), board.hares)]
        return first_present(order if self.kind == CAUGHT_STAG else order[::-1])


class Adaptive(eqx.Module):
    """Goes for a stag that another player seems to be after, else for the nearest hare.

    The other seems to be after a stag when nobody else but me is nearer to that stag and every
    hare is farther from it. Ours.
    """

    size: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return pursue(read(view, self.size), self.aim(view), view, self.size)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return jnp.where(view.alive[0], self.aim(view).kind, NO_EVENT)

    def aim(self, view: View) -> Aim:
        board, far = read(view, self.size), 2 * self.size
        away = jax.vmap(lambda player: distances(player, self.size))(board.others)
        away = jnp.where(board.others.any(1, keepdims=True), away, far)
        to_hare = jnp.where(board.hares[None], away, far).min(1, keepdims=True)
        nearest = away == away.min(0, keepdims=True)
        joined = board.stags & (nearest & (away < to_hare)).any(0)
        stag, hare = jnp.int32(CAUGHT_STAG), jnp.int32(CAUGHT_HARE)
        return first_present([Aim(stag, joined), Aim(hare, board.hares), Aim(stag, board.stags)])


class Stay(eqx.Module):
    """Never moves."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return any_of(jnp.arange(view.legal.shape[0]) == STAY)


def read(view: View, size: int) -> Board:
    planes = view.obs[:-1].reshape(-1, size * size) > 0
    return Board(planes[0], planes[1:-3], planes[-3], planes[-2])


def first_present(order: list[Aim]) -> Aim:
    """The first aim that has a cell, else none."""
    found = Aim(jnp.int32(NO_EVENT), jnp.zeros_like(order[0].cells))
    for aim in reversed(order):
        present = aim.cells.any()
        found = Aim(*(jnp.where(present, new, old) for new, old in zip(aim, found, strict=True)))
    return found


def pursue(board: Board, aim: Aim, view: View, size: int) -> Float[Array, " A"]:
    """Hunts when on the prey, else steps towards the nearest of the cells it aims at."""
    walk = steps_to(aim.cells, board.me, view.legal, size)
    hunt = jnp.arange(view.legal.shape[0]) == HUNT_STAG + aim.kind
    return any_of(jnp.where((board.me & aim.cells).any(), hunt, walk))


def nearest_stag(env: StagHunt, tremble: float = 0.0) -> Rule:
    return Rule(NearestPrey(env.size, CAUGHT_STAG), tremble)


def nearest_hare(env: StagHunt, tremble: float = 0.0) -> Rule:
    return Rule(NearestPrey(env.size, CAUGHT_HARE), tremble)


def adaptive(env: StagHunt, tremble: float = 0.0) -> Rule:
    return Rule(Adaptive(env.size), tremble)


def stay(env: StagHunt, tremble: float = 0.0) -> Rule:
    return Rule(Stay(), tremble)
