"""Replies in pursuit: a catch at once, or which exit to guard, how long, and which one then."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from counterplay.envs import board
from counterplay.envs.pursuit import Pursuit
from counterplay.evaluate.hidden_pursuit import EXITS, PursuitFilter, pursuit_filter
from counterplay.evaluate.reading_hidden import Watched, first_contact, watch
from counterplay.opponents.general import any_of
from counterplay.opponents.pursuit import way_points
from counterplay.opponents.rule import Rule
from counterplay.opponents.walking import steps_towards
from counterplay.types import NO_MOVE, View


class PursuitMind(eqx.Module):
    """The filter as it watches; an evader, of whose pursuers no rule is known, learns nothing."""

    exact: PursuitFilter

    def begin(self, carry: Watched | None) -> Watched:
        return first_contact(self.exact, self.exact.env) if carry is None else carry

    def look(self, carry: Watched, view: View) -> Watched:
        move = view.moved[0]
        return watch(self.exact, carry._replace(move=move, pending=move != NO_MOVE), view)

    def types(self, carry: Watched) -> Float[Array, "1 Y"]:
        told = self.exact.told(carry.carry)[: len(self.exact.rules)]
        return jnp.where(evades(carry.view), 1 / told.shape[0], told)[None]

    def goals(self, carry: Watched, view: View) -> Float[Array, "1 4"]:
        told = self.exact.told(carry.carry)[-EXITS:]
        return jnp.where(evades(view), 1 / EXITS, told)[None]

    def moves(self, carry: Watched, view: View) -> Float[Array, "1 A"]:
        straight, ways, later = self.exact.ways_on(carry.carry)
        rows = jnp.concatenate([straight, ways.sum(1), later])
        moves = jnp.einsum("hc,hac->a", rows, self.exact.chances)
        return jnp.where(evades(view), 1 / moves.shape[0], moves)[None]


class Guard(eqx.Module):
    """Makes the move after which it meets the evader most likely: at once, or later, by going to
    one exit, staying there for a while and going on to another. As an evader it makes for the exit
    where it is furthest ahead of its pursuer.
    """

    env: Pursuit = eqx.field(static=True)
    ahead: Float[Array, "4 cells horizon"]
    """P(steps to the exit | cell) of who goes straight to it."""
    around: Float[Array, "4 4 cells horizon"]
    """The same, of who passes a way-point first."""

    def log_probs(self, mind: PursuitMind, carry: Watched, view: View) -> Float[Array, " A"]:
        size, cells = self.env.size, self.env.cells
        me = jnp.argmax(view.obs[:cells]).astype(jnp.int32)
        other = jnp.argmax(view.obs[cells : 2 * cells]).astype(jnp.int32)
        exits = jnp.array(self.env.exits, jnp.int32)
        flight = exits[jnp.argmax(self._steps(other) - self._steps(me))]
        walk = steps_towards(me, flight, view.legal, size)
        worth = self.worth(mind, carry, view, me)
        best = jnp.arange(worth.shape[0]) == jnp.argmax(jnp.where(view.legal, worth, -jnp.inf))
        return any_of(jnp.where(evades(view), walk, best))

    def arrivals(self, mind: PursuitMind, carry: Watched) -> Float[Array, "4 horizon"]:
        """P(exit, steps until the evader is there | all that was seen); less than 1 in all."""
        straight, ways, later = mind.exact.ways_on(carry.carry)
        soon = jnp.einsum("ec,ecn->en", straight + later, self.ahead)
        return soon + jnp.einsum("wec,wecn->en", ways, self.around)

    def worth(
        self, mind: PursuitMind, carry: Watched, view: View, me: Int[Array, ""]
    ) -> Float[Array, " A"]:
        """The chance of capture for each of my moves, as if to be caught at once and to be met
        later were independent.
        """
        straight, ways, later = mind.exact.ways_on(carry.carry)
        rows = jnp.concatenate([straight, ways.sum(1), later])
        after = jnp.einsum("hc,hcd->d", rows, mind.exact.steps)
        moves = jnp.arange(view.legal.shape[0])
        inside = board.steps_inside(jnp.broadcast_to(me, moves.shape), self.env.size)
        to = board.walk(jnp.broadcast_to(me, moves.shape), moves, inside, self.env.size)
        # a swap: it comes from where I go to where I stand
        towards = mind.exact.steps[:, :, me]
        swap = (rows * towards).sum(0)[to] * (to != me)
        caught = after[to] + swap
        steps = jnp.arange(self.env.horizon)
        arrive = self.arrivals(mind, carry)
        arrive = jnp.where(steps[None] < self.env.horizon - view.time + 1, arrive, 0.0)
        arrive = jnp.pad(arrive[:, 1:], ((0, 0), (0, 1))).at[:, 0].set(0.0)
        later_on = jax.vmap(lambda cell: self._guarding(arrive, cell))(to)
        return caught + (1 - caught) * later_on

    def _guarding(self, arrive: Float[Array, "4 horizon"], me: Int[Array, ""]) -> Float[Array, ""]:
        """The chance to meet the evader by the best plan of two exits."""
        steps, far = jnp.arange(self.env.horizon), self.env.size - 1  # from exit to exit
        here = self._steps(me)
        there = steps[None] >= here[:, None]
        met = jnp.cumsum(jnp.where(there, arrive, 0.0), axis=1)
        rest = jnp.cumsum(arrive[:, ::-1], axis=1)[:, ::-1]
        rest = jnp.pad(rest, ((0, 0), (0, far)))[:, far:]  # who comes later than I get there
        other = ~np.eye(EXITS, dtype=bool)[:, :, None]
        worth = met[:, None] + jnp.where(other, rest[None], 0.0)  # [first, second, leaving]
        return jnp.where(there[:, None], worth, 0.0).max()

    def _steps(self, cell: Int[Array, ""]) -> Int[Array, " 4"]:
        rows, cols = np.divmod(np.array(self.env.exits), self.env.size)
        return abs(cell // self.env.size - rows) + abs(cell % self.env.size - cols)


def evades(view: View) -> Bool[Array, ""]:
    """Whether this is the evader's view."""
    return view.obs[-1] > 0


def pursuer(env: Pursuit, rules: Sequence[Rule]) -> tuple[PursuitMind, Guard]:
    """The mind that knows these rules, and the reply."""
    exact = pursuit_filter(env, rules)
    steps = np.asarray(exact.steps, np.float64)
    exits, ways = list(env.exits), list(way_points(env.size))
    straight, onward, _ = np.split(steps, 3)
    ahead = np.stack([_hits(s, exit, env.horizon) for s, exit in zip(straight, exits, strict=True)])
    to_way = np.stack([_hits(s, way, env.horizon) for s, way in zip(onward, ways, strict=True)])
    around = np.zeros((EXITS, EXITS, env.cells, env.horizon))
    for w, e in np.ndindex(EXITS, EXITS):
        for n in range(env.horizon):
            later = ahead[e, ways[w], : env.horizon - n]
            around[w, e, :, n:] += to_way[w, :, n, None] * later[None]
    return PursuitMind(exact), Guard(env, jnp.float32(ahead), jnp.float32(around))


def _hits(
    steps: Float[np.ndarray, "cells cells"], target: int, horizon: int
) -> Float[np.ndarray, "cells horizon"]:
    """P(on the target for the first time after so many steps | cell)."""
    first = np.zeros((len(steps), horizon))
    first[target, 0] = 1.0
    on = steps.copy()
    on[target] = 0.0
    for n in range(1, horizon):
        first[:, n] = on @ first[:, n - 1]
    return first
