"""JaxMARL's games stepped bare and as ours, with legal moves and start states from a pool.

Bare is JaxMARL's ``step``, which computes a fresh start at every step in case the game is over, and
``step_env``, which does not and plays on after the end: less work than any loop can do with.
"""

import json
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from counterplay import envs
from counterplay.bench.step import Pace, legal_move, take_one_core
from counterplay.console import read, table

GAMES = (
    "jaxmarl:overcooked",
    "jaxmarl:MPE_simple_spread_v3",
    "jaxmarl:MPE_simple_tag_v3",
    "jaxmarl:coin_game",
    "jaxmarl:storm_2p",
    "jaxmarl:SMAX,scenario=3m",
)


@dataclass(frozen=True)
class Wrapped(Pace):
    """Compare JaxMARL's games with the same games behind our interface, on one core."""

    games: tuple[str, ...] = GAMES
    """Which ones."""
    rounds: int = 21
    """Programs of each kind, in turn; the medians count."""

    def __post_init__(self):
        super().__post_init__()
        for game in self.games:
            if not game.startswith(envs.JAXMARL):
                raise ValueError(
                    f"{game} is none of JaxMARL's: its name would begin {envs.JAXMARL}"
                )


def main(args: list[str]) -> int:
    """``counterplay bench wrapped``"""
    chosen = read(Wrapped, args, "bench wrapped")
    take_one_core()
    rows = [measure(chosen, game) for game in chosen.games]
    if chosen.json:
        print(json.dumps({"bench": "wrapped", "lanes": chosen.lanes, "rows": rows}))
        return 0
    title = f"{chosen.lanes} lanes, one core, random moves"
    shown = [(r["game"], f"{r['bare']:,}", f"{r['wrapped']:,}", f"{r['kept']:.0%}") for r in rows]
    table(title, ("game", "bare", "wrapped, env-steps/s", "kept"), shown)
    return 0


def measure(chosen: Wrapped, text: str) -> dict[str, Any]:
    """Median steps a second of both, and the median of the ratios of neighbouring rounds."""
    import jax
    import jax.random as jr

    env: Any = envs.make(text)
    keys = jr.split(jr.key(chosen.seed), chosen.lanes)
    starts = jax.jit(jax.vmap(env.reset))(keys)
    plays = {
        "bare": _bare(env, chosen, env.game.step),
        "endless": _bare(env, chosen, env.game.step_env),
        "wrapped": _wrapped(env, chosen, starts),
    }
    carries: dict[str, Any] = {
        "bare": starts[0].game,
        "endless": starts[0].game,
        "wrapped": (starts[0], starts[1].legal, starts[1].alive),
    }
    seconds: dict[str, list[float]] = {name: [] for name in plays}
    for turn in range(-2, chosen.rounds):  # the first two compile and warm up
        for name, play in plays.items():
            began = time.perf_counter()
            carries[name], seen = play(carries[name], jr.key(chosen.seed + turn + 2))
            jax.block_until_ready(seen)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - began)
    steps = chosen.lanes * chosen.slots
    pairs = {name: zip(seconds[name], seconds["wrapped"], strict=True) for name in plays}
    kept = {name: median(b / w for b, w in pairs[name]) for name in ("bare", "endless")}
    speeds = {name: round(steps / median(times)) for name, times in seconds.items()}
    return {"game": text, **speeds, "kept": kept["bare"], "kept_endless": kept["endless"]}


def _bare(env: Any, chosen: Wrapped, step: Any) -> Any:
    """JaxMARL's ``step``, which resets on its own, or its ``step_env``, which never does."""
    import jax
    import jax.random as jr

    from counterplay.envs.jaxmarl_games import named

    def slot(state, key):
        move_key, step_key = jr.split(key)
        moves = _draws(env, chosen, move_key) % env.num_actions
        told = named(env.sizes.agents, [moves[:, i].astype("int32") for i in range(env.num_seats)])
        keys = jr.split(step_key, chosen.lanes)
        # as for ours: else XLA computes a step once for every array that it feeds
        obs, state, reward, done, _ = jax.lax.optimization_barrier(
            jax.vmap(step)(keys, state, jax.lax.optimization_barrier(told))
        )
        return state, (obs, reward, done)

    return jax.jit(lambda state, key: jax.lax.scan(slot, state, jr.split(key, chosen.slots)))


def _wrapped(env: Any, chosen: Wrapped, starts: Any) -> Any:
    """Our step, legal moves and start states from a pool."""
    import jax
    import jax.numpy as jnp
    import jax.random as jr

    from counterplay.types import NO_MOVE
    from counterplay.views import select

    def slot(carry, key):
        state, legal, alive = carry
        moves = legal_move(legal, _draws(env, chosen, key))
        moves = jax.lax.optimization_barrier(jnp.where(alive, moves, NO_MOVE))
        # as the rollout does: else XLA computes a step once for every array that it feeds
        state, after = jax.lax.optimization_barrier(jax.vmap(env.step)(state, moves))
        over = after.terminated | after.truncated
        state, shown = select(over, starts, (state, after))
        return (state, shown.legal, shown.alive), (shown.obs, shown.legal, after.reward, over)

    return jax.jit(lambda carry, key: jax.lax.scan(slot, carry, jr.split(key, chosen.slots)))


def _draws(env: Any, chosen: Wrapped, key: Any) -> Any:
    """Random bits, one number a player."""
    import jax.random as jr

    return jr.bits(key, (chosen.lanes, env.num_seats))
