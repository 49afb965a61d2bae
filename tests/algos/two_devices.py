"""Run by a test on a machine with two devices: lanes dealt to both learn as lanes on one.

One pass over one minibatch, for its order does not matter. Fewer decisions are live on one device
than on the other, so a mean of means would not do.
"""

from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.sharding import PartitionSpec
from probes import Leavers

from counterplay.algos import ppo
from counterplay.algos.loops import Spec
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes
from counterplay.spread import spread_over

LANES = 8


def main(who: str) -> None:
    env, config = Leavers(over=False), ppo.Config(epochs=1, minibatches=1, widths=(16,))
    roster = roster_of(env, dict.fromkeys(range(3), who))
    whole, half = roster.seating(LANES), roster.seating(LANES // 2)

    @jax.jit
    def play(key):
        keys = jr.split(key, 3)
        learners = (ppo.init_learner(config, env, roster.kinds[0].members, keys[0]),)
        agents = (ppo.Agent(learners[0].net),)
        lanes = open_lanes(env, whole, agents, keys[1])
        return learners, collect(env, whole, agents, lanes, keys[2], slots=10)[1]

    learners, chunk = play(jr.key(0))
    live = chunk.slots["alive"].reshape(2, -1).sum(1)
    assert live[0] != live[1], "pick another key"

    def improve(spec, chunk):
        state = ppo.State(learners, jnp.float32(0.25 * config.steps), jr.key(1), spec)
        after, metrics = ppo.learn(config, state, chunk)
        return after.learners, metrics

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
    pairs = zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True)
    for one, both in pairs:
        assert np.array_equal(both[0], both[1]), "devices disagree"
        np.testing.assert_allclose(both[0], one, rtol=2e-5, atol=2e-6)
    moved = abs(expected[0][0].net.policy.weight - learners[0].net.policy.weight).max()
    assert moved > 1e-4, "something is learned"


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 2)
    main("self")
    main("own")
