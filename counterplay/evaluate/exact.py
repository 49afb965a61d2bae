"""Best responses to known rules, exactly: a game and its other players as one decision problem.

All that can happen is enumerated slot by slot from the start states, by the game and the rules
themselves, so there is no second form of either to keep in step. For games whose ``step`` draws
nothing, and rules whose memory is a function of what they saw.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from counterplay.envs.matrix import Matrix
from counterplay.evaluate.mdp import Mdp, action_values, checked
from counterplay.types import NO_EVENT, NO_MOVE, Env, Memory, State, TimeStep
from counterplay.views import Last, cut_views, select

MOST_STATES = 500_000
DRAWS = 8
"""Of a first memory, which must come out alike."""
GONE = -1
"""In place of a state: the episode is over, for all or for the one who answers."""


class Nodes(NamedTuple):
    """Situations at the start of one slot, leaves [n, ...]: all that the rest depends on."""

    state: State
    shown: TimeStep
    last: Last
    memories: tuple[Memory, ...]
    """One a seat; empty for the one who answers."""


class Table(NamedTuple):
    """A game with known others, from the side of one seat; state s of ``mdp`` is node s."""

    mdp: Mdp
    time: Int[np.ndarray, " S"]
    nodes: Nodes
    starts: Int[np.ndarray, " K"]
    """The state of each start."""


class Response(NamedTuple):
    """The best that can be done against a rule, and how."""

    per_round: float
    """Its mean reward a round; with a discount the mean weighted by that."""
    values: Float[np.ndarray, " S"]
    """The return from each state of the table on."""
    policy: Int[np.ndarray, " S"]
    table: Table


def best_response(env: Matrix, rule: Any, *, gamma: float = 1.0, seat: int = 0) -> Response:
    """The best response in a repeated matrix game to a known rule in the other seat."""
    players = (None, rule) if seat == 0 else (rule, None)
    starts = jax.tree.map(lambda x: x[None], env.reset(jr.key(0)))
    unpaid = lambda state: state._replace(totals=jnp.zeros_like(state.totals))
    table = tabulate(env, players, starts, forget=unpaid)
    values, policy = solve(table, gamma)
    weight = sum(gamma**t for t in range(env.horizon))
    return Response(float(values[table.starts[0]] / weight), values, policy, table)


def solve(table: Table, gamma: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Values [S] of a table's states and moves [S] of the best policy, slot by slot backwards."""
    values = np.zeros(len(table.time))
    policy = np.zeros(len(table.time), np.int64)
    for t in reversed(range(table.time.max() + 1)):
        here = np.flatnonzero(table.time == t)  # they lead to states of slot t + 1 alone
        q = action_values(Mdp(*(x[here] for x in table.mdp)), values, gamma)
        values[here], policy[here] = q.max(1), q.argmax(1)
    return values, policy


def tabulate(
    env: Env,
    players: Sequence[Any],
    starts: tuple[State, TimeStep],
    *,
    forget: Callable[[State], State] = lambda state: state,
) -> Table:
    """Everything that can happen to the seat of None in one episode, at first contact.

    The other players are rules, with ``begin``, ``remember`` and ``log_probs``. ``starts`` are of
    ``env.reset``, leaves [K, ...]. ``forget`` puts one value for whatever in a state bears on
    nothing that comes later. ValueError beyond MOST_STATES, or for a rule that draws its memory at
    random.
    """
    if len(players) != env.num_seats or players.count(None) != 1:
        raise ValueError(
            f"exact: expected {env.num_seats} players of whom one is None, found {players}"
        )
    me = players.index(None)
    with jax.enable_x64(True):
        look, step = _programs(env, tuple(players), forget)
        layer, starting = _distinct(_opened(env, players, starts))
        layers, rows, met = [], [], 0
        for time in range(env.horizon):
            size = len(layer.shown.terminated)
            met += size
            if met > MOST_STATES:
                raise ValueError(
                    f"exact: {env} has more than {MOST_STATES:,} states by slot {time}: only "
                    "small boards and short horizons can be enumerated"
                )
            chances, memories = look(layer, np.full(size, time))
            node, joint, chance = _joint(chances)
            layers.append((layer, np.full(size, time), chances[:, me, :-1] > 0))
            moved = jax.tree.map(lambda x, i=node: x[i], layer._replace(memories=memories))
            after, ends = step(moved, joint)
            reward = after.shown.reward[:, me]
            on = ~ends & after.shown.alive[:, me]
            to = np.full(len(node), GONE)
            rows.append((met - size + node, joint[:, me], chance, reward, to))
            if not on.any():
                break
            layer, place = _distinct(jax.tree.map(lambda x, keep=on: x[keep], after))
            to[on] = met + place
    return _joined(layers, rows, starting)


def _opened(env: Env, players: Sequence[Any], starts: tuple[State, TimeStep]) -> Nodes:
    """The situations at first contact."""
    memories = []
    for rule in players:
        begun = [() if rule is None else rule.begin(jr.key(i), None) for i in range(DRAWS)]
        alike = jax.tree.map(lambda x, *more: all((x == y).all() for y in more), *begun)
        if not all(jax.tree.leaves(alike)):
            raise ValueError(
                f"exact: {rule} draws its memory at random: answer each of what it may draw apart"
            )
        memories.append(begun[0])
    count = len(jax.tree.leaves(starts)[0])
    many = lambda tree: jax.tree.map(lambda x: np.repeat(np.asarray(x)[None], count, 0), tree)
    state, shown = jax.tree.map(np.asarray, starts)
    return Nodes(state, shown, many(Last.nothing(env.num_seats)), many(tuple(memories)))


def _programs(env: Env, players: tuple[Any, ...], forget: Callable) -> tuple[Any, Any]:
    """What everyone may do in a situation, and what a joint move makes of it; many at once."""

    def look(node: Nodes, time: Int[Array, ""]) -> tuple[Float[Array, "N columns"], Any]:
        """Chances of each seat's moves and, last, of none; of mine 1 for each that is legal."""
        views = cut_views(env, node.shown, node.last, time, time == 0)
        chances, memories = [], []
        for seat, (rule, memory) in enumerate(zip(players, node.memories, strict=True)):
            view = jax.tree.map(lambda x, i=seat: x[i], views)
            if rule is None:
                chances.append(view.legal.astype(float))
                memories.append(memory)
            else:
                chances.append(jnp.exp(rule.log_probs(memory, view)))
                kept = rule.remember(memory, view)
                memories.append(select(node.shown.alive[seat], kept, memory))
        absent = ~node.shown.alive[:, None]
        present = jnp.where(absent, 0.0, jnp.stack(chances))
        return jnp.concatenate([present, absent.astype(float)], axis=1), tuple(memories)

    def step(node: Nodes, actions: Int[Array, " N"]) -> tuple[Nodes, Bool[Array, ""]]:
        state, shown = env.step(node.state, actions)
        acting = node.shown.alive
        reward = jnp.where(acting, shown.reward, 0.0)
        event = jnp.where(acting, shown.event, NO_EVENT)
        last = Last(actions, reward, event, shown.visible)
        after = Nodes(forget(state), shown, last, node.memories)
        return after, shown.terminated | shown.truncated

    return _batched(look), _batched(step)


def _batched(function: Callable) -> Callable:
    """Jits a function of one situation for any number of them, on the host.

    Their number is filled up to a power of two, so that few programs are compiled.
    """
    program = jax.jit(jax.vmap(function))

    def call(*trees: Any) -> Any:
        size = len(jax.tree.leaves(trees)[0])
        fill = np.minimum(np.arange(1 << (size - 1).bit_length()), size - 1)
        out = program(*jax.tree.map(lambda x: x[fill], trees))
        return jax.tree.map(lambda x: np.asarray(x)[:size], out)

    return call


def _joint(
    chances: Float[np.ndarray, "n N columns"],
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, "m N"], Float[np.ndarray, " m"]]:
    """Every joint move that may be made: in which situation, the moves, and how likely."""
    size, seats, columns = chances.shape
    whole = np.ones((size, *[1] * seats))
    for seat in range(seats):
        shape = [columns if other == seat else 1 for other in range(seats)]
        whole = whole * chances[:, seat].reshape(size, *shape)
    node, *moves = np.nonzero(whole)
    joint = np.stack(moves, axis=1)
    return node, np.where(joint == columns - 1, NO_MOVE, joint), whole[whole > 0]


def _distinct(nodes: Nodes) -> tuple[Nodes, Int[np.ndarray, " n"]]:
    """Each situation once, and where each of the given ones is among them."""
    # what is shown, pay apart, follows from the state; Last holds the pay
    leaves = jax.tree.leaves(nodes._replace(shown=nodes.shown.alive))
    raw = [np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8) for x in leaves]
    whole = np.concatenate(raw, axis=1)
    _, first, place = np.unique(whole, axis=0, return_index=True, return_inverse=True)
    return jax.tree.map(lambda x: x[first], nodes), place


def _joined(layers: list[Any], rows: list[Any], starts: np.ndarray) -> Table:
    """The table of all slots, from its situations and from the joint moves in them."""
    nodes, time, legal = (
        jax.tree.map(lambda *x: np.concatenate(x), *part) for part in zip(*layers, strict=True)
    )
    node, action, chance, pay, to = (np.concatenate(part) for part in zip(*rows, strict=True))
    cell = node * legal.shape[1] + action
    order = np.argsort(cell, kind="stable")
    node, action, chance, pay, to, cell = (x[order] for x in (node, action, chance, pay, to, cell))
    branch = np.arange(len(cell)) - np.searchsorted(cell, cell)
    shape = (*legal.shape, branch.max() + 1)
    goes = to != GONE
    where = node[goes], action[goes], branch[goes]
    successors, chances, reward = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(legal.shape)
    successors[where], chances[where] = to[goes], chance[goes]
    np.add.at(reward, (node, action), chance * pay)
    return Table(checked(Mdp(successors, chances, reward, legal)), time, nodes, starts)
