"""The look ahead in matrix games against recursion in plain Python, and exact best replies."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.evaluate.bayes import known_rules
from counterplay.evaluate.bayes_matrix import lookahead
from counterplay.evaluate.exact import best_response
from counterplay.types import NO_MOVE

SMALL: Any = envs.make("matrix:pd,horizon=6")
PENNIES: Any = envs.make("matrix:pennies")
RULES = known_rules(SMALL).rules


@pytest.mark.parametrize("rule", range(len(RULES)))
def test_a_known_rule_is_answered_as_the_exact_solution_does(rule):
    reply = lookahead(SMALL, RULES, depth=2)
    exact = best_response(SMALL, RULES[rule]).per_round * SMALL.horizon
    committed = float(reply.known.committed[rule, rule, 0, 0, 0, 0])
    assert committed == pytest.approx(exact, abs=1e-5)
    types = jnp.eye(len(RULES))[rule]
    nothing = jnp.zeros(len(RULES), jnp.int32)
    q = reply.values(types, jnp.full(2, NO_MOVE), nothing, jnp.int32(0))
    assert float(q.max()) == pytest.approx(exact, abs=1e-4)


def slow(reply: Any, weight: np.ndarray, joint: int, held: tuple[int, ...], time: int, depth: int):
    """Values of both moves, one branch after another."""
    chances, remembers, committed = (
        np.asarray(x, np.float64)
        for x in (reply.known.chances, reply.known.remembers, reply.known.committed)
    )
    many = range(len(RULES))
    if depth == 0:
        plans = [
            sum(weight[y] * committed[z, y, time, joint, held[y], held[z]] for y in many)
            for z in many
        ]
        return np.array([max(plans)])
    q = np.zeros(2)
    for mine in range(2):
        for theirs in range(2):
            after = np.array([weight[y] * chances[y, time, joint, held[y], theirs] for y in many])
            to = 1 + 2 * mine + theirs
            kept = tuple(int(remembers[y, time + 1, to, held[y]]) for y in many)
            q[mine] += after.sum() * np.asarray(SMALL.payoffs)[mine, theirs]
            q[mine] += slow(reply, after, to, kept, time + 1, depth - 1).max()
    return q


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_recursion(seed):
    draw = np.random.default_rng(seed)
    reply = lookahead(SMALL, RULES, depth=2)
    types = draw.dirichlet(np.ones(len(RULES)))
    moved, time = draw.integers(0, 2, 2), int(draw.integers(0, SMALL.horizon))
    held = tuple(int(name == "grim" and draw.integers(2)) for name in ("", "", "", "grim", "", ""))
    found = reply.values(jnp.float32(types), jnp.int32(moved), jnp.int32(held), jnp.int32(time))
    expected = slow(reply, types, 1 + 2 * moved[0] + moved[1], held, time, 2)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_test_of_the_other_is_bought_where_it_pays():
    """All that is open is whether it always cooperates or takes revenge for ever."""
    env: Any = envs.make("matrix:pd,horizon=40")
    rules = known_rules(env).rules
    reply = lookahead(env, rules)
    values = jax.jit(lambda p: reply.values(p, jnp.zeros(2, jnp.int32), jnp.zeros(6, jnp.int32),
                                            jnp.int32(5)))  # fmt: skip
    mostly_grim, mostly_kind = (jnp.array([p, 0.0, 0.0, 1 - p, 0.0, 0.0]) for p in (0.2, 0.8))
    assert values(mostly_grim).argmax() == 0 and values(mostly_kind).argmax() == 1


def test_rules_and_games_it_cannot_follow_are_refused():
    gradual = opponents.make("gradual", SMALL)
    with pytest.raises(ValueError, match="remember nothing or one truth, found Rule"):
        lookahead(SMALL, (gradual,))
    with pytest.raises(ValueError, match="expected a symmetric game, found Matrix"):
        lookahead(PENNIES, RULES)
