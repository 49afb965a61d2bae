"""Games of one's own under names of their own."""

from typing import Any

import pytest

from counterplay import envs
from counterplay.envs.matrix import Matrix
from counterplay.types import Env

make: Any = envs.make


@pytest.fixture(autouse=True)
def names():
    yield
    envs.REGISTERED.clear()


def test_games_of_every_kind_are_made_by_name_with_their_settings():
    envs.register("leavers", "test_hosting:Leavers")
    envs.register("masked", "test_hosting:Masked")
    envs.register("departure", "probes:Departure")
    parallel, single = make("leavers,limit=4,see_moves=false"), make("masked,horizon=5")
    assert (parallel.num_seats, parallel.horizon, parallel.see_moves) == (3, 4, False)
    assert parallel.settings == (("limit", 4),) and parallel.name == "leavers"
    assert (single.num_seats, single.num_actions, single.horizon) == (1, 6, 5)
    native = make("departure,length=5")
    assert isinstance(native, Env) and native.obs_shape == (6,)
    assert native == make(" departure , length=5") != make("departure")


def test_a_setting_of_a_native_game_is_its_own_even_if_foreign_games_leave_it_to_us():
    envs.register("mine", "counterplay.envs.matrix:Matrix")
    assert make("mine,horizon=7") == Matrix(horizon=7)
    with pytest.raises(ValueError, match=r"mine cannot be made with .'see_moves': False."):
        make("mine,see_moves=false")
    with pytest.raises(ValueError, match=r"mine cannot be made with .'see_moves': True."):
        make("mine,see_moves=true")


REQUIRING = """
from faulty import Pair
from probes import Clock

class Timed(Clock):
    def __init__(self, horizon, see_moves):
        self.horizon, self.see_moves = horizon, see_moves

class Foreign(Pair):
    def __init__(self, horizon):
        super().__init__()
        self.max_cycles = horizon + 1
"""


def test_a_setting_without_which_a_game_cannot_be_made_reaches_it(tmp_path):
    (tmp_path / "requiring.py").write_text(REQUIRING)
    here = f"{tmp_path}/requiring.py"
    native, foreign = (
        make(f"{here}:Timed,horizon=7,see_moves=true"),
        make(f"{here}:Foreign,horizon=4"),
    )
    assert (native.horizon, native.see_moves, type(native).__name__) == (7, True, "Timed")
    assert foreign.settings == (("horizon", 4),) and foreign.horizon == 4 and foreign.open()
    with pytest.raises(ValueError, match=r"Timed cannot be made with .*missing .* 'horizon'"):
        make(f"{here}:Timed,see_moves=false")
    with pytest.raises(ValueError, match=r"Foreign cannot be made with no settings.*'horizon'"):
        make(f"{here}:Foreign")


def test_what_was_registered_is_named_in_suggestions_and_can_go_out():
    envs.register("departure", "probes:Departure")
    with pytest.raises(ValueError, match=r"unknown game 'departur' .did you mean 'departure'"):
        make("departur")
    assert envs.to_pettingzoo("departure,length=2").possible_agents == ["seat_0", "seat_1"]


def test_saying_it_twice_does_no_harm_but_names_are_not_given_away():
    for _ in range(2):
        envs.register("clock", "probes:Clock")
    with pytest.raises(ValueError, match="'clock' is taken, by probes:Clock"):
        envs.register("clock", "probes:Chain")
    assert envs.REGISTERED == {"clock": "probes:Clock"}


@pytest.mark.parametrize(
    ("name", "place", "sentence"),
    [
        ("stag_hunt", "mine:Hunt", "'stag_hunt' is taken, by counterplay.envs.stag_hunt:StagHunt"),
        ("matrix", "counterplay.envs.matrix:Matrix", "'matrix' is taken, by counterplay.envs.matr"),
        ("gymnasium", "mine:Game", "'gymnasium' is taken, by games of others"),
        ("jaxmarl", "mine:Game", "'jaxmarl' is taken, by games of others"),
        ("my game", "mine:Game", "letters, digits and _, not 'my game'"),
        ("mine:4x4", "mine:Game", "letters, digits and _, not 'mine:4x4'"),
        ("", "mine:Game", "letters, digits and _, not ''"),
        ("mine", "mine.Game", "mine: expected a place written module:factory, found 'mine.Game'"),
        ("mine", "mine.py:Game:", "written module:factory, found 'mine.py:Game:'"),
        ("mine", "games/mine:Game", "written module:factory, found 'games/mine:Game'"),
    ],
)
def test_what_cannot_be_registered_is_refused(name, place, sentence):
    with pytest.raises(ValueError, match=sentence):
        envs.register(name, place)
    assert not envs.REGISTERED


@pytest.mark.parametrize(
    ("place", "text", "sentence"),
    [
        (
            "nowhere_at_all:Game",
            "mine",
            "mine is registered as nowhere_at_all:Game, but nowhere_at",
        ),
        (
            "probes:Clok",
            "mine",
            r"unknown name in probes, where mine .* 'Clok' .did you mean 'Clock'",
        ),
        ("probes:one_hot", "mine", "mine cannot be made with no settings: .*missing 2 required"),
        ("builtins:dict", "mine", "mine makes a dict, which is no game: expected a PettingZoo"),
        ("probes:Clock", "mine,length=3", "mine cannot be made with {'length': 3}"),
        ("probes:Clock", "mine:4x4", "mine has no presets: write its settings as mine,setting=va"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(place, text, sentence):
    envs.register("mine", place)
    with pytest.raises(ValueError, match=sentence):
        make(text)
