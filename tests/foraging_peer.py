"""lbforaging beside the foraging of ours: its games, states and moves in our terms."""

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from lbforaging.foraging.environment import Action, ForagingEnv

from counterplay.envs.board import GONE
from counterplay.envs.foraging import DOWN, LEFT, LOAD, PRESETS, RIGHT, STAY, UP, State
from counterplay.types import NO_EVENT

OURS = (STAY, UP, DOWN, LEFT, RIGHT, LOAD)
"""Our number of each of their moves, in their order."""
THEIRS = np.argsort(OURS)


def peer_of(text: str, env: Any) -> Any:
    """Their game of that name, or with those settings."""
    name = text.partition(":")[2]
    if name in PRESETS:
        return gymnasium.make(f"Foraging-{name}-v3", disable_env_checker=True).unwrapped
    return ForagingEnv(
        players=env.players,
        min_player_level=1,
        max_player_level=env.max_level,
        min_food_level=1,
        max_food_level=None,
        field_size=(env.size, env.size),
        max_num_food=env.foods,
        sight=env.view or env.size,
        max_episode_steps=env.horizon,
        force_coop=env.coop,
        penalty=env.penalty,
    )


def state_of(peer: Any) -> dict[str, list[int]]:
    rows, cols = np.nonzero(peer.field)
    missing = peer.max_num_food - len(rows)
    size = peer.field.shape[1]
    return {
        "players": [int(row * size + col) for row, col in (p.position for p in peer.players)],
        "levels": [int(p.level) for p in peer.players],
        "foods": (rows * size + cols).tolist() + [GONE] * missing,
        "food_levels": peer.field[rows, cols].tolist() + [0] * missing,
    }


def legal_of(peer: Any) -> np.ndarray:
    legal = np.zeros((len(peer.players), len(Action)), bool)
    for seat, player in enumerate(peer.players):
        for action in peer._valid_actions[player]:
            legal[seat, OURS[action.value]] = True
    return legal


def drawn(draw: np.random.Generator, peer: Any, eager: float) -> list[int]:
    """Any moves, legal or not; that often, of each player, what leads to the first food's load."""
    legal = legal_of(peer)
    moves = draw.integers(len(OURS), size=len(legal))
    row, col = np.argwhere(peer.field)[0]
    for seat, player in enumerate(peer.players):
        down, right = row - player.position[0], col - player.position[1]
        useful = np.array([down < 0, down > 0, right < 0, right > 0, False, True]) & legal[seat]
        if draw.random() < eager and useful.any():
            moves[seat] = np.flatnonzero(useful)[-1]
    return moves.tolist()


def play_theirs(peer: Any, draw: np.random.Generator, watch: Any = None) -> tuple[dict, dict]:
    """(start, moves and [T + 1] of all they show) of an episode; ``watch`` is called before each
    move."""
    obs, _ = peer.reset(seed=int(draw.integers(2**31)))
    start = state_of(peer)
    slots = [{"obs": obs, "legal": legal_of(peer), **{k: start[k] for k in ("players",)}}]
    slots[0] |= {"field": peer.field.copy(), "reward": [0.0] * peer.n_agents, "done": False}
    moves, eager = [], draw.choice([0.0, 0.3, 0.8])
    while not slots[-1]["done"]:
        if watch is not None:
            watch(peer)
        moves.append(drawn(draw, peer, eager))
        obs, reward, done, cut, _ = peer.step([int(THEIRS[move]) for move in moves[-1]])
        assert not cut
        shown = {"obs": obs, "legal": legal_of(peer), "players": state_of(peer)["players"]}
        slots.append(shown | {"field": peer.field.copy(), "reward": reward, "done": done})
    return start, {"moves": moves, "slots": slots}


def replay(env: Any, starts: list[dict], moves: np.ndarray) -> Any:
    """Our (state, shown) of the same, [B, T + 1, ...]."""

    def play(state, moves):
        def slot(state, joint):
            state, shown = env.step(state, joint)
            return state, (state, shown)

        quiet, everything = jnp.zeros(env.players), jnp.ones((env.players,) * 2, bool)
        nothing = jnp.full(env.players, NO_EVENT)
        first = state, env._show(state, quiet, nothing, everything, jnp.array(False))
        _, rest = jax.lax.scan(slot, state, moves)
        return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)

    fields = {name: jnp.array([s[name] for s in starts], jnp.int32) for name in starts[0]}
    states = State(**fields, time=jnp.zeros(len(starts), jnp.int32))
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(play))(states, jnp.array(moves)))
