"""Golden playthroughs: games from fixed starts with fixed moves, and all that they showed.

A change of the rules shows as a change of a file. When it is meant, write the files anew with
``python tests/envs/golden.py`` and read the difference before you commit it.
"""

import json
from itertools import count
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from counterplay import envs
from counterplay.types import NO_MOVE

FOLDER = Path(__file__).with_suffix("")
RECORDED = ("obs", "legal", "alive", "reward", "event", "terminated")
GAMES = {
    "stag_hunt_4x4": "stag_hunt:4x4",
    "stag_hunt_8x8": "stag_hunt:8x8,horizon=20",
    "stag_hunt_two_stags": "stag_hunt:two-stags,players=3,horizon=12",
    "stag_hunt_obstacles_view": "stag_hunt:6x6,obstacles=6,view=3,horizon=12",
    "snowdrift_4x4": "snowdrift:4x4",
    "snowdrift_8x8": "snowdrift:8x8,players=3,horizon=30",
    "matrix_pd": "matrix:pd,horizon=8",
    "matrix_pennies": "matrix:pennies,horizon=6",
    "matrix_rps": "matrix:rps,horizon=6",
    "matrix_chicken": "matrix:chicken,horizon=8",
    "matrix_stag": "matrix:stag,horizon=2",
    "race_slack2": "race:slack2",
    "race_narrow": "race:narrow",
    "race_four": "race,players=4,slack=6",
    "coordination_slack0": "coordination",
    "coordination_narrow": "coordination:narrow",
    "coordination_three": "coordination,players=3,slack=4",
    "pursuit_11x11": "pursuit:11x11",
    "pursuit_5x5": "pursuit:11x11,size=5,view=1,horizon=12",
    "scissors_9x9": "scissors:9x9",
    "scissors_short": "scissors:short",
    "scissors_near": "scissors:9x9,view=0,horizon=60",
    "foraging_5x5": "foraging:5x5-2p-1f-coop",
    "foraging_crowd": "foraging:10x10-3p-3f,size=6,penalty=.1,horizon=60",
    "foraging_window": "foraging:2s-8x8-2p-2f-coop,size=6,players=4,coop=false,horizon=40",
}
NEAR = {
    "race_slack2": {"players": [66, 16, 63], "time": 2},
    "race_four": {"players": [55, 55, 17, 65], "time": 6},
    "coordination_slack0": {"players": [16, 5], "time": 4},
    "coordination_three": {"players": [53, 53, 64], "time": 5},
}
"""Starts next to what is far from the real one, which a walk at random would never find."""
ENDS_WITH_A_GOAL = ("coordination", "pursuit", "scissors")
"""Games in which no episode completes every kind of goal."""


def play(env: Any, start: dict[str, Any], moves: list[list[int]]) -> list[dict[str, Any]]:
    """What each joint move showed, from a stored start."""
    step = jax.jit(env.step)
    like, _ = jax.eval_shape(env.reset, jr.key(0))
    state = like._replace(
        **{name: jnp.asarray(value, getattr(like, name).dtype) for name, value in start.items()}
    )
    slots = []
    for joint in moves:
        state, shown = step(state, jnp.array(joint))
        slots.append({name: _plain(getattr(shown, name)) for name in RECORDED})
    return slots


def record(name: str, text: str) -> dict[str, Any]:
    """A new playthrough, the first by seed in which every kind of goal is completed.

    Where a goal ends the game, the first in which one is completed.
    """
    env: Any = envs.make(text)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    for seed in count():
        state, shown = reset(jr.key(seed))
        if name in NEAR:
            near = {field: jnp.int32(value) for field, value in NEAR[name].items()}
            state = state._replace(**near)
            shown = env._show(state, shown.reward, shown.event)
        start = {name: _plain(value) for name, value in state._asdict().items()}
        draw, moves, completed = np.random.default_rng(seed), [], set()
        while not shown.terminated:
            moves.append([_move(draw, legal) for legal in np.asarray(shown.legal)])
            state, shown = step(state, jnp.array(moves[-1]))
            completed |= {*_plain(shown.event)}
        wanted = {*range(env.num_goals)}
        short = text.startswith(ENDS_WITH_A_GOAL)
        if completed & wanted if short else completed >= wanted:
            break
    return {"env": text, "start": start, "moves": moves, "slots": play(env, start, moves)}


def write() -> None:
    for name, text in GAMES.items():
        played = record(name, text)
        slots = ",\n  ".join(json.dumps(slot) for slot in played.pop("slots"))
        head = json.dumps(played)[:-1]
        (FOLDER / f"{name}.json").write_text(f'{head},\n "slots": [\n  {slots}\n ]}}\n')


def _move(draw: np.random.Generator, legal: np.ndarray) -> int:
    """Often the last legal move (to hunt, where there is prey), now and then an illegal one."""
    if not legal.any():
        return NO_MOVE
    if draw.random() < 1 / 8:
        return int(draw.integers(len(legal)))
    choices = np.flatnonzero(legal)
    return int(choices[-1] if draw.random() < 0.3 else draw.choice(choices))


def _plain(array: Any) -> Any:
    array = np.asarray(array)
    return (array.astype(int) if array.dtype == bool else array).tolist()


if __name__ == "__main__":
    write()
