"""Planners as they are typed, and what is said of those that cannot be had."""

from typing import Any, cast

import pytest

from counterplay import envs
from counterplay.algos.looking import Alone, Latent
from counterplay.algos.searching import Mcts
from counterplay.envs.hosting import host_native
from counterplay.planning.naming import planned, read_planner, run_of, with_planner


def test_settings_are_read_as_what_they_are():
    assert read_planner("mcts") == Mcts()
    found = read_planner("mcts:sims=7,world=true,how=puct,temperature=.5,gamma=.9,depth=2")
    assert found == Mcts(7, True, "puct", 2, temperature=0.5, gamma=0.9)
    assert read_planner("none") == read_planner(" none ") == Alone()
    assert read_planner("latent:depth=2,samples=0,trust=1") == Latent(2, 0, trust=1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mtcs", "unknown planner 'mtcs' (did you mean 'mcts'?); expected one of: latent"),
        ("", "unknown planner ''"),
        ("mcts:sim=5", "unknown setting of planner mcts 'sim' (did you mean 'sims'?)"),
        ("mcts:sims", "planner mcts: a setting is written name=value, found 'sims'"),
        ("mcts:sims=many", "planner mcts: setting 'sims' wants a whole number, found 'many'"),
        ("mcts:world=1", "planner mcts: setting 'world' wants true or false, found '1'"),
        ("mcts:sims=1,sims=2", "planner mcts: setting 'sims' is given twice"),
        ("mcts:sims=0", "planner mcts: sims must be at least 1, found 0"),
        ("mcts:draws=0", "planner mcts: draws must be at least 1, found 0"),
        ("mcts:depth=-1", "planner mcts: depth must be at least 0, found -1"),
        ("mcts:how=pukt", "unknown way of planner mcts to search 'pukt' (did you mean 'puct'?)"),
        ("mcts:temperature=0", "planner mcts: temperature must be positive, found 0.0"),
        ("mcts:exploration=nan", "planner mcts: exploration must be positive, found nan"),
        ("mcts:reward_weight=-1", "planner mcts: reward_weight must be 0 or more, found -1.0"),
        ("mcts:gamma=2", "planner mcts: gamma must be 0 to 1, found 2.0"),
        ("latent:depth=0", "planner latent: depth must be at least 1, found 0"),
        ("latent:samples=-1", "planner latent: samples must be at least 0, found -1"),
        ("latent:form=short", "unknown form of planner latent 'short'"),
        ("latent:form=letter,depth=2", "form letter looks one move ahead, found depth 2"),
        ("latent:trust=2", "planner latent: trust must be 0 to 1, found 2.0"),
        ("none:depth=1", "unknown setting of planner none 'depth'"),
    ],
)
def test_what_means_nothing_is_refused(text, words):
    with pytest.raises(ValueError) as error:
        read_planner(text)
    assert words in str(error.value)


def test_a_run_that_plans_has_a_name_of_its_own():
    name = with_planner("mcts:sims=5,world=true", "run:runs/a#1")
    assert name == "mcts:sims=5,world=true+run:runs/a#1"
    assert planned(name) == ("mcts:sims=5,world=true", "run:runs/a#1")
    assert with_planner(None, "run:runs/a") == "run:runs/a"
    assert with_planner("none", "run:runs/a") == "none+run:runs/a"
    assert run_of(name) == "runs/a#1" and run_of("run:b") == "b" and run_of("grim") is None
    assert planned("run:a+run:b") is None and run_of("run:a+run:b") == "a+run:b"


class Blind:
    """An agent that expects nothing of anybody."""


class Expecting:
    """One that a search could be made with."""

    def sight(self, *seen: Any) -> Any: ...
    def predict(self, *seen: Any) -> Any: ...


PD = envs.make("matrix:pd,horizon=3")
ABOUT = {"algorithm": "goal_ppo", "config": {"gamma": 0.9}}


def test_what_a_search_lacks_is_named():
    with pytest.raises(ValueError, match="a run of ppo cannot be searched with: a search wants a"):
        Mcts(world=True).seated(Blind(), PD, {"algorithm": "ppo"})
    with pytest.raises(ValueError, match=r"goal_ppo has no learned world model, so .* world=true"):
        Mcts().seated(Expecting(), PD, ABOUT)
    with pytest.raises(ValueError, match="is played outside JAX, and world=true"):
        Mcts(world=True).seated(Expecting(), cast(Any, host_native(PD)), ABOUT)
    assert Mcts(world=True).seated(Expecting(), PD, ABOUT).trained_gamma == 0.9
