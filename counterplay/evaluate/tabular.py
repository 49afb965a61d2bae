"""References of repeated matrix games in tables, without learning: oracle and blind.

A match of some episodes is played with one of some rules, all equally likely. The oracle is exact,
by backward induction against each rule. The best policy of what the game shows, the clock and the
last joint move of this episode, has no such recursion, as one table has to do for all rules. It is
searched for from many starts: a lower bound. PPO may end far below it.

Letters: ``Y`` rules, ``E`` episodes of a match, ``T`` rounds of an episode, ``J`` last joint moves
(none yet, then mine and the other's), ``H`` values of what a rule remembers, ``A`` actions.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from counterplay.envs.matrix import Matrix
from counterplay.evaluate.bayes_matrix import asked
from counterplay.evaluate.solo import MODES, ORACLE

STARTS = 24
"""Tables from which the search for the blind one climbs."""
GAIN = 1e-9
"""Return below which a change of the table is none."""
LEAST = 1e-30
"""Probability in place of 0, whose logarithm no network gives."""


class Known(NamedTuple):
    """All that a match depends on."""

    does: Float[np.ndarray, "Y T J H A"]
    """Chances of the other's moves, by what it remembers once it has seen J."""
    remembers: Int[np.ndarray, "Y T J H"]
    """What it then remembers, by what it did before."""
    payoffs: Float[np.ndarray, "A A"]
    """Mine; rows my action, columns the other's."""
    episodes: int

    @property
    def horizon(self) -> int:
        return self.does.shape[1]

    @property
    def rounds(self) -> int:
        """Of a match."""
        return self.episodes * self.horizon


class Table(eqx.Module):
    """Plays from tables where ``references`` has networks: as the blind or as the oracle.

    What the other remembers, and at the start of an episode the last move of the one before, which
    is not shown, are read off what it is about to do.
    """

    blind: Float[Array, "T J A"]
    oracle: Float[Array, "Y T J H A"]
    does: Float[Array, "Y T J H A"]

    def __call__(self, obs: Float[Array, " F"], _: Any) -> tuple[Array]:
        """Logits of the moves, from what ``Solo`` shows in one mode."""
        types, horizon, *_, actions = self.does.shape
        marks = actions + 1
        mine, other = obs[:marks].argmax(), obs[marks : 2 * marks].argmax()
        joint = jnp.where(mine == 0, 0, 1 + (mine - 1) * actions + other - 1)
        time = jnp.round(obs[2 * marks] * horizon).astype(jnp.int32)
        rule = obs[2 * marks + 1 :][:types].argmax()
        about = obs[-len(MODES) - actions : -len(MODES)]
        far = jnp.abs(self.does[rule, time] - about[None, None]).sum(2)
        possible = (time == 0) | (jnp.arange(far.shape[0]) == joint)
        place = jnp.where(possible[:, None], far, jnp.inf).argmin()
        exact = self.oracle[rule, time].reshape(-1, actions)[place]
        is_oracle = obs[-len(MODES) :][ORACLE] > 0
        chances = jnp.where(is_oracle, exact, self.blind[time, joint])
        return (jnp.log(jnp.maximum(chances, LEAST)),)


def known(env: Matrix, rules: Sequence[Any], episodes: int = 1, seat: int = 0) -> Known:
    """Of a match in that seat; ValueError for rules that remember more than one truth."""
    does, remembers = (np.stack(x) for x in zip(*(asked(env, r) for r in rules), strict=True))
    mine = env.payoffs if seat == 0 else env.other_payoffs or env.payoffs
    return Known(does, remembers, np.array(mine, np.float64), episodes)


def table(of: Known) -> Table:
    """The oracle, and the best blind table that was found, of certain moves or mixed."""
    plays = oracle(of)[1]
    exact = np.eye(len(of.payoffs))[plays]
    best = max(blind(of), mixed(of), key=lambda found: found[0])
    return Table(*(jnp.float32(x) for x in (best[1], exact, of.does)))


def oracle(of: Known) -> tuple[Float[np.ndarray, " Y"], Int[np.ndarray, "Y T J H"]]:
    """What the best reply to each rule earns in a match, and its moves in the first episode.

    By backward induction, Puterman (1994), section 4.5. The moves of later episodes, which differ
    only as the end draws near, are not kept: nobody is shown the number of the episode.
    """
    worth, plays = np.zeros(of.remembers[:, 0].shape), np.zeros(of.remembers.shape, np.int64)
    for time in reversed(range(of.rounds)):
        q = _action_values(of, time, worth)
        worth, plays[:, time % of.horizon] = q.max(-1), q.argmax(-1)
    return worth[:, 0, 0], plays


def value(of: Known, policy: Float[np.ndarray, "T J A"]) -> float:
    """What a blind table earns in a match, on average over the rules."""
    return float(_values(of, policy)[0, :, 0, 0].mean())


def uniform(of: Known) -> Float[np.ndarray, "T J A"]:
    """The random player's table."""
    horizon, joints, _, actions = of.does.shape[1:]
    return np.full((horizon, joints, actions), 1 / actions)


def blind(of: Known, starts: int = STARTS, seed: int = 0) -> tuple[float, np.ndarray]:
    """The best blind table of certain moves found, [T, J, A], and what it earns in a match: a lower
    bound.

    Coordinate ascent: round by round from the last, the table's moves are made the best ones for
    the situations that it meets there. In a match of one episode no such step can lose; over
    several it is kept only if it gains, and then single entries are tried. It climbs from random
    tables and from those that leave the clock out, as where it ends depends on where it began.
    """
    draw = np.random.default_rng(seed)
    shape = uniform(of).shape
    best = (-np.inf, uniform(of))
    for k in range(starts):
        rows = shape if k % 2 else (1, *shape[1:])
        chances = draw.dirichlet(np.ones(shape[-1]), rows[:2])
        if k % 4 < 2:
            chances = np.eye(shape[-1])[chances.argmax(-1)]
        start = np.broadcast_to(chances, shape).copy()
        start[0] = start[0, 0]  # nothing is shown there that could tell its entries apart
        climbed = _climbed(of, start)
        best = max(best, climbed, key=lambda found: found[0])
    return best


def mixed(of: Known, starts: int = 2 * STARTS, seed: int = 0) -> tuple[float, np.ndarray]:
    """The best of the tables, [T, J, A], to which gradients lead from random ones: a bound, too.
    Where one entry does for several situations a mixed one may be the best: Singh et al. (1994)."""
    found = ascended(of, drawn(of, starts, seed))
    return max(((value(of, x), x) for x in found), key=lambda one: one[0])


def drawn(of: Known, starts: int, seed: int) -> Float[np.ndarray, "S T J A"]:
    """Logits of so many random tables, of standard deviation 2."""
    return 2 * np.random.default_rng(seed).normal(size=(starts, *uniform(of).shape))


def ascended(
    of: Known, logits: Float[np.ndarray, "S T J A"], steps: int = 1000, bonus: float = 0.0
) -> Float[np.ndarray, "S T J A"]:
    """The tables to which so many of Adam's steps lead from each of those with these logits.

    ``bonus`` is paid at the start per nat of a table's mean entropy, and falls to 0.
    """
    adam = optax.adam(0.05)

    def loss(x, left):
        chances = _chances(x)
        entropy = -(chances * jnp.log(jnp.maximum(chances, LEAST))).sum(-1).mean()
        return -_earned(of, chances) / of.episodes - left * bonus * entropy

    def step(carry, left):
        x, moments = carry
        change, moments = adam.update(jax.grad(loss)(x, left), moments)
        return (x + change, moments), None

    def climb(x):
        return _chances(lax.scan(step, (x, adam.init(x)), 1 - jnp.arange(steps) / steps)[0][0])

    found = np.asarray(jax.jit(jax.vmap(climb))(jnp.asarray(logits, jnp.float32)), np.float64)
    return found / found.sum(-1, keepdims=True)


def _chances(logits: Float[Array, "T J A"]) -> Float[Array, "T J A"]:
    """A table; nothing is shown in its first round that could tell entries apart."""
    return jax.nn.softmax(logits.at[0].set(logits[0, 0]), -1)


def _earned(of: Known, policy: Float[Array, "T J A"]) -> Float[Array, ""]:
    """What ``value`` is, for gradients."""
    does, rules = jnp.asarray(of.does, jnp.float32), np.arange(len(of.does))[:, None]

    def episode(met: Float[Array, "Y J H"], _: Any):
        paid = jnp.float32(0)
        for now in range(of.horizon):
            moved = met[..., None, None] * policy[now][None, :, None, :, None]
            moved = moved * does[:, now, :, :, None]  # [Y, J, H, A, A']
            paid += jnp.einsum("yjhmo,mo->", moved, jnp.asarray(of.payoffs, jnp.float32))
            moved, met = moved.sum(1), jnp.zeros_like(met)
            for mine, theirs in np.ndindex(of.payoffs.shape):
                joint, held = _next(of, now, mine, theirs)
                met = met.at[rules, joint, held].add(moved[..., mine, theirs])
        return met, paid

    begin = jnp.zeros(of.remembers[:, 0].shape).at[:, 0, 0].set(1.0)
    return lax.scan(episode, begin, length=of.episodes)[1].sum() / len(of.does)


def _climbed(of: Known, policy: np.ndarray) -> tuple[float, np.ndarray]:
    """Ascends from a table until neither a sweep nor a single entry gains."""
    worth = value(of, policy)
    while True:
        swept = _swept(of, policy)
        found = value(of, swept)
        if found < worth + GAIN and of.episodes > 1:
            found, swept = _one_entry(of, policy, worth)
        if found < worth + GAIN:
            return worth, policy
        worth, policy = found, swept


def _swept(of: Known, policy: np.ndarray) -> np.ndarray:
    """The best moves of each round, with those of later rounds swept and of earlier ones as given.

    Over all episodes at once; episodes to come are valued as the given table plays them.
    """
    met = _met(of, policy).reshape(of.episodes, of.horizon, *of.remembers[:, 0].shape)
    worth, policy = _values(of, policy)[of.horizon :: of.horizon], policy.copy()
    for time in reversed(range(of.horizon)):
        q = _action_values(of, time, worth)
        told = (met[:, time, ..., None] * q).sum((0, 1, 3))
        if time == 0:  # one entry, whatever was done before
            told = np.broadcast_to(told.sum(0), told.shape)
        better = told.max(-1) > (told * policy[time]).sum(-1) + GAIN
        policy[time] = np.where(
            better[:, None], np.eye(told.shape[-1])[told.argmax(-1)], policy[time]
        )
        worth = (q * policy[time][:, None]).sum(-1)
    return policy


def _one_entry(of: Known, policy: np.ndarray, worth: float) -> tuple[float, np.ndarray]:
    """The first table that is better and differs in one entry; the same one if there is none."""
    entries = [(0, slice(None)), *np.ndindex(policy.shape[:2])]
    for time, joint in (at for at in entries if at[0] or at == entries[0]):
        for row in np.eye(policy.shape[2]):
            other = policy.copy()
            other[time, joint] = row
            found = value(of, other)
            if found > worth + GAIN:
                return found, other
    return worth, policy


def _values(of: Known, policy: np.ndarray) -> Float[np.ndarray, "rounds1 Y J H"]:
    """The return of a table from each round of a match on; the last row, after it, is 0."""
    worth = np.zeros((of.rounds + 1, *of.remembers[:, 0].shape))
    for time in reversed(range(of.rounds)):
        q = _action_values(of, time, worth[time + 1])
        worth[time] = (q * policy[time % of.horizon][:, None]).sum(-1)
    return worth


def _met(of: Known, policy: np.ndarray) -> Float[np.ndarray, "rounds Y J H"]:
    """How likely each situation is in each round of a match, rule by rule."""
    rows = np.zeros((of.rounds, *of.remembers[:, 0].shape))
    rows[0, :, 0, 0] = 1
    rules = np.arange(len(of.does))[:, None]
    for time in range(of.rounds - 1):
        now = time % of.horizon
        moved = rows[time, ..., None, None] * policy[now][:, None, :, None]
        moved = (moved * of.does[:, now, :, :, None]).sum(1)  # [Y, H, A, A']
        for mine, theirs in np.ndindex(of.payoffs.shape):
            joint, held = _next(of, time, mine, theirs)
            np.add.at(rows[time + 1, :, joint], (rules, held), moved[..., mine, theirs])
    return rows


def _action_values(of: Known, time: int, worth: np.ndarray) -> Float[np.ndarray, "*E Y J H A"]:
    """The return of each of my moves in a round, from the worth of the next situations.

    ``worth`` is [*E, Y, J, H].
    """
    now, rules = time % of.horizon, np.arange(len(of.does))[:, None]
    q = of.does[:, now] @ of.payoffs.T + np.zeros((*worth.shape[:-3], 1, 1, 1, 1))
    for mine, theirs in np.ndindex(of.payoffs.shape):
        joint, held = _next(of, time, mine, theirs)
        later = worth[..., rules, joint, held][..., :, None, :]
        q[..., mine] += of.does[:, now, ..., theirs] * later
    return q


def _next(of: Known, time: int, mine: int, theirs: int) -> tuple[int, Int[np.ndarray, "Y H"]]:
    """The last joint move as the next round has it, and what each rule then remembers."""
    now = (time + 1) % of.horizon
    joint = 1 + mine * len(of.payoffs) + theirs
    return joint, of.remembers[:, now, joint]
