"""Places foreseen by one who knows where a rule goes, and by one who copies the present."""

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay import cli, envs, opponents, play
from counterplay.evaluate.foreseeing import by_episode, came_true
from counterplay.evaluate.watching import Watching, watch
from counterplay.opponents.general import any_of
from counterplay.opponents.stag_hunt import read
from counterplay.opponents.walking import distances
from counterplay.seats import Chair, Kind, Roster, bank
from counterplay.types import Act

GAME = "stag_hunt:4x4"
ENV: Any = envs.make(GAME)
OTHERS, MATCH = ENV.num_seats - 1, 2


class Foreseer(eqx.Module):
    """Stays where it is, and says of each other the nearest stag, or its present cell."""

    knows: bool = eqx.field(static=True)
    cells: int = eqx.field(static=True, default=ENV.cells)

    def begin(self, key, memory):
        return ()

    def act(self, key, memory, view, greedy):
        stays = any_of(view.legal & (jnp.arange(view.legal.shape[0]) == 4))
        return Act(jnp.argmax(stays).astype(jnp.int32), memory, {})

    def foresee(self, memory, view):
        board = read(view, ENV.size)
        away = jax.vmap(lambda place: distances(place, ENV.size))(board.others)
        stag = jnp.argmin(jnp.where(board.stags[None], away, 99), 1)
        cell = jnp.where(self.knows & board.stags.any(), stag, jnp.argmax(board.others, 1))
        return (cell[:, None] == jnp.arange(self.cells)[None]).astype(jnp.float32)


def watched(me: Any) -> Watching:
    them = opponents.make("nearest_stag", ENV)
    kinds = (Kind("me", 1, policy=bank([me])), Kind("them", 1, policy=them, first_id=1))
    table = (Chair(1, 0), Chair(0, 0), *[Chair(1, 0)] * (OTHERS - 1))
    return watch(ENV, Roster(kinds, (table,), focal=(1,)), 32, MATCH)


@pytest.fixture(scope="module")
def knows() -> Watching:
    return watched(Foreseer(True))


def ratio(w: Watching, guess: np.ndarray) -> tuple[float, int]:
    """Hits of [B, T, M] guesses, slot by slot in plain loops."""
    found = []
    assert w.place is not None
    for b, t, j in np.argwhere(w.alive[..., 1:] & w.alive[..., :1]):
        later = (w.episode[b] == w.episode[b, t]) & w.valid[b] & w.alive[b, :, 1 + j]
        later &= np.arange(len(later)) > t
        cells = set(w.place[b, later, j].tolist()) - {int(w.place[b, t, j])}
        if cells:
            found.append(int(guess[b, t, j]) in cells)
    return float(np.mean(found)), len(found)


def test_who_knows_where_they_go_is_right_and_has_lift(knows):
    why: dict[str, str] = {}
    told = came_true(knows, ENV.cells, why)
    assert told is not None and not why
    # not 1: a stag may be gone before they are there
    assert told["model"] > 0.8 and told["lift"] > 0.3 and told["copy_present"] == 0
    guess = knows.foresee.argmax(-1)
    share, slots = ratio(knows, guess)
    assert told["slots"] == slots > 100 and told["model"] == pytest.approx(share)
    assert told["lift"] == told["model"] - max(told["random_future"], told["most_frequent"])


def test_the_place_is_where_an_other_is_in_the_order_of_a_view(knows):
    """A step of theirs goes to a neighbouring cell; two others are seldom on one cell."""
    first = knows.place[:, 0]
    assert first.shape == (32, OTHERS) and (first < ENV.cells).all()
    assert len({tuple(row) for row in first.tolist()}) > 20
    up, down, left, right, stay = -ENV.size, ENV.size, -1, 1, 0
    shift = np.array([up, down, left, right, stay, stay, stay])
    on = knows.valid[:, 1:] & (knows.episode[:, 1:] == knows.episode[:, :-1])
    on = on[..., None] & knows.alive[:, 1:, 1:] & knows.alive[:, :-1, 1:]
    moved = knows.place[:, 1:].astype(int) - knows.place[:, :-1]
    np.testing.assert_array_equal(moved[on], shift[knows.actions[:, :-1, 1:]][on])


def test_to_copy_the_present_is_never_a_hit():
    told = came_true(watched(Foreseer(False)), ENV.cells, {})
    assert told is not None and told["model"] == 0 and told["lift"] < 0


def test_an_episode_is_a_segment(knows):
    place = by_episode(knows, knows.place)
    assert place.shape[:3] == (32, MATCH, OTHERS)
    for b, t in np.argwhere(knows.valid)[::7]:
        here = place[b, knows.episode[b, t], :, knows.time[b, t]]
        assert here.tolist() == knows.place[b, t].tolist()


def test_what_cannot_be_measured_says_why(knows):
    assert came_true(knows._replace(foresee=None), ENV.cells, {}) is None
    for w, cells, said in (
        (knows, None, "one of 16 cells, and the game has no board"),
        (knows, 25, "one of 16 cells, and the game has a board of 25"),
        (knows._replace(foresee=np.full_like(knows.foresee, np.nan)), 16, "foresee no cells"),
        (knows._replace(place=np.zeros_like(knows.place)), 16, "features that do not move"),
    ):
        why: dict[str, str] = {}
        assert came_true(w, cells, why) is None and said in why["subgoals"]


def test_a_protocol_tells_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(play, "use_all_cores", lambda game="": None)
    (tmp_path / "mine.py").write_text(
        f"from {__name__} import Foreseer\n\n\ndef Knower():\n    return Foreseer(True)\n"
    )
    command = (
        f"eval {tmp_path}/mine.py:Knower --env {GAME} --protocol seen-v1 --matches 8 --match 1"
    )
    assert cli.main([*command.split(), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["protocols"]
    told = found["plays"]["sampled"]["subgoals"]
    assert told["slots"] > 0 and told["copy_present"] == 0 and 0 < told["model"] <= 1
