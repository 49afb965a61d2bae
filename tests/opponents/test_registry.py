"""Rules by name, and policies from files of other people."""

import pytest

from counterplay import envs, opponents
from counterplay.envs.stag_hunt import StagHunt
from counterplay.opponents.rule import Rule


@pytest.mark.parametrize("game", opponents.RULES)
def test_every_listed_rule_can_be_made(game):
    for name in opponents.names(game):
        assert isinstance(opponents.make(name, envs.make(game)), Rule)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nearest_stags", r"rule for stag_hunt 'nearest_stags' \(did you mean 'nearest_stag'\?\)"),
        ("grim", r"unknown rule for stag_hunt 'grim'; expected one of: nearest_stag, .*random"),
        ("adaptive:trembel=.1", r"setting of adaptive 'trembel' \(did you mean 'tremble'\?\)"),
        ("adaptive:tremble=often", r"adaptive: setting 'tremble' wants a number, found 'often'"),
        ("adaptive:tremble=2", r"tremble is a probability, 0 to 1, found 2"),
    ],
)
def test_what_cannot_be_made_is_explained(text, said):
    with pytest.raises(ValueError, match=said):
        opponents.make(text, StagHunt())


OUTSIDE = """
import equinox as eqx
import jax.numpy as jnp

class Lefty(eqx.Module):
    preferred: int = eqx.field(static=True, default=2)

    def begin(self, key, memory):
        return ()

    def log_probs(self, memory, view):
        return jnp.where(jnp.arange(7) == self.preferred, 0.0, -jnp.inf)

class Sized(Lefty):
    size: int = eqx.field(static=True)

    def __init__(self, env):
        self.preferred, self.size = 4, env.size

class Greedy:
    def __init__(self, **unused):
        pass

    def begin(self, seed, new_match):
        pass

    def act(self, view):
        return 4

class Fussy(Lefty):
    def __init__(self, env, mood):
        pass

class Idle:
    pass

seven = 7
"""


@pytest.fixture
def outside(tmp_path):
    (tmp_path / "mine.py").write_text(OUTSIDE)
    return lambda name: opponents.load_file(f"{tmp_path}/mine.py:{name}", StagHunt(size=6))


def test_outside_behaviours_play_as_rules(outside):
    assert isinstance(outside("Lefty"), Rule)
    assert outside("Lefty").behaviour.preferred == 2
    assert outside("Sized").behaviour.size == 6


def test_a_file_is_imported_once(outside):
    assert type(outside("Lefty").behaviour) is type(outside("Lefty").behaviour)


def test_outside_policies_are_taken_as_they_are(outside):
    assert outside("Greedy").act({}) == 4


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Left", r"unknown name in .*mine.py 'Left' \(did you mean 'Lefty'\?\)"),
        ("Idle", r"a policy has begin, and act or log_probs; missing: \['begin', 'act'\]"),
        ("Fussy", r"may take the game and nothing else, but needs \['env', 'mood'\]"),
        ("seven", r"must be a class or function that makes a policy, found 7"),
        ("a-b", r"written path/to/file.py:Name, found"),
    ],
)
def test_outside_files_that_do_not_load_are_explained(outside, name, said):
    with pytest.raises(ValueError, match=said):
        outside(name)


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match=r"no file 'nowhere/mine.py' to load a policy from"):
        opponents.load_file("nowhere/mine.py:Lefty", StagHunt())
