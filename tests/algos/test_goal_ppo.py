"""What the reader of goal_ppo learns, against plain loops, and what nobody may learn from."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from meadow import SEATS, spoilt
from meadow_play import CONFIG, ENV, GOALS, KINDS, SEATING, SLOTS, model, played, study

from counterplay.algos import goal_ppo
from counterplay.algos.goal_ppo import GoalReader
from counterplay.algos.study import Study
from counterplay.models.history import Seen, inputs
from counterplay.rollout import Chunk
from counterplay.types import NO_EVENT, NO_MOVE


@jax.jit
def losses(reader: GoalReader, told: Study):
    """Sums and counts of the parts over all places, and their gradient."""
    one = partial(goal_ppo.reader_loss, (4, 7), CONFIG, ENV)

    def total(reader):
        sums, counts = jax.vmap(partial(one, reader))(told)
        sums = jax.tree.map(jnp.sum, sums)
        return sum(sums.values()), (sums, jax.tree.map(jnp.sum, counts))

    return jax.grad(total, has_aux=True)(reader)


@jax.jit
def one_slot(reader: GoalReader, obs, seen: Seen, memory):
    x = inputs(ENV.encode(obs), seen, ENV.num_actions, ENV.num_goals)
    e, memory = reader.model.trunk(x, memory)
    return reader.model(x, e, seen.legal), memory


def softmax(logs: np.ndarray) -> np.ndarray:
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def by_loop(told: Study) -> tuple[dict[str, float], dict[str, int], set[str]]:
    """The parts of the loss, slot by slot and other by other, in float64."""
    told = jax.tree.map(np.asarray, told)
    sums = {"moves_loss": 0.0, "goals_loss": 0.0, "types_loss": 0.0}
    counts = dict.fromkeys(sums, 0)
    met: set[str] = set()
    for p, j in np.ndindex(told.acting.shape[0], SEATS - 1):
        rows, memory = [], jnp.asarray(told.memory[0][p])
        for t in range(SLOTS):
            if told.contact[p, t]:
                memory = jnp.zeros_like(memory)
            seen = Seen(*(x[p, t] for x in told.seen))
            reading, after = one_slot(model(), told.obs[p, t], seen, memory)
            memory = after if told.acting[p, t] else memory
            rows.append([np.asarray(x[j], float) for x in reading])
        done = {4: [1.0, 0.0, 0.0], 7: [0.0, 1.0, 0.0]}
        learns = [0.0, 0.0, 1.0]
        weigh = [np.array(done.get(int(k), learns)) for k in told.opponent[p, :, j]]
        said, made = np.zeros((SLOTS, GOALS)), np.zeros((SLOTS, GOALS))
        for t in range(SLOTS):
            said[t] = weigh[t] @ rows[t][1]
            if told.moves[p, t, j] != NO_MOVE:
                made[t] = weigh[t] @ rows[t][0][:, :, told.moves[p, t, j]]
        for t in range(SLOTS):
            if told.moves[p, t, j] == NO_MOVE:
                continue
            label, segment = segment_of(told, p, t, j)
            if label == NO_EVENT:
                q = softmax(said[segment[0]] + made[segment].sum(0))
            else:
                q = np.eye(GOALS)[label]
            met.add("censored" if label == NO_EVENT else "labelled")
            sums["moves_loss"] -= q @ made[t]
            sums["goals_loss"] -= q @ said[t]
            counts["moves_loss"] += 1
            counts["goals_loss"] += 1
            sums["types_loss"] -= weigh[t] @ rows[t][2]
            counts["types_loss"] += 1
    return sums, counts, met


def segment_of(told: Study, p: int, t: int, j: int) -> tuple[int, list[int]]:
    """What another completes next, and all its slots from the event before to that one."""
    first = last = t
    while told.event[p, last, j] == NO_EVENT and told.goes_on[p, last, j]:
        if last + 1 == SLOTS or not told.there[p, last + 1, j]:
            break
        last += 1
    while first > 0 and told.there[p, first - 1, j] and told.goes_on[p, first - 1, j]:
        if told.event[p, first - 1, j] != NO_EVENT:
            break
        first -= 1
    return int(told.event[p, last, j]), list(range(first, last + 1))


def test_the_loss_is_that_of_plain_loops():
    _, (sums, counts) = losses(model(), study())
    wanted, number, met = by_loop(study())
    assert met == {"censored", "labelled"}
    for name in wanted:
        assert counts[name] == number[name] > 0, name
        np.testing.assert_allclose(sums[name], wanted[name], rtol=1e-4, err_msg=name)
    seen = np.asarray(study().moves) != NO_MOVE
    assert number["moves_loss"] == seen.sum()
    learners = seen & ~np.isin(study().opponent, (4, 7))
    assert learners.any(), "who learns is met, too, and is a type of its own"


def test_what_the_absent_hold_changes_neither_loss_nor_gradient():
    """Not in the last bit."""
    clean = losses(model(), study())
    odd = losses(model(), study(spoilt_chunk()))
    for a, b in zip(jax.tree.leaves(clean), jax.tree.leaves(odd), strict=True):
        assert np.isfinite(a).all() and np.array_equal(a, b)


def spoilt_chunk() -> Chunk:
    return spoilt(SEATING, jax.tree.map(np.asarray, played().chunk))


@cache
def learned(odd: bool) -> Any:
    chunk = jax.tree.map(np.asarray, played().chunk)
    return _learn(played().state, spoilt(SEATING, chunk) if odd else chunk)


_learn = jax.jit(partial(goal_ppo.learn, CONFIG))


def test_nor_what_is_learnt_by_policy_and_reader():
    (clean, told), (odd, also) = learned(False), learned(True)
    before = played().state
    for part in ("policy", "reader"):
        old, new, same = (
            jax.tree.leaves(getattr(s.learners[0].net, part)) for s in (before, clean, odd)
        )
        assert all(np.isfinite(x).all() for x in new), part
        assert any(not np.array_equal(a, b) for a, b in zip(old, new, strict=True)), part
        assert all(np.array_equal(a, b) for a, b in zip(new, same, strict=True)), part
    for name in ("policy_loss", "value_loss", "moves_loss", "goals_loss", "types_loss"):
        assert np.isfinite(told[name]) and told[name] == also[name], name
    assert told["bad_updates"].sum() == also["bad_updates"].sum() == 0
    assert told["others_nll"] == also["others_nll"] > 0


along = jax.jit(jax.vmap(lambda r, s, x: r.model.trunk.along(x, s.contact, s.acting, s.memory[0]),
                         (None, 0, 0)))  # fmt: skip
read_in = jax.jit(jax.vmap(jax.vmap(
    lambda obs, seen: inputs(ENV.encode(obs), seen, ENV.num_actions, ENV.num_goals))))  # fmt: skip


def test_the_readers_memory_is_that_of_acting_chunk_by_chunk_and_whole():
    first, second = study(played().before), study()
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), first, second)
    joined = joined._replace(memory=first.memory)
    made = [along(model(), s, read_in(s.obs, s.seen)) for s in (first, second, joined)]
    acts = np.asarray(second.acting)
    np.testing.assert_allclose(made[2][:, SLOTS:][acts], made[1][acts], rtol=1e-4, atol=1e-6)
    for made_of, s, after in (
        (made[0], first, second.memory[0]),
        (made[1], second, played().chunk.next_memories[0][1][0][0]),
    ):
        there = np.asarray(s.acting[:, -1])
        assert there.any()
        np.testing.assert_allclose(made_of[:, -1][there], after[there], rtol=1e-4, atol=1e-6)


def test_types_are_known_of_opponents_and_any_of_learners():
    opponent = jnp.array([[4, 7, 0], [9, 4, 7]])
    kind, known = goal_ppo.types_of((4, 7), opponent, 2)
    assert kind.tolist() == [[[1, 0], [0, 1], [0.5, 0.5]], [[0.5, 0.5], [1, 0], [0, 1]]]
    assert known.tolist() == [[True, True, False], [False, True, True]]
    kind, known = goal_ppo.types_of((4, 7), opponent, 4)
    assert kind[0, 1].tolist() == [0, 1, 0, 0] and kind[0, 2].tolist() == [0, 0, 1, 0]
    assert known.all()
    kind, known = goal_ppo.types_of((4, 7), opponent, 1)
    assert (kind == 1).all() and kind.shape == (2, 3, 1) and known.all()
    assert CONFIG.types == 3 and goal_ppo.opponent_ids(KINDS) == [4, 7]
