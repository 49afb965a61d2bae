"""Whole matches as measures of opponent models read them: one a lane, padded, in NumPy.

Axes: ``B`` matches, ``T`` slots since first contact, ``N`` seats with the one under evaluation
first and then those after it, as in a view; ``M`` the others, ``Y`` known rules, ``A`` actions.
"""

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay.errors import GameError
from counterplay.evaluate.records import recorded
from counterplay.evaluate.returns import EVALUATION, LONGEST_CHUNK, Progress, alike
from counterplay.opponents.rule import Mixture
from counterplay.rollout import Chunk, Lanes, blame, collect, faults, open_lanes
from counterplay.seats import TOLD, Roster, Seating
from counterplay.spread import Spread, over_cores, seed_numbers, shard_key, spread_over, start
from counterplay.types import Act, Env, Memory, View

RULES = 0x121E5
"""Folded into a policy's key for the rules that watch beside it."""
FOCAL = ("log_probs", "predict", "belief", "types", "decode", "exact_types", "exact_predict")
FOCAL += ("foresee",)
"""What is kept of the policy under evaluation."""
OTHERS = {"truth": "log_probs", "hypotheses": "hypotheses", "intents": "intents"}
"""What is kept of the others, and as what policies tell it."""


class Watched(eqx.Module):
    """Plays a policy as it is, while the rules of a known pool watch from the same seat.

    So ``hypotheses`` tells what each of them would do there. Keys, moves and records are the
    policy's own. Memory is (the policy's, that of the rules).
    """

    policy: Any
    known: Mixture

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        own, rules = (None, None) if memory is None else memory
        return self.policy.begin(key, own), self.known.begin(jr.fold_in(key, RULES), rules)

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        act = self.policy.act(key, memory[0], view, greedy)
        choice, rules = memory[1]
        each = zip(self.known.rules, rules, strict=True)
        kept = choice, tuple(rule.remember(m, view) for rule, m in each)
        return act._replace(memory=(act.memory, kept))

    def hypotheses(self, memory: Memory, view: View) -> Float[Array, "Y A"]:
        """What each known rule would do here."""
        return self.known.hypotheses(memory[1], view)

    def intents(self, memory: Memory, view: View) -> Int[Array, " Y"]:
        """What each known rule would be after."""
        return self.known.intents(memory[1], view)

    def __getattr__(self, name: str) -> Any:
        """What metrics may ask of the policy, if it can tell."""
        if name in (*TOLD, "member") and "policy" in self.__dict__:
            told = getattr(self.policy, name)
            return lambda memory, *seen: told(memory[0], *seen)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


class Watching(NamedTuple):
    """One whole match a row; what no policy told is None, and NaN where one of several did not."""

    valid: np.ndarray
    """Slots of the match: neither padding nor those that only show where an episode was cut."""
    actions: np.ndarray
    """[B, T, N], NO_MOVE where nobody acts."""
    legal: np.ndarray
    alive: np.ndarray
    """Who acts."""
    reward: np.ndarray
    returns: np.ndarray
    """Of the episode so far, with this slot."""
    event: np.ndarray
    goal: np.ndarray
    type_id: np.ndarray
    mode: np.ndarray
    opponent_id: np.ndarray
    time: np.ndarray
    """Slots since the episode began, [B, T]."""
    episode: np.ndarray
    """Its index in the match, [B, T]."""
    contact: np.ndarray
    ended: np.ndarray
    """The last slot of an episode in which somebody acts, [B, T]."""
    seat: np.ndarray
    """Where the one under evaluation sits, [B]."""
    log_probs: np.ndarray | None = None
    """Its own, [B, T, A]."""
    predict: np.ndarray | None = None
    """[B, T, M, A]."""
    belief: np.ndarray | None = None
    """[B, T, M, G]."""
    types: np.ndarray | None = None
    """[B, T, M, Y]."""
    decode: np.ndarray | None = None
    """What it takes each of its types to do, log-probabilities [B, T, M, Y, A]."""
    foresee: np.ndarray | None = None
    """Logits of the cell to which each other is on its way, [B, T, M, C]."""
    place: np.ndarray | None = None
    """Where each other is, as its own observation begins, [B, T, M]; where there is ``foresee``."""
    exact_types: np.ndarray | None = None
    exact_predict: np.ndarray | None = None
    """The same of an exact inference beside it, which sees no more than it does."""
    truth: np.ndarray | None = None
    """What the others drew from, log-probabilities [B, T, M, A]."""
    hypotheses: np.ndarray | None = None
    """What each known rule would have done in their place, [B, T, M, Y, A]."""
    intents: np.ndarray | None = None
    """What each would have been after, NO_EVENT where it declares nothing, [B, T, M, Y]."""


def watched(roster: Roster, known: Mixture) -> Roster:
    """The roster with the known rules watching at every seat of those that may sit opposite.

    A pool whose rules they are anyway, in their order, watches already.
    """
    there = jax.tree.structure(known)
    alone = {table[seat].kind for table, seat in zip(roster.tables, roster.focal, strict=True)}
    alone -= {
        chair.kind
        for table, seat in zip(roster.tables, roster.focal, strict=True)
        for i, chair in enumerate(table)
        if i != seat
    }

    def wrapped(number: int, kind: Any) -> Any:
        same = isinstance(kind.policy, Mixture) and jax.tree.structure(kind.policy) == there
        if number in alone or same:
            return kind
        return replace(kind, policy=Watched(kind.policy, known))

    return replace(roster, kinds=tuple(wrapped(i, kind) for i, kind in enumerate(roster.kinds)))


def watch(
    env: Env,
    roster: Roster,
    matches: int,
    match: int = 1,
    seed: int = 0,
    greedy: bool = False,
    *,
    known: Mixture | None = None,
    progress: Progress = lambda done, total: None,
) -> Watching:
    """Plays at least so many matches of ``match`` episodes, one a lane, and tells all of them.

    ``roster.focal`` says which seat of every table is under evaluation; rows come table by table.
    With ``known`` its rules watch from every other seat. Start states and moves are never those of
    a training with the same seed. ValueError for what is not played inside JAX.
    """
    _check(env, roster, matches, match, seed)
    roster = roster if known is None else watched(roster, known)
    spread = spread_over(1)
    lanes = roster.lanes_for(matches, spread.shards)
    seating = roster.seating(lanes // spread.shards)
    programs = _programs if isinstance(env, Hashable) else _programs.__wrapped__
    begin, step = programs(env, alike(seating), spread, roster.focal, greedy, match)
    order = np.arange(lanes).reshape(spread.shards, len(roster.tables), -1)
    order = order.swapaxes(0, 1).ravel()  # lanes of all shards table by table
    state = begin(seed_numbers(seed, 1), roster.others)
    parts, over = [], np.zeros(lanes, int)
    while over.min() < match:
        state, (told, found) = step(state, roster.others)
        blame(env, seating, jax.tree.map(lambda x: np.sum(x, (0, 1)), found))
        part = {k: np.asarray(x)[0].reshape(-1, *x.shape[3:])[order] for k, x in told.items()}
        parts.append(part)
        over = over + part["ended"].sum(1)
        progress(int((over >= match).sum()), lanes)
    each = np.repeat(np.array(roster.focal), lanes // len(roster.tables))
    return whole_matches(env, parts, match, each)


def _check(env: Env, roster: Roster, matches: int, match: int, seed: int) -> None:
    for name, number in (("matches", matches), ("match", match)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, found {number}")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must be 0 to {2**31 - 1}, found {seed}")
    if len(roster.focal) != len(roster.tables):
        raise ValueError(
            f"watch wants to know the seat under evaluation of each of {len(roster.tables)} "
            f"tables, found {len(roster.focal)}: set the roster's focal"
        )
    slow = [kind.name for kind in roster.kinds if not hasattr(kind.policy, "begin")]
    if hasattr(env, "open") or slow:
        raise ValueError(
            f"{', '.join(slow) or env} is in ordinary Python, and what policies think is read "
            "inside JAX only: choose a native game and policies written in JAX"
        )


def whole_matches(
    env: Env, parts: list[dict[str, np.ndarray]], match: int, seat: np.ndarray
) -> Watching:
    """The first match of every lane, as long as the longest of them; empties the parts.

    ``parts`` are chunks one after the other as ``told_of`` tells them.
    """
    closing = np.concatenate([part.pop("closing") for part in parts], 1)
    ended = np.concatenate([part["ended"] for part in parts], 1)
    episode = np.cumsum(ended, 1) - ended
    valid = (episode < match) & ~closing
    length = int(np.flatnonzero(valid.any(0))[-1]) + 1
    fields = {}
    for name in list(parts[0]):  # one field at a time: they are large
        fields[name] = np.concatenate([part.pop(name) for part in parts], 1)[:, :length]
    valid, ended = valid[:, :length], ended[:, :length] & valid[:, :length]
    if not np.isfinite(fields["returns"][valid]).all():
        raise GameError(f"{env}: somebody's return is not finite; the game paid or showed a NaN")
    fields["alive"] = fields["alive"] & valid[..., None]
    return Watching(valid, **fields | {"episode": episode[:, :length], "ended": ended}, seat=seat)


def unread(w: Watching) -> Watching:
    """The same without what the rules of a pool had in mind, for games in which nobody can follow
    it: they tell of themselves whether they were asked to watch or not."""
    return w._replace(hypotheses=None, intents=None)


class _State(NamedTuple):
    lanes: Lanes
    key: Array


@lru_cache(maxsize=32)
def _programs(
    env: Env, seating: Seating, spread: Spread, focal: tuple[int, ...], greedy: bool, match: int
) -> tuple[Callable, Callable]:
    """``begin(seeds, others)`` and ``step(state, others)``, compiled when first called."""

    def begin(seeds, others):
        return start(spread, partial(_init, env, seating, spread.axis, others), seeds)

    seats = np.repeat(np.array(focal), seating.lanes // len(focal))
    return jax.jit(begin), over_cores(spread, partial(_chunk, env, seating, seats, greedy, match))


def _init(env: Env, seating: Seating, axis: str | None, others: tuple, seed: Array) -> _State:
    lane_key, key = jr.split(shard_key(jr.fold_in(jr.key(seed), EVALUATION), axis))
    return _State(open_lanes(env, seating, others, lane_key), key)


def _chunk(
    env: Env,
    seating: Seating,
    seats: np.ndarray,
    greedy: bool,
    match: int,
    state: _State,
    others: tuple,
) -> tuple[_State, tuple[dict[str, Array], dict[str, Array]]]:
    key, play_key = jr.split(state.key)
    slots = min(env.horizon, LONGEST_CHUNK)
    size = {"slots": slots, "starts": slots, "match": match, "greedy": greedy, "watch": True}
    lanes, chunk = collect(env, seating, others, state.lanes, play_key, **size)
    told = told_of(seating, seats, chunk)
    return _State(lanes, key), (told, faults(chunk.slots))


def told_of(seating: Seating, seats: np.ndarray, chunk: Chunk) -> dict[str, Array]:
    """The fields of ``Watching`` of one chunk, [L, T, ...]; ``seats`` [L] are under evaluation."""
    stream = dict(chunk.slots)
    told = {name: stream[name] for name in ("time", "contact", "closing")}
    told["ended"] = stream["terminated"] | stream["truncated"]
    n = seating.num_seats
    turned = (seats[:, None] + np.arange(n)) % n  # [L, N], as views see them
    here = np.arange(seating.lanes)[:, None]
    stream["legal"] = stream["avail_actions"]
    seated = ("actions", "legal", "alive", "reward", "returns", "event", "goal")
    turn = lambda x: jnp.moveaxis(jnp.moveaxis(x, 2, 1)[here, turned], 1, 2)
    told |= {name: turn(stream[name]) for name in (*seated, "type_id", "mode", "opponent_id")}
    mine = {name: (name, turned[:, :1]) for name in FOCAL}
    theirs = {name: (tells, turned[:, 1:]) for name, tells in OTHERS.items()}
    for name, (tells, chairs) in (mine | theirs).items():
        found = recorded(seating, chunk.records, tells, chairs)
        if found is not None:
            told[name] = found[:, :, 0] if name in FOCAL else found
    if "foresee" in told:
        told["place"] = turn(stream["obs"][..., 0])[:, :, 1:]
    return told
