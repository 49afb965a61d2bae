"""OpenSpiel's RoShamBo bots: each alone in a fresh process, and seeded."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pyspiel
import pytest

from counterplay import envs, opponents
from counterplay.envs.matrix import PRESETS
from counterplay.errors import GameError
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.opponents import roshambo
from counterplay.opponents.roshambo import NAMES, PAYOFFS, RoshamboBot
from counterplay.pools import roster_of, stage
from counterplay.studies.roshambo_matches import referee

ROCK, PAPER, SCISSORS = range(3)
NOTHING = {"moved": np.array([-1, -1])}


def throws_of(name: str, theirs: list[int], seed: int = 0, length: int = 1000) -> list[int]:
    """What a bot throws against a script."""
    bot, thrown = RoshamboBot(name, length), []
    bot.begin(seed, True)
    for t in range(len(theirs)):
        seen = {"moved": np.array([thrown[-1], theirs[t - 1]])} if t else NOTHING
        thrown.append(bot.act(seen))
    bot.close()
    return thrown


def test_the_names_are_those_of_openspiel():
    assert list(NAMES) == sorted(pyspiel.roshambo_bot_names()) and len(NAMES) == 43
    assert roshambo.THROWS == pyspiel.ROSHAMBO_NUM_THROWS
    assert PRESETS["rps"]["payoffs"] == PAYOFFS


def test_bots_do_what_they_are_called():
    script = [ROCK, ROCK, PAPER, SCISSORS, PAPER, ROCK]
    assert throws_of("rockbot", script) == [ROCK] * 6
    assert throws_of("rotatebot", script) == [t % 3 for t in range(6)]
    # it beats what the other threw last
    assert throws_of("copybot", script)[1:] == [PAPER, PAPER, SCISSORS, ROCK, SCISSORS]


def test_a_bot_throws_as_in_openspiel_itself():
    theirs = np.random.default_rng(3).integers(3, size=40).tolist()
    game = "repeated_game(stage_game=matrix_rps(),num_repetitions=1000)"
    bot = pyspiel.make_roshambo_bot(0, "debruijn81")  # it draws nothing at random
    state, thrown = pyspiel.load_game(game).new_initial_state(), []
    for throw in theirs:
        thrown.append(bot.step(state))
        state.apply_actions([thrown[-1], throw])
    assert throws_of("debruijn81", theirs) == thrown


def test_seeds_differ_in_their_throws_and_repeat_them():
    first, again, other = (throws_of("randbot", [ROCK] * 60, seed) for seed in (1, 1, 2))
    assert first == again != other and set(first) == {ROCK, PAPER, SCISSORS}


def test_two_bots_of_one_name_are_two_and_every_match_is_another():
    env = envs.make("matrix:rps,horizon=60")
    rows, seats = EpisodeRows(), {0: "roshambo:randbot", 1: "roshambo:randbot"}
    roster = roster_of(env, seats)
    (row,) = evaluate(stage(env, roster), roster, 6, rows=rows)
    returns = rows.match_returns()[""]
    assert len(returns) == 6 and len(set(returns.tolist())) > 1, "all matches alike"
    assert np.abs(returns).max() > 0 and row.mean.sum() == 0, "they threw the same"


def test_an_episode_later_in_a_match_begins_anew_in_another_process():
    bot = RoshamboBot("rotatebot", 5)
    processes = []
    for new_match in (True, False, True):
        bot.begin(0, new_match)
        assert bot.act({"moved": np.array([ROCK, ROCK])}) == ROCK, "it went on"
        processes.append(bot._process)
        assert bot.act({"moved": np.array([ROCK, PAPER])}) == PAPER
    bot.close()
    assert len({process.pid for process in processes}) == 3
    assert all(process.poll() == 0 for process in processes)


def test_processes_end_with_the_games():
    env = envs.make("matrix:rps,horizon=9")
    before = children()
    roster = roster_of(env, {0: "roshambo:greenberg", 1: "context_mixture"})
    evaluate(stage(env, roster), roster, 3, match=2)
    assert children() == before


def children() -> set[int]:
    """Processes that this one started, by number, ended but not waited for among them."""
    task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not task.exists():
        pytest.skip("this system does not list the children of a process")
    return {int(number) for number in task.read_text().split()}


def test_greenberg_reads_rotatebot_and_nobody_reads_randbot():
    fair = [("greenberg", seed, "randbot", 100 + seed, 1000) for seed in range(5)]
    found = referee([("greenberg", 1, "rotatebot", 2, 1000), *fair])
    assert found[0] > 900
    assert abs(np.mean(found[1:])) < 60, "a match has a standard deviation of about 26"
    assert len(set(found[1:])) > 1


def test_the_referee_pays_as_the_game_does():
    env = envs.make("matrix:rps,horizon=40")
    roster = roster_of(env, {0: "roshambo:copybot", 1: "roshambo:rotatebot"})
    (row,) = evaluate(stage(env, roster), roster, 1)
    assert referee([("copybot", 1, "rotatebot", 1, 40)]) == [row.mean[0]]
    # rotatebot goes one on, and copybot beats what it threw last: they meet but for the first
    assert referee([("rotatebot", 1, "copybot", 1, 40)]) == [LOST_THE_FIRST]
    assert referee([("rockbot", 1, "rockbot", 2, 40)]) == [0]


LOST_THE_FIRST = -1


@pytest.mark.parametrize(
    ("game", "text", "said"),
    [
        (
            "matrix:rps",
            "roshambo:greenburg",
            r"RoShamBo bot 'greenburg' \(did you mean 'greenberg'",
        ),
        ("matrix:rps", "roshambo", r"unknown RoShamBo bot ''.*expected one of: actr_lag2_decay"),
        ("matrix:rps,horizon=1001", "roshambo:boom", r"1000 throws at most, .* has 1001"),
        (
            "matrix:pd",
            "roshambo:boom",
            r"roshambo:boom plays rock, paper, scissors for a point a throw: .* found Matrix",
        ),
        ("matrix:pd", "context_mixture", r"context_mixture plays rock, paper, scissors"),
        ("matrix:rps", "context_mixture:rate=1", r"has no settings, found 'rate=1'"),
        ("matrix:rps", "context_mixtur", r"did you mean 'context_mixture'"),
        ("stag_hunt:4x4", "roshambo:boom", r"unknown rule for stag_hunt 'roshambo'"),
    ],
)
def test_who_cannot_sit_down_is_told_why(game, text, said):
    env = envs.make(game)
    with pytest.raises(ValueError, match=said):
        roster_of(env, dict.fromkeys(range(env.num_seats), str(text)))


def test_without_openspiel_the_extra_is_named(monkeypatch):
    there = importlib.util.find_spec
    hide = lambda name: None if name == "pyspiel" else there(name)
    monkeypatch.setattr(roshambo, "find_spec", hide)
    with pytest.raises(ValueError, match=r"needs the package 'pyspiel'.*counterplay\[openspiel\]"):
        opponents.make_bot("roshambo:boom", envs.make("matrix:rps"))


def test_a_bot_whose_process_is_gone_says_so():
    bot = RoshamboBot("rockbot", 2)
    bot.begin(0, True)
    seen = {"moved": np.array([ROCK, ROCK])}
    bot.act(NOTHING)
    bot.act(seen)
    with pytest.raises(RuntimeError, match=r"rockbot threw nothing.*status 0: it plays 2 throws"):
        bot.act(seen)
    bot.close()
    bot.begin(0, True)
    bot.act(NOTHING)
    with pytest.raises(ValueError, match="wants to see a throw, 0 to 2, found 3"):
        bot.act({"moved": np.array([ROCK, 3])})
    bot.close()


def test_a_bot_that_fails_stops_the_game_with_its_name(monkeypatch):
    monkeypatch.setattr(roshambo, "PROGRAM", Path("missing.py"))
    env = envs.make("matrix:rps,horizon=9")
    roster = roster_of(env, {0: "roshambo:boom", 1: "random"})
    with pytest.raises(GameError, match=r"bot RoshamboBot at seat 0 .*roshambo:boom threw nothing"):
        evaluate(stage(env, roster), roster, 1)
