"""Replies in pursuit: the best move on average over all that the evader may have in mind."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from counterplay.envs import board
from counterplay.envs.pursuit import Pursuit
from counterplay.evaluate.hidden_pursuit import EXITS, PursuitFilter, pursuit_filter
from counterplay.evaluate.reading import SLACK
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
        cells, size = self.exact.env.cells, self.exact.env.size
        other = jnp.argmax(view.obs[cells : 2 * cells])  # an evader sees where the pursuer is
        legal = jnp.append(board.steps_inside(other[None], size)[0], True)
        return jnp.where(evades(view), legal / legal.sum(), moves)[None]


class Chase(eqx.Module):
    """Makes the move that is best on average over what the evader may have in mind and where it may
    be, as if that will be known from then on: QMDP, Littman, Cassandra & Kaelbling (1995). It does
    not look for the exit on purpose. As an evader it makes for the exit where it is furthest ahead
    of its pursuer.
    """

    env: Pursuit = eqx.field(static=True)
    value: Float[Array, "slots cells W cells"]
    """What the pursuer on one cell may expect once the evader, on another one, has moved, 1 and -1
    where that is the end; of ``W = 20`` things in mind, see ``ahead``."""

    def log_probs(self, mind: PursuitMind, carry: Watched, view: View) -> Float[Array, " A"]:
        size, cells = self.env.size, self.env.cells
        me = jnp.argmax(view.obs[:cells]).astype(jnp.int32)
        other = jnp.argmax(view.obs[cells : 2 * cells]).astype(jnp.int32)
        exits = jnp.array(self.env.exits, jnp.int32)
        flight = exits[jnp.argmax(self._far(other) - self._far(me))]
        flees = steps_towards(me, flight, view.legal, size)
        worth = jnp.where(view.legal, self.worth(mind, carry, me, view.time), -jnp.inf)
        best = jnp.arange(worth.shape[0]) == jnp.argmax(worth)
        return any_of(jnp.where(evades(view), flees, best))

    def worth(
        self, mind: PursuitMind, carry: Watched, me: Int[Array, ""], time: Int[Array, ""]
    ) -> Float[Array, " A"]:
        """The expected reward of each of my moves and what follows."""
        rows = ahead(mind.exact, carry)
        steps = mind.exact.steps[:EXITS], mind.exact.steps[EXITS : 2 * EXITS]
        going, passing = rows[:EXITS], rows[EXITS:].reshape(EXITS, EXITS, -1)
        after = jnp.concatenate([
            jnp.einsum("ec,ecd->ed", going, steps[0]),
            jnp.einsum("wec,wcd->wed", passing, steps[1]).reshape(rows[EXITS:].shape),
        ])  # fmt: skip
        onto_me = jnp.concatenate([steps[0][:, :, me], jnp.repeat(steps[1][:, :, me], EXITS, 0)])
        swaps, values = rows * onto_me, self.value[time + 1]

        def of(cell: Int[Array, ""]) -> Float[Array, ""]:
            later = values[cell]  # who comes from where I go to where I stand is caught
            caught = jnp.where(cell == me, 0.0, swaps[:, cell] * (1 - later[:, me]))
            return (after * later).sum() + caught.sum()

        return jax.vmap(of)(jnp.array(_destinations(self.env))[:, me])

    def _far(self, cell: Int[Array, ""]) -> Int[Array, " 4"]:
        """Steps to each exit."""
        rows, cols = np.divmod(np.array(self.env.exits), self.env.size)
        return abs(cell // self.env.size - rows) + abs(cell % self.env.size - cols)


def ahead(exact: PursuitFilter, carry: Watched) -> Float[Array, "W cells"]:
    """P(what lies ahead, cell | all that was seen): one of four exits, or one of four way-points
    and after that one of four exits.
    """
    straight, ways, later = exact.ways_on(carry.carry)
    return jnp.concatenate([straight + later, ways.reshape(-1, straight.shape[1])])


def evades(view: View) -> Bool[Array, ""]:
    """Whether this is the evader's view."""
    return view.obs[-1] > 0


def pursuit_mind(env: Pursuit, rules: Sequence[Rule], drift: float = 0.0) -> PursuitMind:
    """The mind that knows these rules, and how often one takes another's place."""
    return PursuitMind(pursuit_filter(env, rules, mix=SLACK, drift=drift))


def pursuer(env: Pursuit, rules: Sequence[Rule]) -> tuple[PursuitMind, Chase]:
    """The mind that knows these rules, and the reply."""
    mind = pursuit_mind(env, rules)
    steps = np.asarray(mind.exact.steps, np.float64)
    straight = [solve(env, steps[exit]) for exit in range(EXITS)]
    values = [_ended(env, value) for value in straight]
    for way, cell in enumerate(way_points(env.size)):
        for exit in range(EXITS):
            values.append(_ended(env, solve(env, steps[EXITS + way], cell, straight[exit]), cell,
                                 straight[exit]))  # fmt: skip
    return mind, Chase(env, jnp.asarray(np.stack(values, 2), jnp.float32))


def solve(
    env: Pursuit,
    steps: Float[np.ndarray, "cells cells"],
    cell: int | None = None,
    onward: Float[np.ndarray, "slots cells cells"] | None = None,
) -> Float[np.ndarray, "slots cells cells"]:
    """What a pursuer who sees all may expect in each slot, [slot, its cell, the evader's cell].

    ``steps`` is P(next cell | cell) of the evader; from ``cell`` on its values are ``onward``.
    By backward induction, Puterman (1994), section 4.5.
    """
    values = np.zeros((env.horizon + 1, env.cells, env.cells))
    here = np.arange(env.cells)
    for t in reversed(range(env.horizon)):
        later = _ended(
            env, values[t + 1][None], cell, None if onward is None else onward[t + 1][None]
        )[0]
        worth = []
        for to in _destinations(env):
            q = later[to] @ steps.T
            q[here, to] += steps[to, here] * (1 - later[to, here]) * (to != here)  # a swap
            worth.append(q)
        values[t] = np.max(worth, axis=0)
    return values


def _ended(
    env: Pursuit,
    values: Float[np.ndarray, "slots cells cells"],
    cell: int | None = None,
    onward: Float[np.ndarray, "slots cells cells"] | None = None,
) -> Float[np.ndarray, "slots cells cells"]:
    """The same, -1 for an evader on an exit and 1 where both share a cell."""
    values = values.copy()
    if cell is not None and onward is not None:
        values[:, :, cell] = onward[:, :, cell]
    values[:, :, list(env.exits)] = -1.0
    here = np.arange(env.cells)
    values[:, here, here] = 1.0
    return values


def _destinations(env: Pursuit) -> Int[np.ndarray, "A cells"]:
    """Where each move leads from each cell."""
    row, col = np.divmod(np.arange(env.cells), env.size)
    steps = ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))
    last = env.size - 1
    return np.stack([
        np.clip(row + down, 0, last) * env.size + np.clip(col + right, 0, last)
        for down, right in steps
    ])  # fmt: skip
