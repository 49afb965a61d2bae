"""Decisions a second of planners, one core: the same networks, the same batch for all of them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from counterplay.bench.step import take_one_core
from counterplay.console import read, table

PLAYERS, ACTIONS = 4, 7
"""As in 4x4 stag hunt."""
WIDTH = 64
HOP_TREES, HOP_SIMULATIONS = 5, 200
HOP = f"puct, {HOP_TREES} trees of {HOP_SIMULATIONS} simulations"


@dataclass(frozen=True)
class Planning:
    """Time planners on networks of two layers of 64 units, and on a game."""

    batch: int = 256
    """Decisions made at once."""
    simulations: int = 50
    """Simulations of a search, each of which takes one step of the model."""
    draws: int = 8
    """Draws of the others' moves at a node of a search."""
    env: str = "stag_hunt:4x4"
    """The game of the rows in the true simulator."""
    rows: tuple[str, ...] = ()
    """Rows to measure; by default all of them."""
    rounds: int = 9
    """Times that each is timed; the median counts."""
    seed: int = 0
    """Seed of networks, games and searches."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for name in ("batch", "simulations", "draws", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, found {getattr(self, name)}")


class Subject(NamedTuple):
    """A model to plan with, and a batch of decisions, leaves [B, ...]."""

    functions: Any
    """``planning.Functions``."""
    decisions: tuple
    """(e, belief, prior, legal, alive)"""


Planner = Callable[..., Any]
"""(functions, *decision, key) -> Plan, for one decision."""


def networks(chosen: Planning, players: int = PLAYERS) -> Subject:
    """A latent world in which everything is a network of 64-64 units, untrained."""
    import jax
    import jax.numpy as jnp
    import jax.random as jr

    from counterplay.models.nets import Dense, Trunk
    from counterplay.planning import Arrival, Functions

    others, nothing = players - 1, jnp.zeros(0)
    keys = jr.split(jr.key(chosen.seed), 7)
    moves = players * ACTIONS
    body = Trunk(WIDTH + moves, (WIDTH, WIDTH), keys[0])
    judge = Trunk(WIDTH, (WIDTH, WIDTH), keys[1])
    them = Trunk(WIDTH, (WIDTH, WIDTH), keys[2])
    policy, value = Dense(WIDTH, ACTIONS, 1.0, keys[3]), Dense(WIDTH, 1, 1.0, keys[4])
    expects = Dense(WIDTH, others * ACTIONS, 1.0, keys[5])

    def step(key, e, action, other_moves) -> Arrival:
        joint = jnp.concatenate([action[None], other_moves])
        hot = (joint[:, None] == jnp.arange(ACTIONS)[None]).astype(jnp.float32).ravel()
        after = body((e, hot), nothing)[0]
        yes = jnp.ones(ACTIONS, bool), jnp.ones(others, bool)
        return Arrival(after, after[0], jnp.ones(()), *yes)

    def actions(e, belief):
        return jax.nn.softmax(expects(them(e, nothing)[0]).reshape(others, ACTIONS))

    functions = Functions(
        step=step,
        actions=actions,
        update=lambda belief, e, other_moves: belief,
        value=lambda e, belief: value(judge(e, nothing)[0])[0],
        prior_of=lambda e, belief: jax.nn.log_softmax(policy(judge(e, nothing)[0])),
    )
    e = jr.normal(keys[6], (chosen.batch, WIDTH))
    prior = jax.vmap(functions.prior_of, (0, None))(e, ())
    there = jnp.ones((chosen.batch, ACTIONS), bool), jnp.ones((chosen.batch, players), bool)
    return Subject(functions, (e, (), prior, *there))


def game(chosen: Planning) -> Subject:
    """The true simulator with a fresh goal_ppo of 64-64 units, at the first slot of a game."""
    from functools import partial

    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr

    from counterplay import envs
    from counterplay.algos import goal_ppo
    from counterplay.algos.searching import think
    from counterplay.planning.simulator import place, simulator
    from counterplay.types import Simulator
    from counterplay.views import Last, cut_views

    env = envs.make(chosen.env)
    config = goal_ppo.Config(widths=(WIDTH, WIDTH), types=4)
    net_key, game_key, look_key = jr.split(jr.key(chosen.seed), 3)
    net = goal_ppo.init_learner(config, env, 1, net_key).net
    agent = goal_ppo.Agent(jax.tree.map(lambda x: x[0], net))
    mind, is_none = partial(think, agent), lambda x: x is None

    def begin(key, seat):
        state, shown = env.reset(key)
        last = Last.nothing(env.num_seats)
        views = cut_views(env, shown, last, jnp.int32(0), jnp.bool_(True))
        view = jax.tree.map(lambda x: x[seat], views)
        view = eqx.tree_at(lambda v: v.state, view, Simulator(state, seat), is_leaf=is_none)
        e = place(look_key, mind, agent.begin(look_key, None), view)
        return e, (), e.thought.log_pi, view.legal, view.alive

    seats = jnp.arange(chosen.batch, dtype=jnp.int32) % env.num_seats
    decisions = jax.jit(jax.vmap(begin))(jr.split(game_key, chosen.batch), seats)
    return Subject(simulator(env, mind), decisions)


def searching(how: str) -> Callable[[Planning], Planner]:
    """A tree search."""

    def of(chosen: Planning) -> Planner:
        from counterplay.planning.tree import search

        settings = {"simulations": chosen.simulations, "draws": chosen.draws, "gamma": 0.99}
        return lambda functions, *at: search(*functions, *at, how=how, **settings)

    return of


def of_several_trees(chosen: Planning) -> Planner:
    """As many trees a decision, and simulations in each, as HOP makes (Huang et al., 2024): one
    draw of the others' moves at every node of a tree, and the mean of what the trees say."""

    def planner(functions: Any, *at: Any) -> Any:
        import jax
        import jax.random as jr

        from counterplay.planning.tree import search

        *where, key = at
        settings = {"simulations": HOP_SIMULATIONS, "draws": 1, "gamma": 0.99}
        tree = lambda *at: search(*functions, *at, how="puct", **settings)
        plans = jax.vmap(lambda key: tree(*where, key))(jr.split(key, HOP_TREES))
        return jax.tree.map(lambda x: x.mean(0), plans)

    return planner


def latent(samples: int, depth: int = 1) -> Callable[[Planning], Planner]:
    """A few moves ahead without a tree, so many draws of the others' moves for each of mine."""

    def of(chosen: Planning) -> Planner:
        from counterplay.planning.latent import plan

        def planner(functions: Any, *at: Any) -> Any:
            four = functions[:4]
            return plan(*four, *at, depth=depth, samples=samples)

        return planner

    return of


def two_players(chosen: Planning) -> Subject:
    """The same with one other, whose moves can be summed over."""
    return networks(chosen, 2)


ROWS: dict[str, tuple[Callable[[Planning], Subject], Callable[[Planning], Planner]]] = {
    "gumbel": (networks, searching("gumbel")),
    "muzero": (networks, searching("muzero")),
    "puct": (networks, searching("puct")),
    HOP: (networks, of_several_trees),
    "latent, one other, exact": (two_players, latent(0)),
    "latent, 4 draws": (networks, latent(4)),
    "latent, 8 draws": (networks, latent(8)),
    "latent, 4 draws, depth 2": (networks, latent(4, depth=2)),
    "gumbel, true simulator": (game, searching("gumbel")),
}
"""Name -> what is planned with, and the planner."""
BESIDE = "gumbel", "muzero", HOP
"""Rows that the others are told beside."""


def main(args: list[str]) -> int:
    """``counterplay bench planning``"""
    chosen = read(Planning, args, "bench planning")
    from counterplay.names import unknown

    for name in chosen.rows:
        if name not in ROWS:
            raise unknown("row of bench planning", name, ROWS)
    take_one_core()
    rows = [measure(chosen, name) for name in chosen.rows or ROWS]
    found = {"batch": chosen.batch, "simulations": chosen.simulations, "draws": chosen.draws}
    found |= {"env": chosen.env, "seed": chosen.seed, "beside": list(BESIDE), "rows": rows}
    if chosen.json:
        print(json.dumps(found))
        return 0
    title = (
        f"batches of {chosen.batch}, {chosen.simulations} simulations, {chosen.draws} draws, "
        "64-64 units, one core"
    )
    speeds = ("decisions_a_second", "decisions_a_processor_second")
    body = [
        (row["planner"], *(f"{row[n]:,.0f}" for n in speeds), f"{row['compile_seconds']:.1f}")
        for row in rows
    ]
    table(title, ("planner", "decisions/s", "of processor time", "compiling, s"), body)
    return 0


def measure(chosen: Planning, name: str) -> dict[str, Any]:
    """Median decisions a second of one row, also of processor time, for busy machines."""
    import jax
    import jax.random as jr

    what, how = ROWS[name]
    subject, planner = what(chosen), how(chosen)
    plan = jax.jit(jax.vmap(lambda *at: planner(subject.functions, *at)))
    seconds, used = [], []
    for i in range(chosen.rounds + 1):
        keys = jr.split(jr.fold_in(jr.key(chosen.seed), i), chosen.batch)
        jax.block_until_ready(keys)
        began, worked = time.perf_counter(), time.process_time()
        jax.block_until_ready(plan(*subject.decisions, keys))
        seconds.append(time.perf_counter() - began)
        used.append(time.process_time() - worked)
    usual = median(seconds[1:])
    return {
        "planner": name,
        "decisions_a_second": chosen.batch / usual,
        "decisions_a_processor_second": chosen.batch / median(used[1:]),
        "compile_seconds": seconds[0] - usual,
    }
