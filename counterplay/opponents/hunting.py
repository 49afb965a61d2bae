"""More rules for the stag hunt: when somebody goes for a stag, and whom they go by.

As in ``stag_hunt`` they hunt what they aim at when on it, else step nearer, and without prey of
the kind they want they go for the other. None of them remembers anything.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.stag_hunt import (
    CAUGHT_HARE,
    CAUGHT_STAG,
    STAY,
    StagHunt,
)
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.opponents.stag_hunt import Aim, Board, first_present, pursue, read
from counterplay.opponents.walking import distances
from counterplay.types import NO_EVENT, Memory, View


class Hunter(eqx.Module):
    """Whoever goes straight for what it aims at; a rule says what that is."""

    size: eqx.AbstractVar[int]

    @abstractmethod
    def aim(self, board: Board, view: View) -> Aim:
        """The prey it is after."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        board = read(view, self.size)
        return pursue(board, self.aim(board, view), view, self.size)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return jnp.where(view.alive[0], self.aim(read(view, self.size), view).kind, NO_EVENT)


class GivesUp(Hunter):
    """Goes for a stag before slot ``t0`` of the episode, for a hare from then on. Ours."""

    size: int = eqx.field(static=True)
    t0: int = eqx.field(static=True)

    def aim(self, board: Board, view: View) -> Aim:
        return stag_or_hare(board, board.stags & (view.time < self.t0))


class NearestOfAll(Hunter):
    """Goes for a stag that is at most ``slack`` steps farther than the nearest hare.

    Ours: a hunter who weighs a stag that may fail against a hare that cannot (Skyrms 2004, ch. 1)
    by the way to them.
    """

    size: int = eqx.field(static=True)
    slack: int = eqx.field(static=True)

    def aim(self, board: Board, view: View) -> Aim:
        far = 2 * self.size
        away = distances(board.me, self.size)
        to_hare = jnp.where(board.hares, away, far).min()
        return stag_or_hare(board, board.stags & (away <= to_hare + self.slack))


class Cautious(Hunter):
    """Goes for a stag when another player is within so many steps of it. Ours.

    One who joins others and does not lead: the stag hunt as a matter of assurance, Sen (1967).
    """

    size: int = eqx.field(static=True)
    within: int = eqx.field(static=True)

    def aim(self, board: Board, view: View) -> Aim:
        near = from_others(board, self.size).min(0) <= self.within
        return stag_or_hare(board, board.stags & near)


class Follower(Hunter):
    """Goes for the prey nearest to the nearest other player, ties to the first seat. Ours.

    To do as one's neighbours: Skyrms (2004), ch. 3. Alone, it goes for the prey nearest to itself.
    """

    size: int = eqx.field(static=True)

    def aim(self, board: Board, view: View) -> Aim:
        far = from_others(board, self.size)
        steps = jnp.where(board.me[None], far, 0).sum(1)
        leader = jnp.where(jnp.arange(len(steps)) == jnp.argmin(steps), 1, 0)
        theirs = (far * leader[:, None]).sum(0)
        away = jnp.where(board.others.any(), theirs, distances(board.me, self.size))
        prey = board.stags | board.hares
        target = jnp.argmin(jnp.where(prey, away, 4 * self.size))
        one = prey & (jnp.arange(len(prey)) == target)
        return stag_or_hare(board._replace(hares=board.hares & one), board.stags & one)


class Waiter(eqx.Module):
    """Goes to the nearest stag and hunts once somebody else is there too, waiting till then.

    Ours: a stag hunter who moves second (Skyrms 2004, ch. 1). Without stags it goes for hares.
    """

    size: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        board = read(view, self.size)
        here = board.me & board.stags
        waits = here.any() & ~(board.others & here[None]).any()
        hunts = pursue(board, stag_or_hare(board, board.stags), view, self.size)
        return jnp.where(waits, any_of(jnp.arange(view.legal.shape[0]) == STAY), hunts)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        board = read(view, self.size)
        return jnp.where(view.alive[0], stag_or_hare(board, board.stags).kind, NO_EVENT)


class Wavering(eqx.Module):
    """In every slot anew, goes for a stag that often and for a hare otherwise; has no goal.

    Ours: the mixed equilibrium of the stag hunt in Skyrms (2004), ch. 1, put on a board.
    """

    size: int = eqx.field(static=True)
    stag: float = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        board = read(view, self.size)
        nothing = jnp.zeros_like(board.stags)
        aims = stag_or_hare(board, board.stags), stag_or_hare(board, nothing)
        stag, hare = (jnp.exp(pursue(board, aim, view, self.size)) for aim in aims)
        return jnp.log(self.stag * stag + (1 - self.stag) * hare)


def stag_or_hare(board: Board, wanted: Bool[Array, " cells"]) -> Aim:
    """The stags wanted; where there is none hares, and stags at last."""
    stag, hare = jnp.int32(CAUGHT_STAG), jnp.int32(CAUGHT_HARE)
    return first_present([Aim(stag, wanted), Aim(hare, board.hares), Aim(stag, board.stags)])


def from_others(board: Board, size: int) -> Int[Array, "M cells"]:
    """Steps from each other player to every cell; far away where there is no such player."""
    away = jax.vmap(lambda player: distances(player, size))(board.others)
    return jnp.where(board.others.any(1, keepdims=True), away, 2 * size)


def gives_up(env: StagHunt, tremble: float = 0.0, t0: int = 5) -> Rule:
    if t0 < 1:
        raise ValueError(f"gives_up: t0 must be slot 1 or later, found {t0}; see nearest_hare")
    return Rule(GivesUp(env.size, t0), tremble)


def nearest_prey(env: StagHunt, tremble: float = 0.0, slack: int = 0) -> Rule:
    return Rule(NearestOfAll(env.size, slack), tremble)


def cautious(env: StagHunt, tremble: float = 0.0, within: int = 1) -> Rule:
    if within < 0:
        raise ValueError(f"cautious: within must be 0 steps or more, found {within}")
    return Rule(Cautious(env.size, within), tremble)


def follower(env: StagHunt, tremble: float = 0.0) -> Rule:
    return Rule(Follower(env.size), tremble)


def waiter(env: StagHunt, tremble: float = 0.0) -> Rule:
    return Rule(Waiter(env.size), tremble)


def wavering(env: StagHunt, tremble: float = 0.0, stag: float = 0.5) -> Rule:
    if not 0 <= stag <= 1:
        raise ValueError(f"wavering: stag is a probability, found {stag}")
    return Rule(Wavering(env.size, stag), tremble)
