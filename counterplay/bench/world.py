"""How right a model of the game becomes: trained on play of rules, measured on fresh episodes; or
how right that of an agent is which plans in it."""

import json
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from counterplay import envs
from counterplay.algos.looking import plans
from counterplay.bench import planning_tables
from counterplay.console import read, run_where_called, table
from counterplay.evaluate.world import Probe, measured, probe_loss, shares, tolerances
from counterplay.models import world as model
from counterplay.models.windows import FIELDS, Window, window_of
from counterplay.models.world import world_of
from counterplay.models.world_loss import Weights, world_loss
from counterplay.pools import find, read_seats, roster_of
from counterplay.rollout import Lanes, collect, open_lanes
from counterplay.settings import check_least
from counterplay.types import Env

WARM = 0.05
"""Share of the training over which the step size rises; it falls to 0 along a cosine."""
CLIP = 10.0


@dataclass(frozen=True)
class World:
    """Train a model of the game on play of rules and random players; measure it on fresh play."""

    run: str = ""
    """Folder of a run that plans: its world is measured as it is, and only the probe is trained."""
    env: str = "stag_hunt:4x4"
    """The game."""
    seat: tuple[str, ...] = ("0..3=random,nearest_stag,nearest_hare,adaptive",)
    """Who plays; all seats are learnt from."""
    updates: int = 8192
    """Steps of Adam, each on windows never seen before."""
    batch: int = 64
    """Windows in each."""
    window: int = 8
    """Slots of a window."""
    rate: float = 2e-3
    """Largest step size."""
    lanes: int = 256
    """Games side by side."""
    ahead: int = 5
    """Moves looked ahead, in training and when it is measured."""
    held_out: int = 8192
    """Windows by which it is measured."""
    hidden: int = 192
    """Units that are carried on. These four and the groups are a run's own."""
    groups: int = 8
    """Groups of the discrete latent; 0 for none."""
    classes: int = 8
    """Classes of each."""
    width: int = 128
    """Units of a layer."""
    token: int = 192
    """Units that pick a player out of the latent."""
    seed: int = 0
    """Seed of play and training."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        least = {"updates": 1, "batch": 1, "window": 2, "lanes": 1, "ahead": 1, "held_out": 1}
        check_least(self, **least)
        if self.ahead >= self.window:
            raise ValueError(
                f"--ahead {self.ahead} moves lead out of windows of {self.window} slots: "
                f"give --window {self.ahead + 1} or more"
            )


def main(args: list[str]) -> int:
    """``counterplay bench world``"""
    bench = read(World, args, "bench world")
    run_where_called()
    found = measure(bench)
    if bench.json:
        print(json.dumps(found))
        return 0
    shown = planning_tables.world(found)
    title = f"{bench.env}: after {bench.updates:,} updates of {bench.batch} windows, "
    title += f"{found['seconds']:.0f} s ({found['updates_per_second']:.1f} updates/s)"
    table(title, tuple(shown[0]), [tuple(row.values()) for row in shown])
    return 0


class Learning(NamedTuple):
    """What is trained, and its optimiser."""

    world: model.World
    probe: Probe
    adam: Any


def measure(bench: World) -> dict[str, Any]:
    """Trains, then measures by the likeliest latents and by drawn ones."""
    env = envs.make(bench.env)
    world_key, probe_key, play_key, learn_key, test_key = jr.split(jr.key(bench.seed), 5)
    names = ("hidden", "groups", "classes", "width", "token")
    sizes = {name: getattr(bench, name) for name in names}
    world = world_in(bench.run, env) if bench.run else world_of(env, world_key, **sizes)
    optimiser = _optimiser(bench)
    nets = world, Probe(world, probe_key)
    learning = Learning(*nets, optimiser.init(nets))  # type: ignore[arg-type]
    lanes, play = _player(bench, env, play_key)
    learn = jax.jit(partial(_learn, bench, env, optimiser), donate_argnums=0)
    parts, ends = {}, [time.perf_counter()]
    for i in range(-(-bench.updates // (bench.lanes * env.num_seats // bench.batch))):
        lanes, windows = play(lanes, jr.fold_in(play_key, i))
        learning, parts = learn(learning, windows, jr.fold_in(learn_key, i))
        jax.block_until_ready(parts)
        ends.append(time.perf_counter())
    later = ends[-1] - ends[1]  # without compiling
    each = bench.lanes * env.num_seats // bench.batch
    tests = _tests(bench, env, test_key)
    return {
        "seed": bench.seed,
        "env": bench.env,
        "updates": each * (len(ends) - 1),
        "batch": bench.batch,
        "windows": bench.held_out,
        "likeliest": _measured(bench, env, learning, tests, None),
        "drawn": _measured(bench, env, learning, tests, test_key),
        "loss": {name: float(x) for name, x in parts.items()},
        "updates_per_second": each * (len(ends) - 2) / later if later else None,
        "seconds": ends[-1] - ends[0],
        "compile_seconds": ends[1] - ends[0],
        "parameters": sum(x.size for x in jax.tree.leaves(learning.world)),
    }


def world_in(folder: str, env: Env) -> model.World:
    """That of a run's first seed; ValueError where it learnt none."""
    agent = find(f"run:{folder}", env, 0)
    if not plans(agent):
        raise ValueError(f"--run {folder}: it has learnt no world; counterplay train counterplay "
                         "makes a run that has")  # fmt: skip
    return agent.net.model.world


def _optimiser(bench: World) -> optax.GradientTransformation:
    warm = max(int(WARM * bench.updates), 1)
    rate = optax.warmup_cosine_decay_schedule(0.0, bench.rate, warm, max(bench.updates, warm + 1))
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(rate))


def _player(bench: World, env: Env, key: PRNGKeyArray) -> tuple[Lanes, Any]:
    """Fresh games, and what plays on: all windows of all seats, in any order."""
    roster = roster_of(env, read_seats(bench.seat, env.num_seats))
    seating = roster.seating(roster.lanes_for(bench.lanes))
    names = (*FIELDS, "visible")

    def of_lane(slots: dict[str, Array]) -> Window:
        return jax.vmap(lambda seat: window_of(env, slots, seat))(jnp.arange(env.num_seats))

    def play(lanes: Lanes, key: PRNGKeyArray) -> tuple[Lanes, Window]:
        lanes, chunk = collect(env, seating, roster.others, lanes, key, slots=bench.window)
        windows = jax.vmap(of_lane)({name: chunk.slots[name] for name in names})
        return lanes, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), windows)

    return open_lanes(env, seating, roster.others, key), jax.jit(play)


def _learn(
    bench: World,
    env: Env,
    optimiser: optax.GradientTransformation,
    learning: Learning,
    windows: Window,
    key: PRNGKeyArray,
) -> tuple[Learning, dict[str, Array]]:
    """One pass over windows; the probe learns beside the model, from what that has become."""
    weights = Weights(steps=bench.ahead, every=4)
    order_key, key = jr.split(key)
    number = len(windows.contact) // bench.batch

    def loss(nets, batch: Window, key: PRNGKeyArray):
        world, probe = nets

        def one(window, key):
            world_key, probe_key = jr.split(key)
            sums, counts = {}, {}
            if not bench.run:
                sums, counts = world_loss(env, world, window, None, world_key, weights)
            told = probe_loss(env, world, probe, window, probe_key)
            return sums | {"probe": told[0]}, counts | {"probe": told[1]}

        sums, counts = jax.vmap(one)(batch, jr.split(key, bench.batch))
        means = jax.tree.map(lambda s, n: s.sum() / jnp.maximum(n.sum(), 1), sums, counts)
        return sum(means.values()), means

    def update(learning: Learning, chosen):
        rows, key = chosen
        batch = jax.tree.map(lambda x: x[rows], windows)
        nets = learning.world, learning.probe
        grad, means = jax.grad(loss, has_aux=True)(nets, batch, key)
        step, adam = optimiser.update(grad, learning.adam)
        return Learning(*optax.apply_updates(nets, step), adam), means  # type: ignore[arg-type]

    order = jr.permutation(order_key, len(windows.contact))[: number * bench.batch]
    chosen = order.reshape(number, bench.batch), jr.split(key, number)
    learning, means = jax.lax.scan(update, learning, chosen)
    return learning, jax.tree.map(jnp.mean, means)


def _tests(bench: World, env: Env, key: PRNGKeyArray) -> Window:
    """Windows of games that nothing was learnt from; the first of each game are left out, since
    all of them begin with an episode."""
    lanes, play = _player(bench, env, key)
    lanes, _ = play(lanes, key)
    found, count = [], 0
    while count < bench.held_out:
        lanes, windows = play(lanes, jr.fold_in(key, len(found)))
        found.append(windows)
        count += len(windows.contact)
    return jax.tree.map(lambda *x: jnp.concatenate(x)[: bench.held_out], *found)


def _measured(
    bench: World, env: Env, learning: Learning, tests: Window, key: PRNGKeyArray | None
) -> dict[str, Any]:
    """Shares by moves ahead, in parts: not all latents need be held at once."""
    world, probe = learning.world, learning.probe
    shown = np.unique(np.asarray(tests.obs)[np.asarray(tests.shown)], axis=0)
    features = np.asarray(jax.vmap(env.encode)(jnp.asarray(shown)))
    tolerance = jnp.asarray(tolerances(features, world.binary))

    def one(window: Window, drawn: PRNGKeyArray):
        given = None if key is None else drawn
        return measured(env, world, probe, window, tolerance, given, ahead=bench.ahead)

    keys = jr.split(jr.key(0) if key is None else key, bench.held_out)
    run = jax.jit(lambda *x: jax.lax.map(lambda row: one(*row), x, batch_size=256))
    return shares(jax.tree.map(lambda x: x.sum(0), run(tests, keys)))
