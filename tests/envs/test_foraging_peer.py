"""Level-based foraging beside lbforaging, from its states and with the same moves.

Nothing in lbforaging is drawn after a reset. It works off who loads in no set order; that cannot
matter where nobody is beside two foods, as a food's loaders are then taken together whoever of
them comes first, and no two foods share one. That it is so is tested with the starts.
"""

from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.envs.board import GONE, UNSEEN
from counterplay.envs.foraging import PRESETS, STAY

pytest.importorskip("gymnasium")
pytest.importorskip("lbforaging")
from foraging_peer import peer_of, play_theirs, replay, state_of

EPISODES = 200
VARIED = (
    "foraging,size=5,players=4,foods=2,penalty=.1",
    "foraging,size=6,players=6,foods=4,view=1,max_level=3",
    "foraging,size=7,players=3,foods=2,view=2,coop=true,penalty=.5,horizon=70",
    "foraging,size=9,players=5,view=3",
)
"""Crowded boards, several who load together or in vain, and windows of all kinds."""


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
