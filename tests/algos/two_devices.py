"""Run by a test on a machine with two devices: lanes dealt to both learn as lanes on one.

One pass over one minibatch, for its order does not matter. Fewer decisions are live on one device
than on the other, so a mean of means would not do. The agent that plans ranks and takes hundredths
of what it sees, on each device for itself, to tell how far plans are to be trusted: in that, and in
nothing else, devices together need not be as one.
"""

import sys
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.sharding import PartitionSpec
from probes import Leavers

from counterplay.algos import counterplay, ppo
from counterplay.algos.loops import Spec
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes
from counterplay.spread import spread_over

LANES = 8
ONE: dict[str, Any] = {"epochs": 1, "minibatches": 1, "widths": (16,)}
READS: dict[str, Any] = ONE | {
    "told_width": 5, "reader_widths": (6,), "reader_gru": 4, "reader_epochs": 1,
    "reader_minibatches": 1, "latent": 8, "world_width": 12, "world_token": 4, "value_width": 8,
    "world_minibatches": 1, "world_steps": 2,
}  # fmt: skip


def main(algorithm: Any, config: Any, who: str) -> None:
    env = Leavers(over=False)
    roster = roster_of(env, dict.fromkeys(range(3), who))
    whole, half = roster.seating(LANES), roster.seating(LANES // 2)

    @jax.jit
    def play(key):
        keys = jr.split(key, 3)
        learners = (algorithm.init_learner(config, env, roster.kinds[0].members, keys[0]),)
        agents = (algorithm.Agent(learners[0].net),)
        lanes = open_lanes(env, whole, agents, keys[1])
        return learners, collect(env, whole, agents, lanes, keys[2], slots=10)[1]

    learners, chunk = play(jr.key(0))
    live = chunk.slots["alive"].reshape(2, -1).sum(1)
    assert live[0] != live[1], "pick another key"

    def improve(spec, chunk):
        state = ppo.State(learners, jnp.float32(0.25 * config.steps), jr.key(1), spec)
        after, metrics = algorithm.learn(config, state, chunk)
        (learner,), apart = after.learners, {}
        if algorithm is counterplay:
            apart = {"trust": learner.net.trust, "spread": learner.net.spread}
            learner = learner._replace(net=replace(learner.net, **dict.fromkeys(apart)))
        told = {name: x for name, x in metrics.items() if name not in {*apart, "plan_rank"}}
        return ((learner,), told), apart

    expected = jax.jit(partial(improve, Spec(env, whole, None)))(chunk)

    def split(axis):  # lanes come in order, and so do the places of every member
        return lambda x: jnp.stack(jnp.split(x, 2, axis))

    parts = chunk._replace(slots=jax.tree.map(split(0), chunk.slots))
    parts = type(chunk)(parts.slots, *jax.tree.map(split(1), tuple(chunk[1:])))
    spread = spread_over(1)
    assert spread.shards == 2 and spread.axis is not None
    for seeds, devices in ((1, 1), (2, 2), (3, 1), (4, 2)):  # cores that learn never sum
        learning = spread_over(seeds, learning=True)
        assert (learning.mesh.size, learning.shards, learning.axis) == (devices, 1, None)

    def local(chunk):
        mine = jax.tree.map(lambda x: x[0], chunk)
        out = improve(Spec(env, half, spread.axis), mine)
        return jax.tree.map(lambda x: x[None], out)

    spec = PartitionSpec(spread.axis)
    mapped = jax.shard_map(local, mesh=spread.mesh, in_specs=spec, out_specs=spec, check_vma=False)
    found = jax.jit(mapped)(parts)
    for path, both in jax.tree.leaves_with_path(found):
        assert np.array_equal(both[0], both[1]), f"devices disagree: {jax.tree_util.keystr(path)}"
    pairs = zip(*(jax.tree.leaves(same) for same, _ in (expected, found)), strict=True)
    for one, both in pairs:
        np.testing.assert_allclose(both[0], one, rtol=2e-5, atol=2e-6)
    nets = (jax.tree.leaves(x[0].net.policy) for x in (expected[0][0], learners))
    moved = max(abs(new - old).max() for new, old in zip(*nets, strict=True))
    assert moved > 1e-4, "something is learned"


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 2)
    if sys.argv[1:] == ["counterplay"]:
        main(counterplay, counterplay.Config(**READS), "self")
    else:
        main(ppo, ppo.Config(**ONE), "self")
        main(ppo, ppo.Config(**ONE), "own")
