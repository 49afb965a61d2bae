"""Games that break their promises: refused in words or restarted, and never half stored."""

import time
from functools import cache
from typing import Any, ClassVar

import faulty
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from faulty import LENGTH, ODD, OTHER, Alone, Pair
from faulty_more import Masked, Several

from counterplay import opponents
from counterplay.algos import guards
from counterplay.envs import gymnasium, pettingzoo, running, watching
from counterplay.envs.hosting import blank
from counterplay.envs.running import IN_A_ROW, Breaks, Running, close_all
from counterplay.errors import GameError
from counterplay.host_slots import LEFT_OUT
from counterplay.rollout_host import HostSeat, collect_host, open_host
from counterplay.seats import Chair, Kind, Roster

CHUNKS, SLOTS = 2, 16
KINDS = (Pair, Alone, Masked, Several)
SAID = {(k, fault): said for k in KINDS for fault, (_, said) in (k.steps | k.resets).items()}
SAID |= {(Pair, fault): said for fault, said in OTHER.items()}
FAULTS = [pytest.param(*case, id=f"{case[0].__name__} {case[1]}") for case in SAID]
"""The game, and what it does."""


@cache
def described(kind: Any) -> tuple[Any, Any, tuple]:
    """The game, and players who move at random: the same each time, to be compiled once."""
    kind.ask_for("")
    adapter = pettingzoo if issubclass(kind, Pair) else gymnasium
    game: Any = adapter.describe("faulty", kind, {}, None, True)
    policy = jax.tree.map(lambda x: jnp.asarray(x)[None], opponents.make("random", game))
    table = (Chair(0, 0),) * game.num_seats
    return game, Roster((Kind("everyone", policy=policy),), (table,)).seating(2), (policy,)


def play(kind: Any, fault: str, restart: bool, slots: int = SLOTS, match: int = 1) -> Any:
    """Two chunks in two lanes, as arrays [L, T, ...] of both, and what broke."""
    game, seating, policies = described(kind)
    kind.ask_for(fault)
    kind.made = 1
    breaks = Breaks(restart, timeout=0.2 if "hangs" in fault else 60.0)
    lanes = open_host(game, seating, policies, 0, breaks=breaks)
    chunks, size = [], {"slots": slots, "match": match, "finite": not (restart and fault in ODD)}
    try:
        for i in range(CHUNKS):
            lanes, chunk = collect_host(game, seating, policies, lanes, i, **size)
            chunks.append(guards.without(chunk) if fault in ODD else chunk)
    finally:
        lanes.close()
    return {k: np.concatenate([c.slots[k] for c in chunks], 1) for k in chunks[0].slots}, breaks


def check_stream(slots: dict[str, Any], spoilt: list[int]) -> int:
    """Whole, clean episodes only, but for the last of a lane; tells how many."""
    whole = 0
    for lane in range(2):
        here = slots["alive"][lane].any(-1)
        number, moves = slots["obs"][lane, here, 0, :2].T.astype(int)
        assert not set(number) & set(spoilt)
        for episode in set(number):
            times = moves[number == episode].tolist()
            open_still = episode == number[-1]
            assert times == list(range(len(times)))
            assert len(times) == LENGTH or (open_still and len(times) < LENGTH)
            whole += len(times) == LENGTH
        over = slots["terminated"][lane] & here
        assert (slots["time"][lane, over] == LENGTH - 1).all()
    alive = slots["alive"]
    assert alive.any() and (alive.all(-1) == alive.any(-1)).all()
    assert (slots["reward"][alive] == 1).all() and not slots["reward"][~alive].any()
    assert not (slots["continues"] & ~alive).any() and not slots["left"][~alive].any()
    return whole


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
def test_a_faulty_game_is_refused_by_default(kind, fault):
    with pytest.raises(GameError, match=rf"^faulty broke in lane \d.*{SAID[kind, fault]}"):
        play(kind, fault, restart=False)
    assert kind.spoilt, "the fault showed"


@pytest.mark.parametrize(("kind", "fault"), FAULTS)
def test_a_faulty_game_is_restarted_and_nothing_of_its_episode_is_stored(kind, fault, capsys):
    slots, breaks = play(kind, fault, restart=True)
    assert check_stream(slots, kind.spoilt) >= 4
    out = slots["dropped"] if fault in ODD else ~slots["filled"]
    if fault in ODD:
        assert breaks.count == 0, "that is for --on-nonfinite"
    else:
        assert breaks.count == len(kind.spoilt) > 0
        said = capsys.readouterr().err
        assert said.count("counterplay: faulty broke in lane") == breaks.count
        for name, nothing in LEFT_OUT.items():
            assert (slots[name][out] == nothing).all(), name
    dropped = [n for n in kind.spoilt if n and fault in kind.steps]
    stuck = fault == "mask of nothing"  # found when it is to move once more
    assert out.sum() == len(dropped) * (LENGTH if fault in ODD or stuck else LENGTH - 1)


def test_a_good_game_is_left_alone():
    slots, breaks = play(Pair, "", restart=True)
    assert breaks.count == 0 and slots["filled"].all()
    assert check_stream(slots, []) == 2 * (CHUNKS * SLOTS // LENGTH)


def test_what_was_learnt_from_before_stays_and_the_rest_of_the_episode_is_dropped():
    slots, _ = play(Pair, "raises", restart=True, slots=7)
    # episode 6, in lane 1, made its first move in the last slot of the first chunk
    assert slots["obs"][1, 6, 0].tolist() == [6, 0, 0] and slots["alive"][1, 6].all()
    assert not slots["filled"][1, 7] and slots["filled"].sum() == 2 * 14 - 3


def test_nobody_remembers_an_episode_that_was_dropped():
    slots, _ = play(Pair, "raises", restart=True, match=2)
    lane = {name: x[0].tolist() for name, x in slots.items()}
    assert lane["filled"][3:6] == [False, False, True]
    # in place of the first match another is played, of two episodes, by players who meet anew
    assert [t for t, new in enumerate(lane["contact"]) if new][:4] == [0, 5, 11, 17]


def test_a_lane_that_breaks_again_and_again_ends_it_all(monkeypatch):
    monkeypatch.setattr(faulty, "BAD", range(2, 99))
    said = rf"lane 1 .*no luck; that was {IN_A_ROW} times in a row in this lane"
    for fault in ("raises", "reset raises"):
        with pytest.raises(GameError, match=said):
            play(Pair, fault, restart=True)


def test_a_game_without_an_end_is_cut_short_at_its_horizon(monkeypatch):
    monkeypatch.setattr(faulty, "LENGTH", 10**9)
    slots, breaks = play(Pair, "", restart=False, slots=7)
    assert np.argwhere(slots["truncated"]).tolist() == [[0, 8], [1, 8]] and breaks.count == 0
    assert slots["closing"][:, 9].all() and not slots["alive"][:, 9].any()


class Careless:
    """Plays its first action, whatever is allowed."""

    def begin(self, seed, new_match):
        pass

    def act(self, view):
        return 0


@pytest.mark.parametrize("restart", [False, True])
def test_bots_sit_in_games_that_break(restart):
    game, _, _ = described(Pair)
    kind = Kind("bot", policy=HostSeat(Careless))
    seating = Roster((kind,), ((Chair(0, 0),) * 2,)).seating(2)
    Pair.ask_for("mask of nothing")
    breaks = Breaks(restart)
    lanes = open_host(game, seating, (kind.policy,), 0, breaks=breaks)
    if not restart:
        with pytest.raises(GameError, match=r"lane 0 before move 3: seat 1 .*no legal action"):
            collect_host(game, seating, (kind.policy,), lanes, 0, slots=SLOTS)
        return
    _, chunk = collect_host(game, seating, (kind.policy,), lanes, 0, slots=SLOTS)
    assert breaks.count == 2 and (~np.asarray(chunk.slots["filled"])).sum() == 2 * LENGTH


class Clinging(Alone):
    """Closing it hangs, and so does every move if it is told to."""

    closing: ClassVar[list[float]] = []
    moves: ClassVar[bool] = True

    def step(self, action):
        return super().step(action) if self.moves else faulty.hang()

    def close(self):
        began = time.monotonic()
        try:
            faulty.hang()
        finally:
            Clinging.closing.append(time.monotonic() - began)


@pytest.mark.parametrize("moves", [True, False])
def test_many_copies_that_hang_as_they_are_closed_take_the_time_of_one(moves, monkeypatch):
    monkeypatch.setattr(Clinging, "close", lambda self: None)  # one is made to be read
    game, _, _ = described(Clinging)
    monkeypatch.undo()
    monkeypatch.setattr(Clinging, "moves", moves)
    Clinging.closing.clear()
    several = []
    for _ in range(2):
        shown, slots = blank(game, 3), np.zeros(3, np.int32)
        several.append(Running(game, shown, slots, 0, breaks=Breaks(timeout=1.5)))
    if not moves:
        with pytest.raises(GameError, match=r"lane 0 .*within 1\.5 s"), several[0].watch:
            several[0].step(np.zeros((3, 1), int), np.zeros(3, bool))
    close_all(several)
    assert len(Clinging.closing) == 6 and all(copy is None for s in several for copy in s.copies)
    patient = [took for took in Clinging.closing if took > 0.8]
    assert len(patient) == moves and sum(Clinging.closing) < 5  # each its own time: nine seconds


def test_a_copy_that_takes_its_time_is_closed_all_the_same():
    closed = []

    class Saving(Alone):
        def close(self):
            time.sleep(0.4)  # longer than is given once one has hung
            closed.append(self)

    game, _, _ = described(Saving)
    closed.clear()
    Running(game, blank(game, 2), np.zeros(2, np.int32), 0, breaks=Breaks(timeout=9.0)).close()
    assert len(closed) == 2


class Slow(Alone):
    """Every move, and closing it, takes 50 s of a clock that can be set."""

    now = 0.0
    began: ClassVar[list[float]] = []

    def step(self, action):
        self.take_time()
        return super().step(action)

    def close(self):
        self.take_time()

    def take_time(self):
        Slow.began.append(Slow.now)
        Slow.now += 50.0


def test_a_slow_call_has_its_time_after_slow_calls_in_other_lanes(monkeypatch):
    described(Slow)  # a copy that is made to be read is not watched
    put_off = []
    for module in (running, watching):
        monkeypatch.setattr(module, "monotonic", lambda: Slow.now)
    later = lambda *args, **settings: put_off.append(Slow.now)
    monkeypatch.setattr(watching.faulthandler, "dump_traceback_later", later)
    Slow.began.clear()
    play(Slow, "", restart=False)
    assert len(Slow.began) == 2 * CHUNKS * SLOTS + 2 and {*Slow.began} <= {*put_off}
