"""How much of a foreign game's own speed is left when policies play it through the hosted loop."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from counterplay.console import read, run_where_called, table

SLOTS = 128
"""Slots of one call of the hosted loop, as in training."""
ROUNDS = 10
"""Bare and hosted play take turns this often, so that a busy machine slows both."""


@dataclass(frozen=True)
class Host:
    """Measure how much of a foreign game's own speed is left in the hosted loop."""

    env: str = "lbforaging:Foraging-5x5-2p-1f-coop-v3"
    """The game."""
    copies: int = 16
    """Copies side by side."""
    seconds: float = 10.0
    """Time spent measuring."""
    seed: int = 0
    """Seed of episodes and moves."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        if self.copies < 1 or not 0 < self.seconds < float("inf"):
            raise ValueError(f"copies and seconds must be positive: {self.copies}, {self.seconds}")


def main(args: list[str]) -> int:
    """``counterplay bench host``"""
    chosen = read(Host, args, "bench host")
    run_where_called()
    found = run(chosen.env, chosen.copies, chosen.seconds, chosen.seed)
    if chosen.json:
        print(json.dumps(found))
        return 0
    rows = [
        (name, f"{row['bare']:,}", f"{row['hosted']:,}", f"{row['ratio']:.0%}")
        for name, row in found["rows"].items()
    ]
    title = f"{chosen.env}, {chosen.copies} copies, env-steps a second"
    table(title, ("policy", "bare", "hosted", "kept"), rows)
    return 0


def run(
    env: str = "lbforaging:Foraging-5x5-2p-1f-coop-v3",
    copies: int = 16,
    seconds: float = 10.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Environment steps a second: bare copies with random legal actions, and the hosted loop.

    The hosted loop plays a random legal policy, then a network of PPO; ``ratio`` is its share of
    the bare speed, the median over rounds.
    """
    from counterplay.envs import make

    game = make(env)
    bare = bare_player(game, copies, seed)
    rows = {}
    for name, policy in (("random", _random(game)), ("ppo", _network(game, seed))):
        hosted = hosted_player(game, policy, copies, seed)
        slice_s = seconds / (4 * ROUNDS)
        pairs = [(_speed(bare, slice_s), _speed(hosted, slice_s)) for _ in range(ROUNDS)]
        rows[name] = {
            "bare": round(median(own for own, _ in pairs)),
            "hosted": round(median(ours for _, ours in pairs)),
            "ratio": round(median(ours / own for own, ours in pairs), 3),
        }
    return {"env": env, "copies": copies, "seconds": seconds, "seed": seed, "rows": rows}


def bare_player(game: Any, copies: int, seed: int) -> Callable[[], int]:
    """Plays some steps of bare copies, as one would without this library."""
    games = [game.build(**dict(game.settings)) for _ in range(copies)]
    for i, bare in enumerate(games):
        bare.reset(seed=seed + i)
    choose = random.Random(seed).choice  # noqa: S311  (moves in a game, no secret)
    step = _step_several if hasattr(games[0].unwrapped, "_valid_actions") else _step_sampling

    def play() -> int:
        for _ in range(SLOTS):
            for bare in games:
                step(bare, choose)
        return SLOTS * copies

    return play


def _step_several(bare: Any, choose: Callable) -> None:
    inner = bare.unwrapped
    # ._value_ is the number itself; .value goes through a descriptor and would slow the bare game
    moves = [choose(inner._valid_actions[player])._value_ for player in inner.players]
    _, _, terminated, truncated, _ = bare.step(moves)
    if terminated or truncated:
        bare.reset()


def _step_sampling(bare: Any, choose: Callable) -> None:
    if hasattr(bare, "possible_agents"):
        moves = {agent: choose(range(bare.action_space(agent).n)) for agent in bare.agents}
        bare.step(moves)
        if not bare.agents:
            bare.reset()
        return
    _, _, terminated, truncated, _ = bare.step(bare.action_space.sample())
    if terminated or truncated:
        bare.reset()


def hosted_player(game: Any, policy: Any, copies: int, seed: int) -> Callable[[], int]:
    """Plays a chunk of slots with one policy in every seat."""
    import numpy as np

    from counterplay.rollout_host import collect_host, open_host
    from counterplay.seats import Chair, Kind, Roster

    kind = Kind("everyone", policy=policy)
    seating = Roster((kind,), ((Chair(0, 0),) * game.num_seats,)).seating(copies)
    lanes = open_host(game, seating, (policy,), seed)
    seeds = iter(np.random.default_rng(seed).integers(2**31, size=1_000_000))

    def play() -> int:
        collect_host(game, seating, (policy,), lanes, int(next(seeds)), slots=SLOTS)
        return SLOTS * copies

    return play


def _speed(play: Callable[[], int], seconds: float) -> float:
    play()  # compiles at first, and warms up after the other one's turn
    begun, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < seconds:
        steps += play()
    return steps / spent


def _random(game: Any) -> Any:
    import jax

    from counterplay import opponents

    return jax.tree.map(lambda x: x[None], opponents.make("random", game))


def _network(game: Any, seed: int) -> Any:
    import jax

    from counterplay.algos import ppo

    learner = jax.jit(partial(ppo.init_learner, ppo.Config(), game, 1))
    return ppo.Agent(learner(jax.random.key(seed)).net)
