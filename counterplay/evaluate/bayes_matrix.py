"""Replies in repeated matrix games to a posterior over rules: a few rounds looked ahead, with what
they would teach, and then the best reply to one of the rules for good.

To suppose instead that the rule will be known by then, as QMDP does (Littman, Cassandra &
Kaelbling, 1995), may put off for ever what it costs to find out, and so never gain what there is to
gain from always_cooperate in the prisoner's dilemma.

Letters: ``Y`` rules, ``T`` rounds of all episodes, ``J`` last joint moves (none yet, then mine and
the other's), ``H`` values of what a rule remembers, ``A`` actions, ``P`` joint moves looked ahead.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from counterplay.envs.matrix import Matrix
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.types import NO_EVENT, NO_MOVE, View

DEPTH = 3
"""Rounds looked ahead; work grows as actions to twice this power."""
BITS = 2
"""Values of what a rule may remember: nothing at all, or one truth."""


class Known(eqx.Module):
    """Of every rule what it does and remembers, and what the best reply to it earns."""

    chances: Float[Array, "Y T J H A"]
    remembers: Int[Array, "Y T J H"]
    """What it remembers, with that in mind before, once it has seen the last joint move."""
    committed: Float[Array, "Z Y T J H H"]
    """The return from this round on against rule y of the best reply to rule z, which remembers
    the second H."""


class Lookahead(eqx.Module):
    """Forward search in the space of posteriors, ``depth`` rounds deep, Ross et al. (2008),
    sect. 3.2; then the value of the best of some policies, a lower bound that can be attained.
    """

    known: Known
    payoffs: Float[Array, "A A"]
    depth: int = eqx.field(static=True)

    def log_probs(self, mind: Any, carry: Any, view: View) -> Float[Array, " A"]:
        remembered = jnp.stack([_bit(memory) for memory in carry.memories[0]])
        q = self.values(mind.types(carry)[0], view.moved, remembered, view.time)
        return any_of(jnp.arange(q.shape[0]) == jnp.argmax(q))

    def values(
        self,
        types: Float[Array, " Y"],
        moved: Int[Array, "2"],
        remembered: Int[Array, " Y"],
        time: Int[Array, ""],
    ) -> Float[Array, " A"]:
        """What each of my moves earns from now on, as far as the search sees."""
        actions = self.payoffs.shape[0]
        last = jnp.where(moved[1] == NO_MOVE, 0, 1 + moved[0] * actions + moved[1])
        # of every row of joint moves so far: weight of each rule, and what it remembers
        weight, held, joint = types[None], remembered[None], last[None]
        paid = []
        for ahead in range(self.depth):
            chance = self._at(self.known.chances, time + ahead, joint, held)
            after = weight[..., None] * chance  # [P, Y, A']
            paid.append(after.sum(1) @ self.payoffs.T)
            many = jnp.arange(actions)
            joint_next = 1 + many[:, None] * actions + many[None]
            weight = jnp.broadcast_to(
                jnp.moveaxis(after, 2, 1)[:, None], (*paid[-1].shape, actions, after.shape[1])
            ).reshape(-1, after.shape[1])
            joint = jnp.tile(joint_next.ravel(), chance.shape[0])
            held = jnp.repeat(held, actions**2, axis=0)
            held = self._at(self.known.remembers, time + ahead + 1, joint, held)
        value = (weight[:, None] * self._committed(time + self.depth, joint, held)).sum(2).max(1)
        for ahead in reversed(range(self.depth)):
            q = paid[ahead] + value.reshape(*paid[ahead].shape, actions).sum(2)
            value = q.max(1)
        return q[0]

    def _at(
        self, table: Array, time: Int[Array, ""], joint: Int[Array, " P"], held: Int[Array, "P Y"]
    ) -> Array:
        """The entries of a table in one round, [P, Y, ...]."""
        rules = jnp.arange(table.shape[0])[None]
        return table[rules, time, joint[:, None], held]

    def _committed(
        self, time: Int[Array, ""], joint: Int[Array, " P"], held: Int[Array, "P Y"]
    ) -> Float[Array, "P Z Y"]:
        rules = jnp.arange(held.shape[1])
        table, joint = self.known.committed, joint[:, None, None]
        policy, rule = rules[None, :, None], rules[None, None]
        return table[policy, rule, time, joint, held[:, None], held[:, :, None]]


def lookahead(
    env: Matrix, rules: Sequence[Rule], depth: int = DEPTH, episodes: int = 1
) -> Lookahead:
    """Against these rules, from either seat of a symmetric game.

    It plans for so many episodes to come, this one among them, in every one of which it might be
    the first of the match: which it is nobody is shown.

    ValueError where the two seats are paid by different tables, or a rule keeps more than a truth.
    """
    if env.other_payoffs not in (None, env.payoffs):
        raise ValueError(f"lookahead: expected a symmetric game, found {env}: whose seat is mine?")
    again = lambda x: np.tile(x, (episodes, *[1] * (x.ndim - 1)))
    asked_of = zip(*(asked(env, rule) for rule in rules), strict=True)
    chances, remembers = (np.stack([again(x) for x in part]) for part in asked_of)
    payoffs = np.array(env.payoffs)
    q = np.stack([_replies(*x, payoffs) for x in zip(chances, remembers, strict=True)])
    each = list(zip(chances, remembers, strict=True))
    committed = np.stack([
        np.stack([_committed(rule, q[z].argmax(-1), each[z][1], payoffs) for rule in each])
        for z in range(len(rules))
    ])  # fmt: skip
    # after the last round nobody earns
    later = lambda x, axis=1: np.pad(x, [(0, depth * (i == axis)) for i in range(x.ndim)])
    known = Known(
        chances=jnp.float32(later(chances)),
        remembers=jnp.int32(later(remembers)),
        committed=jnp.float32(later(committed, 2)),
    )
    return Lookahead(known, jnp.float32(payoffs), depth)


def _replies(
    chances: Float[np.ndarray, "T J H A"], remembers: Int[np.ndarray, "T J H"], payoffs: np.ndarray
) -> Float[np.ndarray, "T J H A"]:
    """The return from this round on of each move against a rule, the best replies following.

    By backward induction in float64, Puterman (1994), section 4.5.
    """
    q = np.zeros(chances.shape)
    actions = len(payoffs)
    for t in reversed(range(len(q))):
        worth = chances[t] @ payoffs.T
        if t + 1 < len(q):
            for mine in range(actions):
                for theirs in range(actions):
                    joint = 1 + mine * actions + theirs
                    value = q[t + 1, joint].max(1)[remembers[t + 1, joint]]  # of H before
                    worth[..., mine] += chances[t, ..., theirs] * value[None]
        q[t] = worth
    return q


def _committed(
    rule: tuple[Float[np.ndarray, "T J H A"], Int[np.ndarray, "T J H"]],
    policy: Int[np.ndarray, "T J H"],
    recalls: Int[np.ndarray, "T J H"],
    payoffs: np.ndarray,
) -> Float[np.ndarray, "T J H H"]:
    """What a policy earns against a rule; ``recalls`` is how the policy's own memory goes on."""
    chances, remembers = rule
    actions = len(payoffs)
    worth = np.zeros((*remembers.shape, BITS))
    held, own = (x[None] for x in np.meshgrid(range(BITS), range(BITS), indexing="ij"))
    for t in reversed(range(len(worth))):
        mine = np.broadcast_to(policy[t][:, None], worth.shape[1:])
        for theirs in range(actions):
            reward = payoffs[mine, theirs]
            if t + 1 < len(worth):
                to = 1 + mine * actions + theirs
                after = remembers[t + 1][to, held], recalls[t + 1][to, own]
                reward = reward + worth[(t + 1, to, *after)]
            worth[t] += chances[t, ..., theirs][..., None] * reward
    return worth


def asked(env: Matrix, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """What a rule does, [T, J, H, A], and remembers, [T, J, H], asked of the rule itself.

    What it does is told by what it remembers once it has seen J, and what it then remembers by
    what it did before. ValueError for a rule that keeps more than a truth.
    """
    leaves = jax.tree.leaves(rule.begin(jax.random.key(0), None))
    if len(leaves) > 1 or any(x.shape or x.dtype != bool for x in leaves):
        raise ValueError(f"matrix: expected rules that remember nothing or one truth, found {rule}")
    with jax.enable_x64(True):
        many = env.num_actions
        rows = [(NO_MOVE, NO_MOVE), *((a, b) for a in range(many) for b in range(many))]
        moved = jnp.array([row[::-1] for row in rows], jnp.int32)  # as the other sees it
        kept = rule.begin(jax.random.key(0), None)

        def one(time, moved, bit):
            memory = jax.tree.map(lambda x: bit == 1, kept)
            view = _view(env, moved, time)
            return jnp.exp(rule.distribution(memory, view)), _bit(rule.remember(memory, view))

        over_bits = jax.vmap(one, (None, None, 0))
        over_rows = jax.vmap(over_bits, (None, 0, None))
        over_times = jax.vmap(over_rows, (0, None, None))
        made = jax.jit(over_times)(jnp.arange(env.horizon), moved, jnp.arange(BITS))
    chances, bits = made
    return np.asarray(chances, np.float64), np.asarray(bits)


def _view(env: Matrix, moved: Int[Array, "2"], time: Int[Array, ""]) -> View:
    """What a player sees after a joint move; ``reward`` is not filled in."""
    many = env.num_actions
    marks = (moved[:, None] + 1 == jnp.arange(many + 1)[None]).astype(float)
    return View(
        obs=jnp.concatenate([marks.ravel(), time[None] / env.horizon]),
        legal=jnp.ones(many, bool),
        alive=jnp.ones(2, bool),
        moved=moved,
        public_legal=jnp.ones((2, many), bool),
        reward=jnp.array(0.0),
        event=jnp.full(2, NO_EVENT),
        time=time,
        first=time == 0,
        told=jnp.zeros(0),
    )


def _bit(memory: Any) -> Int[Array, ""]:
    """What a rule remembers as a number; 0 where that is nothing."""
    leaves = jax.tree.leaves(memory)
    return jnp.int32(leaves[0]) if leaves else jnp.int32(0)
