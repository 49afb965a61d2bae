"""Exact inference in pursuit: who the evader is, where it is and which exit it aims at.

A forward pass (Rabiner, 1989, eqs. 19 and 20) over what the pursuer cannot see. Given its aim an
evader walks by itself, alike for every kind of rule that goes straight, so the hidden chain is
kept once for each exit, and once more for those who pass a way-point first: two styles, the
straight and the roundabout, of four exits each. Kinds of rules differ only in how they choose an
exit, given the last one and what both players saw.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from counterplay.envs import board
from counterplay.envs.pursuit import DOWN, LEFT, RIGHT, UP, Pursuit
from counterplay.evaluate.redrawing import LEAST, check_drift, mingled
from counterplay.opponents.general import any_of
from counterplay.opponents.pursuit import Evader, way_points
from counterplay.opponents.rule import Rule
from counterplay.opponents.walking import steps_towards
from counterplay.types import NO_EVENT, NO_MOVE, View

EXITS = 4


class Carry(NamedTuple):
    """What a match has told so far. ``H = 12`` rows of cells: four straight to an exit, four to a
    way-point, four from there to an exit. Each row is P(cell, what was seen | aim), up to scale.
    """

    cells: Float[Array, "H cells"]
    scale: Float[Array, "2 4"]
    """Logarithm, in nats, of what the rows of each style and exit have been divided by."""
    weight: Float[Array, "Y 4"]
    """log P(type, exit, all that was seen before this episode), up to a constant."""
    idle: Float[Array, "Y 4"]
    """P(exit | type) of rules that watch and do not play."""
    used: Int[Array, " 4"]
    event: Int[Array, ""]
    """The exit by which the last episode ended, else NO_EVENT."""


class PursuitFilter(eqx.Module):
    """The posterior of a pursuer who knows the pool: each type as likely as another at first.

    For one lane, batched by ``vmap``; made by ``pursuit_filter``.
    """

    env: Pursuit = eqx.field(static=True)
    rules: tuple[Rule, ...]
    chances: Float[Array, "H A cells"]
    """P(move | cell) for the goal of each row."""
    steps: Float[Array, "H cells cells"]
    """P(next cell | cell), nobody being caught."""
    drift: float = eqx.field(static=True, default=0.0)
    """Chance of another type between two slots; see ``mingled``."""

    def begin(self, carry: Carry | None) -> Carry:
        """A new match (None), or the next episode of one."""
        starts = _starts(self.env)
        if carry is None:
            weight = jnp.log(jnp.maximum(self._first(), LEAST)) - jnp.log(len(self.rules))
            nothing, event = jnp.zeros(EXITS, jnp.int32), jnp.int32(NO_EVENT)
            return Carry(starts, jnp.zeros((2, EXITS)), weight, self._first(), nothing, event)
        joint, best = carry.weight, carry.weight.max()
        turns = [self._following(r.behaviour, carry.event, carry.used) for r in self.rules]
        pairs = zip(joint, carry.idle, turns, strict=True)
        turned = [(jnp.exp(row - best) @ turn, idle @ turn) for row, idle, turn in pairs]
        played, idle = (jnp.stack(rows) for rows in zip(*turned, strict=True))
        weight, scale = jnp.log(jnp.maximum(played, LEAST)), jnp.zeros((2, EXITS))
        return carry._replace(cells=starts, scale=scale, weight=weight, idle=idle)

    def update(
        self, carry: Carry, view_before: View, action: Int[Array, ""], view_after: View
    ) -> Carry:
        """Takes in one slot: what I saw, what I did, what I saw then.

        Where ``view_after`` is the first of another episode it tells how this one ended.
        """
        cells = jnp.arange(self.env.cells)
        me = jnp.argmax(view_before.obs[: self.env.cells]).astype(jnp.int32)
        my_next = _walked(me, action, self.env.size)
        old = jnp.where(self._in_view(me, view_before)[None], carry.cells, 0.0)
        moved = jnp.einsum("hc,hcd->hd", old, self.steps)
        # a swap is one pair of cells, told apart from all others: capture, and nothing else
        back = jnp.stack([action == a for a in (DOWN, UP, RIGHT, LEFT)] + [jnp.array(False)])
        meets = back[:, None] & (cells == my_next)[None]
        came = jnp.where((cells == my_next)[None], old, 0.0).sum(1)
        swap = came * jnp.where(meets[None], self.chances, 0.0).sum((1, 2)) * (me != my_next)
        apart = moved - swap[:, None] * (cells == me)[None]
        known = self._after_move(view_before, view_after)
        rows = jnp.where((self._possible(my_next, view_after) & known)[None], apart, 0.0)
        caught = view_after.first & (view_after.event[0] != NO_EVENT)
        rows += swap[:, None] * (caught & known & (cells == me))[None]
        after = self._settle(carry, self._pass(jnp.maximum(rows, 0.0)), view_after)
        if not self.drift:
            return after
        joint, (direct, _) = self._joint(after), self._styles()
        at_way = jnp.array(_way_cells(self.env))
        weight, rows = mingled(joint, after.idle, after.cells, direct, at_way, self.drift)
        scale = -jnp.log(jnp.maximum(self._masses(rows), LEAST))  # the weights hold it all
        return after._replace(weight=weight, cells=rows, scale=scale)

    def told(self, carry: Carry) -> Float[Array, " O"]:
        """Posterior over the types [Y], then over the exit aimed at [4]."""
        joint = self._joint(carry)
        return jnp.concatenate([joint.sum(1), joint.sum(0)])

    def whereabouts(self, carry: Carry) -> Float[Array, " cells"]:
        """Posterior over the evader's cell."""
        straight, ways, later = self.ways_on(carry)
        return straight.sum(0) + ways.sum((0, 1)) + later.sum(0)

    def ways_on(
        self, carry: Carry
    ) -> tuple[Float[Array, "4 cells"], Float[Array, "4 4 cells"], Float[Array, "4 cells"]]:
        """The same, one total, by what lies ahead: an exit, going straight; a way-point, then an
        exit; an exit, the way-point being behind.
        """
        style = self._joint(carry)
        mass = jnp.maximum(self._masses(carry.cells), LEAST)
        direct, around = (jnp.where(s, style, 0.0).sum(0) for s in self._styles())
        share = jnp.stack([direct, around]) / mass
        straight, ways, later = jnp.split(carry.cells, 3)
        ahead = share[0][:, None] * straight, share[1][None, :, None] * ways[:, None]
        seen = *ahead, share[1][:, None] * later
        total = jnp.maximum(sum(part.sum() for part in seen), LEAST)
        return seen[0] / total, seen[1] / total, seen[2] / total

    def _styles(self) -> tuple[Bool[np.ndarray, "Y 1"], Bool[np.ndarray, "Y 1"]]:
        """Which types go straight, which pass a way-point."""
        around = np.array([bool(rule.behaviour.ways) for rule in self.rules])[:, None]
        return ~around, around

    def _joint(self, carry: Carry) -> Float[Array, "Y 4"]:
        """P(type, exit | all that was seen)."""
        so_far = carry.weight + self._likelihood(carry)
        return jax.nn.softmax(so_far.ravel()).reshape(so_far.shape)

    def _likelihood(self, carry: Carry) -> Float[Array, "Y 4"]:
        """log P(what was seen in this episode | type, exit)."""
        each = jnp.log(jnp.maximum(self._masses(carry.cells), LEAST)) + carry.scale
        return jnp.where(self._styles()[0], each[0][None], each[1][None])

    def _masses(self, cells: Float[Array, "H cells"]) -> Float[Array, "2 4"]:
        """The total of the rows of each style and exit."""
        straight, ways, later = jnp.split(cells.sum(1), 3)
        return jnp.stack([straight, ways.sum() + later])

    def _settle(self, carry: Carry, rows: Float[Array, "H cells"], view_after: View) -> Carry:
        """Rows brought back to a total of about one; at the end the weights take it all in."""
        mass = self._masses(rows)
        # rows to way-points belong to all exits, so the four roundabout ones share a divisor
        by = jnp.stack([mass[0], jnp.full(EXITS, mass[1].max())])
        by = jnp.maximum(by, LEAST)
        each = jnp.concatenate([by[0], by[1], by[1]])[:, None]
        after = carry._replace(cells=rows / each, scale=carry.scale + jnp.log(by))
        over = view_after.first
        weight = carry.weight + self._likelihood(after)
        event = view_after.event[1]
        return after._replace(
            weight=jnp.where(over, weight, carry.weight),
            # what has been taken in is not counted again before the next episode begins
            scale=jnp.where(over, -jnp.log(jnp.maximum(self._masses(after.cells), LEAST)),
                            after.scale),
            used=carry.used + ((jnp.arange(EXITS) == event) & over),
            event=jnp.where(over, event, carry.event),
        )  # fmt: skip

    def _in_view(self, me: Int[Array, ""], view: View) -> Bool[Array, " cells"]:
        """Where the evader may be, judged by what a pursuer on ``me`` sees of it."""
        cells = jnp.arange(self.env.cells)
        shown = view.obs[self.env.cells : 2 * self.env.cells] > 0
        hidden = ~self.env.sees(jnp.broadcast_to(me, cells.shape), cells)
        return jnp.where(shown.any(), shown, hidden)

    def _possible(self, my_next: Int[Array, ""], view_after: View) -> Bool[Array, " cells"]:
        """Where the evader may be after the moves, captures by swapping apart."""
        mine, theirs = view_after.event
        exits = np.arange(self.env.cells)[:, None] == np.array(self.env.exits)
        inside = jnp.asarray(~exits.any(1))
        here = jnp.arange(self.env.cells) == my_next
        out = (exits & (jnp.arange(EXITS) == theirs)[None]).any(1)
        left = jnp.where(theirs == NO_EVENT, inside, out) & ~here
        ended = jnp.where(mine == NO_EVENT, left, here)
        going_on = self._in_view(my_next, view_after) & inside & ~here
        return jnp.where(view_after.first, ended, going_on)

    def _after_move(self, view_before: View, view_after: View) -> Bool[Array, " cells"]:
        """Where the move that I saw leads from where I saw the evader; anywhere when unseen."""
        start = jnp.argmax(view_before.obs[self.env.cells : 2 * self.env.cells]).astype(jnp.int32)
        move = view_after.moved[1]
        to = _walked(start, move, self.env.size)
        return (jnp.arange(self.env.cells) == to) | (move == NO_MOVE)

    def _pass(self, rows: Float[Array, "H cells"]) -> Float[Array, "H cells"]:
        """Who has come to its way-point makes for its exit from now on."""
        straight, ways, later = jnp.split(rows, 3)
        arrived = jnp.where(jnp.array(_way_cells(self.env)), ways, 0.0)
        return jnp.concatenate([straight, ways - arrived, later + arrived.sum(0)[None]])

    def _first(self) -> Float[Array, "Y 4"]:
        """P(exit | type) in the first episode of a match."""
        draws = [[rule.behaviour.first(jnp.int32(d)) for d in range(4)] for rule in self.rules]
        return _shares(jnp.array(draws))

    def _following(
        self, evader: Evader, event: Int[Array, ""], used: Int[Array, " 4"]
    ) -> Float[Array, "4 4"]:
        """P(exit | last exit, what both saw) of one type."""
        turn = lambda exit, drawn: evader.following(exit, event, used, drawn)
        exits = jnp.arange(EXITS, dtype=jnp.int32)
        return _shares(jax.vmap(lambda e: jax.vmap(lambda d: turn(e, d))(exits))(exits))


def pursuit_filter(
    env: Pursuit, rules: Sequence[Rule], mix: float = 0.0, drift: float = 0.0
) -> PursuitFilter:
    """The filter for a pool of evaders; with ``mix`` each likelihood is mixed with that share of
    what a uniform legal move would have given, so that no opponent is ever quite impossible.
    ``drift`` is the chance of a change between two slots.

    ValueError where a rule is no evader, or its hand trembles otherwise than that of the first.
    """
    if not 0 <= mix <= 1:
        raise ValueError(f"pursuit_filter: mix is a share, 0 to 1, found {mix}")
    check_drift("pursuit_filter", drift)
    if not rules:
        raise ValueError("pursuit_filter: needs one rule or more, found none")
    for rule in rules:
        if not isinstance(rule.behaviour, Evader):
            kind = type(rule.behaviour).__name__
            raise ValueError(f"pursuit_filter: expected rules that evade, found {kind}")
        if rule.behaviour.ways not in ((), way_points(env.size)):
            raise ValueError(f"pursuit_filter: expected way-points {way_points(env.size)}, found "
                             f"{rule.behaviour.ways}")  # fmt: skip
        if rule.tremble != rules[0].tremble:
            raise ValueError(f"pursuit_filter: all hands must tremble alike, expected "
                             f"{rules[0].tremble}, found {rule.tremble}")  # fmt: skip
    tremble = 1 - (1 - rules[0].tremble) * (1 - mix)
    goals = jnp.array((*env.exits, *way_points(env.size), *env.exits), jnp.int32)
    chances = jax.vmap(lambda goal: _chances(env, goal, tremble))(goals)
    return PursuitFilter(env, tuple(rules), chances, _next_cells(env, chances), drift)


def _chances(env: Pursuit, goal: Int[Array, ""], tremble: float) -> Float[Array, "A cells"]:
    """P(move | cell) of an evader whose goal is a cell; as ``Rule`` mixes them."""
    cells = jnp.arange(env.cells)
    inside = board.steps_inside(cells, env.size)
    legal = jnp.concatenate([inside, jnp.ones((env.cells, 1), bool)], axis=1)
    wanted = jax.vmap(lambda c, ok: jnp.exp(any_of(steps_towards(c, goal, ok, env.size))))
    uniform = legal / legal.sum(1, keepdims=True)
    return ((1 - tremble) * wanted(cells, legal) + tremble * uniform).T


def _next_cells(env: Pursuit, chances: Float[Array, "H A cells"]) -> Float[Array, "H cells cells"]:
    cells = jnp.arange(env.cells)
    steps = jnp.zeros((chances.shape[0], env.cells, env.cells))
    for move in range(env.num_actions):
        to = _walked(cells, jnp.full_like(cells, move), env.size)
        steps += chances[:, move, :, None] * (to[:, None] == cells[None])[None]
    return steps


def _walked(cell: Int[Array, "*b"], move: Int[Array, "*b"], size: int) -> Int[Array, "*b"]:
    places, moves = cell.reshape(-1), move.reshape(-1)
    return board.walk(places, moves, board.steps_inside(places, size), size).reshape(cell.shape)


def _starts(env: Pursuit) -> Float[Array, "H cells"]:
    """Straight and to a way-point from a corner; nobody has passed a way-point yet."""
    corner = (np.arange(env.cells)[:, None] == np.array(env.corners)).any(1) / 4
    share = np.repeat([1.0, 1 / EXITS, 0.0], EXITS)
    return jnp.array(share[:, None] * corner, jnp.float32)


def _way_cells(env: Pursuit) -> Bool[np.ndarray, "4 cells"]:
    return np.arange(env.cells) == np.array(way_points(env.size))[:, None]


def _shares(choices: Int[Array, "R D"]) -> Float[Array, "R 4"]:
    """How often each exit is among the equally likely choices of a row."""
    return (choices[:, :, None] == jnp.arange(EXITS)[None, None]).mean(1, dtype=jnp.float32)
