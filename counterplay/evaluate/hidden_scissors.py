"""Inference in scissors: who the other is, what it aims at and what it holds by now.

A forward pass (Rabiner, 1989, eqs. 19 and 20) over what one player cannot see of the other: its
cell and what it holds. Given its aim a collector goes its way by itself, until somebody may
challenge, and then it is in sight. All kinds of rules share these four chains and differ only in
how they choose an aim, given the last one and what both held at the end of the last episode.

Of the 2,715 states that a trembling hand can reach only those are kept that are ever as likely as
``least``, given the aim; with ``least`` 0 the posterior is exact.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from counterplay.envs import board
from counterplay.envs.scissors import CARRIED, CHALLENGE, HOLDINGS, SIZE, Scissors, codes, on_pile
from counterplay.evaluate.redrawing import LEAST, check_drift, redrawn
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.opponents.scissors import AIMS, CELLS, Collector, wanted
from counterplay.types import NO_EVENT, View


class Carry(NamedTuple):
    """What a match has told so far; ``G = 4`` aims, ``S`` states of who has that aim."""

    rows: Float[Array, "G S"]
    """P(state, what was seen in this episode | aim), up to scale."""
    scale: Float[Array, " G"]
    """Logarithm, in nats, of what the rows have been divided by."""
    weight: Float[Array, "Y G"]
    """log P(type, aim, all that was seen before this episode), up to a constant."""
    idle: Float[Array, "Y G"]
    """P(aim | type) of rules that watch and do not play."""
    mine: Int[Array, ""]
    """The code of what I held at the end of the last episode, else NO_EVENT."""
    other: Int[Array, ""]


class ScissorsFilter(eqx.Module):
    """The posterior of a player who knows the pool: each type as likely as another at first.

    For one lane, batched by ``vmap``; made by ``scissors_filter``.
    """

    env: Scissors = eqx.field(static=True)
    rules: tuple[Rule, ...]
    start: Float[Array, "G S"]
    steps: Float[Array, "G S S"]
    """P(next state | state) where nobody may challenge."""
    factors: Float[Array, "K G S"]
    """Ones; then for each move how much likelier it is where a challenge is legal, and how likely
    it is there.
    """
    cell: Int[Array, "G S"]
    code: Int[Array, "G S"]
    drift: float = eqx.field(static=True, default=0.0)
    """Chance of another type between two slots, which is reckoned with as episodes end."""

    def begin(self, carry: Carry | None) -> Carry:
        """A new match (None), or the next episode of one."""
        if carry is None:
            draws = jnp.arange(3, dtype=jnp.int32)
            each = [_shares(jax.vmap(rule.behaviour.first)(draws)) for rule in self.rules]
            first = jnp.stack(each)
            weight = jnp.log(jnp.maximum(first, LEAST)) - jnp.log(len(self.rules))
            nothing = jnp.int32(NO_EVENT)
            return Carry(self.start, jnp.zeros(len(AIMS)), weight, first, nothing, nothing)
        best, aims = carry.weight.max(), jnp.arange(len(AIMS), dtype=jnp.int32)
        turned = []
        for rule, row, idle in zip(self.rules, carry.weight, carry.idle, strict=True):
            turn = lambda aim, rule=rule: rule.behaviour.following(aim, carry.other, carry.mine)
            to = jax.vmap(turn)(aims)[:, None] == aims[None]
            each = jnp.exp(row - best), idle
            turned.append([jnp.where(to, chance[:, None], 0.0).sum(0) for chance in each])
        played, idle = (jnp.stack(rows) for rows in zip(*turned, strict=True))
        weight, scale = jnp.log(jnp.maximum(played, LEAST)), jnp.zeros(len(AIMS))
        return carry._replace(rows=self.start, scale=scale, weight=weight, idle=idle)

    def update(
        self, carry: Carry, view_before: View, action: Int[Array, ""], view_after: View
    ) -> Carry:
        """Takes in one slot: what I saw, what I did, what I saw then.

        Where ``view_after`` is the first of another episode it tells how this one ended.
        """
        move, over = view_after.moved[1], view_after.first
        challenged = (action == CHALLENGE) | (move == CHALLENGE)
        which = jnp.where(view_before.legal[CHALLENGE], 1 + move + 6 * challenged, 0)
        old = carry.rows * self.factors[which]
        moved = jnp.einsum("gs,gst->gt", old, self.steps)
        rows = jnp.where(challenged, old, moved)
        me = jnp.argmax(view_before.obs[:CELLS])[None].astype(jnp.int32)
        inside = board.steps_inside(me, SIZE)
        my_next = board.walk(me, action[None], inside, SIZE)[0]
        seen = self._as_seen(my_next, view_after) | over
        revealed = (self.code == view_after.event[1]) | ~over
        went = self._as_moved(view_before, move) | challenged
        rows = jnp.where(seen & revealed & went, rows, 0.0)
        after = self._settle(carry, rows, view_after)
        if not self.drift:
            return after
        weight = redrawn(after.weight, after.idle, self.drift, view_before.time + 1)
        return after._replace(weight=jnp.where(over, weight, after.weight))

    def told(self, carry: Carry) -> Float[Array, " O"]:
        """Posterior over the types [Y], then over the collection aimed at [4]."""
        joint = self._joint(carry)
        return jnp.concatenate([joint.sum(1), joint.sum(0)])

    def holdings(self, carry: Carry) -> Float[Array, " C"]:
        """Posterior over what the other holds, one entry a code."""
        rows = carry.rows / jnp.maximum(carry.rows.sum(1, keepdims=True), LEAST)
        share = self._joint(carry).sum(0)[:, None] * rows
        return jnp.zeros(len(HOLDINGS)).at[self.code].add(share)

    def _joint(self, carry: Carry) -> Float[Array, "Y G"]:
        """P(type, aim | all that was seen)."""
        so_far = carry.weight + self._likelihood(carry)[None]
        return jax.nn.softmax(so_far.ravel()).reshape(so_far.shape)

    def _likelihood(self, carry: Carry) -> Float[Array, " G"]:
        """log P(what was seen in this episode | aim)."""
        return jnp.log(jnp.maximum(carry.rows.sum(1), LEAST)) + carry.scale

    def _as_seen(self, my_next: Int[Array, ""], view_after: View) -> Bool[Array, "G S"]:
        """Which states agree with what I see of the board after the moves."""
        shown = view_after.obs[CELLS : 2 * CELLS] > 0
        there = self.cell == jnp.argmax(shown)
        hidden = ~self.env.sees(jnp.broadcast_to(my_next, self.cell.shape), self.cell)
        return jnp.where(shown.any(), there, hidden)

    def _as_moved(self, view_before: View, move: Int[Array, ""]) -> Bool[Array, "G S"]:
        """Which states the move that I saw leads to from where I saw the other."""
        start = jnp.argmax(view_before.obs[CELLS : 2 * CELLS])[None].astype(jnp.int32)
        to = board.walk(start, move[None], board.steps_inside(start, SIZE), SIZE)[0]
        return (self.cell == to) | (move < 0)

    def _settle(self, carry: Carry, rows: Float[Array, "G S"], view_after: View) -> Carry:
        """Rows brought back to a total of one; at the end the weights take it all in."""
        by = jnp.maximum(rows.sum(1), LEAST)
        after = carry._replace(rows=rows / by[:, None], scale=carry.scale + jnp.log(by))
        over, likelihood = view_after.first, self._likelihood(after)
        weight = jnp.where(over, carry.weight + likelihood[None], carry.weight)
        # what has been taken in is not counted again before the next episode begins
        scale = jnp.where(over, after.scale - likelihood, after.scale)
        mine, other = (
            jnp.where(over, event, last)
            for event, last in zip(view_after.event, (carry.mine, carry.other), strict=True)
        )
        return after._replace(weight=weight, scale=scale, mine=mine, other=other)


def scissors_filter(
    env: Scissors,
    rules: Sequence[Rule],
    seat: int = 0,
    mix: float = 0.0,
    least: float = 1e-6,
    drift: float = 0.0,
) -> ScissorsFilter:
    """The filter of the player in a seat, for a pool of collectors in the other one.

    With ``mix`` each likelihood is mixed with that share of what a uniform legal move would have
    given; ``drift`` is the chance of a change between two slots. ValueError where a rule is no
    collector, its hand trembles otherwise than that of the first, or ``view`` is 1, for then a
    challenge may come from who is out of sight.
    """
    _check(env, rules, seat, mix, least)
    check_drift("scissors_filter", drift)
    tremble = 1 - (1 - rules[0].tremble) * (1 - mix)
    corner = (CELLS - 1, 0)[seat]
    chains = [_chain(aim, tremble, corner, env.horizon, least) for aim in range(len(AIMS))]
    most = max(len(chain["cell"]) for chain in chains)
    fields = {
        name: np.stack([_padded(chain[name], most) for chain in chains]) for name in chains[0]
    }
    factors = jnp.asarray(np.moveaxis(fields.pop("factors"), 2, 0))
    arrays = {name: jnp.asarray(array) for name, array in fields.items()}
    return ScissorsFilter(env, tuple(rules), factors=factors, drift=drift, **arrays)


def _check(env: Scissors, rules: Sequence[Rule], seat: int, mix: float, least: float) -> None:
    if env.view == 1:
        raise ValueError("scissors_filter: view must be 0, or 2 at least, found 1")
    if seat not in (0, 1):
        raise ValueError(f"scissors_filter: seat must be 0 or 1, found {seat}")
    if not 0 <= mix <= 1 or not 0 <= least < 1:
        raise ValueError(f"scissors_filter: mix and least are shares, found {mix} and {least}")
    if not rules:
        raise ValueError("scissors_filter: needs one rule or more, found none")
    for rule in rules:
        if not isinstance(rule.behaviour, Collector):
            kind = type(rule.behaviour).__name__
            raise ValueError(f"scissors_filter: expected rules that collect, found {kind}")
        if rule.tremble != rules[0].tremble:
            raise ValueError(f"scissors_filter: all hands must tremble alike, expected "
                             f"{rules[0].tremble}, found {rule.tremble}")  # fmt: skip


def _chain(aim: int, tremble: float, corner: int, horizon: int, least: float) -> dict[str, Any]:
    """Start, steps, factors, cell and code of the states that matter, of one aim."""
    cell, code = (x.ravel() for x in np.divmod(np.arange(CELLS * len(HOLDINGS)), len(HOLDINGS)))
    free, near = (_chances(aim, tremble, cell, code, legal) for legal in (False, True))
    to = next_states(cell, code)
    likely = np.zeros(len(cell))
    likely[corner * len(HOLDINGS) + HOLDINGS.index((0, 0, 0))] = 1
    most = likely.copy()
    for _ in range(horizon):
        later = np.zeros_like(likely)
        np.add.at(later, to, likely[:, None] * free[:, : to.shape[1]])
        likely, most = later, np.maximum(most, later)
    kept = np.flatnonzero(most > least)
    place = np.full(len(cell), -1)
    place[kept] = np.arange(len(kept))
    steps = np.zeros((len(kept), len(kept)))
    for move in range(to.shape[1]):
        there = place[to[kept, move]]
        inside = there >= 0
        np.add.at(steps, (np.flatnonzero(inside), there[inside]), free[kept, move][inside])
    ratio = np.where(free > 0, near / np.where(free > 0, free, 1), 0)
    factors = np.concatenate([np.ones((len(cell), 1)), ratio, near], axis=1)[kept]
    start = (cell[kept] == corner) & (code[kept] == HOLDINGS.index((0, 0, 0)))
    number = lambda x: x.astype(np.float32)
    return {"start": number(start), "steps": number(steps), "factors": number(factors),
            "cell": cell[kept].astype(np.int32), "code": code[kept].astype(np.int32)}  # fmt: skip


def _chances(aim: int, tremble: float, cell: Any, code: Any, may_challenge: bool) -> np.ndarray:
    """P(move | state) as ``Rule`` mixes them, float64 [states, 6]."""
    inside = np.asarray(board.steps_inside(jnp.arange(CELLS), SIZE))[cell]
    rest = np.tile([True, may_challenge], (len(cell), 1))
    legal = np.concatenate([inside, rest], axis=1)
    one = lambda c, held, ok: jnp.exp(any_of(wanted(jnp.int32(aim), c, held, ok)))
    held = np.array(HOLDINGS, np.int32)[code]
    raw = jax.vmap(one)(jnp.asarray(cell, jnp.int32), jnp.asarray(held), jnp.asarray(legal))
    raw = np.asarray(raw, np.float64)
    steady = raw / raw.sum(1, keepdims=True)
    return (1 - tremble) * steady + tremble * legal / legal.sum(1, keepdims=True)


def next_states(cell: Any, code: Any) -> np.ndarray:
    """The state after each move that is no challenge, [states, 5]."""
    cells, held = jnp.asarray(cell, jnp.int32), np.array(HOLDINGS, np.int32)[code]
    inside, full = board.steps_inside(cells, SIZE), held.sum(1, keepdims=True) >= CARRIED
    to = []
    for move in range(CHALLENGE):
        place = board.walk(cells, jnp.full_like(cells, move), inside, SIZE)
        got = codes(jnp.asarray(held + (np.asarray(on_pile(place)) & ~full)))
        to.append(np.asarray(place) * len(HOLDINGS) + np.asarray(got))
    return np.stack(to, axis=1)


def _padded(array: np.ndarray, most: int) -> np.ndarray:
    """With states added that nobody is ever in."""
    square = array.ndim == 2 and array.shape[0] == array.shape[1]
    more = [(0, most - len(array))] + [(0, (most - len(array)) * square)] * (array.ndim - 1)
    return np.pad(array, more)


def _shares(aims: Int[Array, " D"]) -> Float[Array, " G"]:
    """How often each aim is among equally likely choices."""
    return (aims[:, None] == jnp.arange(len(AIMS))[None]).mean(0, dtype=jnp.float32)
