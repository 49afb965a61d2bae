"""Level-based foraging beside lbforaging, from its states and with the same moves.

Nothing in lbforaging is drawn after a reset. It works off who loads in no set order; that cannot
matter where nobody is beside two foods, as a food's loaders are then taken together whoever of
them comes first, and no two foods share one. That it is so is tested with the starts.
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.envs.board import GONE, UNSEEN
from counterplay.envs.foraging import DOWN, LEFT, LOAD, PRESETS, RIGHT, STAY, UP, State
from counterplay.types import NO_EVENT

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("lbforaging")
from lbforaging.foraging.environment import Action, ForagingEnv  # noqa: E402

OURS = (STAY, UP, DOWN, LEFT, RIGHT, LOAD)
"""Our number of each of their moves, in their order."""
THEIRS = np.argsort(OURS)
EPISODES = 200
VARIED = (
    "foraging,size=5,players=4,foods=2,penalty=.1",
    "foraging,size=6,players=6,foods=4,view=1,max_level=3",
    "foraging,size=7,players=3,foods=2,view=2,coop=true,penalty=.5,horizon=70",
    "foraging,size=9,players=5,view=3",
)
"""Crowded boards, several who load together or in vain, and windows of all kinds."""


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


def play_theirs(peer: Any, draw: np.random.Generator) -> tuple[dict, dict]:
    """(start, [T + 1] of all they show) of an episode; shorter ones are filled up to T."""
    obs, _ = peer.reset(seed=int(draw.integers(2**31)))
    start = state_of(peer)
    slots = [{"obs": obs, "legal": legal_of(peer), **{k: start[k] for k in ("players",)}}]
    slots[0] |= {"field": peer.field.copy(), "reward": [0.0] * peer.n_agents, "done": False}
    moves, eager = [], draw.choice([0.0, 0.3, 0.8])
    while not slots[-1]["done"]:
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


def as_theirs(env: Any, obs: np.ndarray, seat: int) -> np.ndarray:
    """One of our observations in their order: what is not seen drops out, others by seat number."""
    things = env.players + env.foods
    rows, cols = np.divmod(obs[:things].astype(int), env.window)
    triples = np.stack([rows, cols, obs[things:-1]], axis=1)
    seen = obs[:things] != UNSEEN
    seats = (seat + np.arange(env.players)) % env.players
    order = [0, *(1 + np.argsort(seats[1:]))]
    out = np.tile(np.array([-1, -1, 0], np.float32), (things, 1))
    for begin, places in ((env.foods, order), (0, range(env.players, things))):
        kept = [triples[place] for place in places if seen[place]]
        out[begin : begin + len(kept)] = kept or out[:0]
    return out.ravel()


@pytest.mark.parametrize("text", [*(f"foraging:{name}" for name in PRESETS), *VARIED])
def test_everything_is_as_in_lbforaging(text):
    env: Any = envs.make(text)
    peer, draw = peer_of(text, env), np.random.default_rng(0)
    played = [play_theirs(peer, draw) for _ in range(EPISODES)]
    longest = max(len(theirs["moves"]) for _, theirs in played)
    moves = np.full((EPISODES, longest, env.players), STAY)
    for row, (_, theirs) in zip(moves, played, strict=True):
        row[: len(theirs["moves"])] = theirs["moves"]
    states, shown = replay(env, [start for start, _ in played], moves)
    for b, (start, theirs) in enumerate(played):
        for t, slot in enumerate(theirs["slots"]):
            where = f"episode {b}, slot {t}"
            state = {name: value[b, t] for name, value in states._asdict().items()}
            field = np.zeros(env.cells, int)
            there = state["foods"] != GONE
            field[state["foods"][there]] = state["food_levels"][there]
            assert state["players"].tolist() == slot["players"], where
            assert state["levels"].tolist() == start["levels"], where
            assert (field == slot["field"].ravel()).all(), where
            assert (shown.legal[b, t] == slot["legal"]).all(), where
            assert shown.terminated[b, t] == slot["done"], where
            np.testing.assert_allclose(shown.reward[b, t], slot["reward"], 1e-6, 0, err_msg=where)
            assert ((shown.event[b, t] >= 0) == (np.array(slot["reward"]) > 0)).all(), where
            for seat, obs in enumerate(slot["obs"]):
                assert (as_theirs(env, shown.obs[b, t, seat], seat) == obs).all(), where
                assert shown.obs[b, t, seat, -1] == t, where
    check_enough_happened(env, played)


def check_enough_happened(env: Any, played: list[Any]) -> None:
    """Of everything that the comparison is about there was some."""
    slots = [slot for _, theirs in played for slot in theirs["slots"]]
    reward = np.array([slot["reward"] for slot in slots])
    places = np.array([slot["players"] for slot in slots])
    assert ((reward > 0).sum(1) >= 1).sum() > EPISODES / 10
    assert ((reward > 0).sum(1) >= 2).any(), "several loaded one food"
    assert (reward < 0).any() == (env.penalty > 0)
    assert any(slot["done"] and slot["field"].any() for slot in slots), "out of time"
    assert any(slot["done"] and not slot["field"].any() for slot in slots), "all loaded"
    if env.players > 3:
        pairs = np.triu_indices(env.players, 1)
        assert (places[:, pairs[0]] == places[:, pairs[1]]).any(), "two on one cell"


def starts_of(text: str, count: int) -> tuple[Any, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The game, our starts and theirs, each field [B, ...]; theirs are of fresh games."""
    env: Any = envs.make(text)
    states, _ = jax.jit(jax.vmap(env.reset))(jr.split(jr.key(0), count))
    ours = {name: np.asarray(value) for name, value in states._asdict().items()}
    peer, found = peer_of(text, env), []
    for seed in range(count):
        for player in peer.players:
            player.position = None  # where it was last keeps others off that cell
        peer.reset(seed=seed)
        found.append(state_of(peer))
    return env, ours, {name: np.array([s[name] for s in found]) for name in found[0]}


@pytest.mark.parametrize(
    ("text", "count"),
    [("foraging", 3000), ("foraging:8x8-2p-3f-coop", 3000), (VARIED[0], 3000), (VARIED[1], 500)],
)
def test_starts_are_drawn_as_in_lbforaging(text, count):
    """Also where there is not always room for all foods, which takes theirs long to find out."""
    env, ours, theirs = starts_of(text, count)
    for starts in (ours, theirs):
        check_starts(env, starts)
    share = lambda values, most: np.bincount(values.ravel() + 1, minlength=most + 1) / count
    for name, most in (
        ("players", env.cells),
        ("foods", env.cells),
        ("levels", env.max_level + 1),
        ("food_levels", 3 * env.max_level + 1),
    ):
        one, other = share(ours[name], most), share(theirs[name], most)
        # the difference of two means of so many draws, in standard errors: about 200 are compared
        error = np.sqrt(np.maximum(one + other, 2 / count) / count)
        assert (abs(one - other) < 4.5 * error).all(), name
    weak, other_weak = (np.sort(starts["levels"], 1)[:, :3].sum(1) for starts in (ours, theirs))
    for most in range(3, 5):
        one = ours["food_levels"][weak == most]
        other = theirs["food_levels"][other_weak == most]
        np.testing.assert_allclose(one.mean(), other.mean(), atol=0.2)
        assert one.max(initial=0) == other.max(initial=0) in (0, most)


def check_starts(env: Any, starts: dict[str, np.ndarray]) -> None:
    """What every start keeps to: levels, apart, and nobody beside two foods."""
    weakest = np.sort(starts["levels"], 1)[:, :3].sum(1, keepdims=True)
    placed = starts["foods"] != GONE
    assert (placed[:, 0] & (np.diff(placed.astype(int), axis=1) <= 0).all(1)).all()
    assert ((starts["levels"] >= 1) & (starts["levels"] <= env.max_level)).all()
    assert (starts["food_levels"] <= weakest).all()
    assert ((starts["food_levels"] > 0) == placed).all()
    if env.coop:
        assert (starts["food_levels"] == weakest * placed).all()
    for players, foods in zip(starts["players"], starts["foods"], strict=True):
        assert len({*players.tolist()}) == env.players and not {*players} & {*foods}
        field = np.zeros((env.size, env.size), int)
        field.ravel()[foods[foods != GONE]] = 1
        assert not (field[[0, -1]].any() or field[:, [0, -1]].any())
        padded = np.pad(field, 1)
        beside = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        assert beside.max() <= 1 and not (beside * field).any()
