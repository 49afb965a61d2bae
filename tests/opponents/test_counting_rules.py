"""Rules of matrix games that count, keep time or throw coins, against a scripted partner."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from test_rules import PD, C, D, chances, round_view

from counterplay import opponents
from counterplay.types import NO_MOVE


def moves(text: str, partner: list[int], later: list[int] | None = None) -> list[int]:
    """Its moves, without tremble; ``later`` is what the partner does in a second episode."""
    rule = opponents.make(text + ("," if ":" in text else ":") + "tremble=0", PD)
    memory, last, found = None, (NO_MOVE, NO_MOVE), []
    for episode in filter(None, (partner, later)):
        memory = rule.begin(jr.key(0), memory)
        for time, other in enumerate(episode):
            view = eqx.tree_at(lambda v: v.time, round_view(*last), jnp.int32(time))
            action, memory, _ = rule.act(jr.key(time), memory, view, False)
            last = int(action), other
            found.append(int(action))
    return found


@pytest.mark.parametrize(
    ("text", "partner", "expected"),
    [
        ("tit_for_two_tats", [C, D, D, D, C, D, D, C], [C, C, C, D, D, C, C, D]),
        ("tit_for_two_tats:tats=3", [C, D, D, D, C, D, D, C], [C, C, C, C, D, C, C, C]),
        # two rounds each; the defection during the first punishment is not held against it
        ("limited_grim:rounds=2", [D, D, C, D, C, C], [C, D, D, C, D, D]),
        # one round and two of calm, then two rounds and two of calm
        ("gradual", [D, C, C, C, D, D, D, D, D, D], [C, D, C, C, C, D, D, C, C, C]),
        ("majority", [D, C, C, D, D, D], [C, D, C, C, C, D]),
        ("majority:hard=true", [D, C, C, D, D, D], [D, D, D, C, D, D]),
        ("cycle", [D, D, D, D], [C, D, C, D]),
        ("cycle:pattern=CCD", [C, D, C, D, C], [C, C, D, C, C]),
        ("coin:cooperate=1", [D, D, C], [C, C, C]),
        ("coin:cooperate=0", [D, D, C], [D, D, D]),
        ("memory_one:cc=1,cd=0,dc=0,dd=1", [C, D, D, C, C, D], [C, C, D, C, C, C]),
        ("memory_one:first=0,cc=1,cd=0,dc=1,dd=0", [C, D, D], [D, C, D]),
    ],
)
def test_moves_against_a_scripted_partner(text, partner, expected):
    assert moves(text, partner) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tit_for_two_tats", [C, C, D, C]),
        ("limited_grim", [C, D, D, D]),
        ("gradual", [C, D, C, C]),
        ("majority", [C, D, D, D]),
        ("cycle:pattern=CCD", [C, C, C, C]),  # it goes by the clock of the episode
    ],
)
def test_counts_are_kept_for_the_match(text, expected):
    assert moves(text, [D, D], [C, C]) == expected


def test_a_coin_has_no_memory_and_trembles_no_more():
    rule = opponents.make("coin:cooperate=.3", PD)
    for last in ((NO_MOVE, NO_MOVE), (C, D), (D, D)):
        assert chances(rule, round_view(*last)) == {C: 0.3, D: 0.7}


@pytest.mark.parametrize("seed", range(3))
def test_extortion_gains_twice_what_the_other_does(seed):
    """Press & Dyson (2012), eq. 7 and 8: whoever it plays, s - 1 = 2 (s' - 1) in the long run."""
    rule = opponents.make("memory_one:tremble=0", PD)
    states = ((C, C), (C, D), (D, C), (D, D))
    mine = [chances(rule, round_view(*last)).get(C, 0.0) for last in states]
    theirs = np.random.default_rng(seed).uniform(0.1, 0.9, 4)[[0, 2, 1, 3]]  # as seen from my side
    pairs = zip(mine, theirs, strict=True)
    step = np.array([np.outer([p, 1 - p], [q, 1 - q]).ravel() for p, q in pairs])
    often = np.linalg.matrix_power(step, 4096)[0]
    gain, other = often @ [3, 0, 5, 1], often @ [3, 5, 0, 1]
    assert other > 1.01
    assert gain - 1 == pytest.approx(2 * (other - 1), abs=2e-3)  # chances are rounded to 1e-4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tit_for_two_tats:tats=1", r"tats must be 2 or more, found 1; see tit_for_tat"),
        ("limited_grim:rounds=1", r"rounds must be 2 or more, found 1; see tit_for_tat"),
        ("cycle:pattern=CDX", r"pattern is of C and D, such as CCD, found 'CDX'"),
        ("cycle:pattern=", r"pattern is of C and D, such as CCD, found ''"),
        ("coin:cooperate=1.5", r"coin: cooperate is a probability, found 1.5"),
        ("memory_one:dc=-1", r"memory_one: dc is a probability, found -1"),
        ("majority:hard=very", r"majority: setting 'hard' wants true or false, found 'very'"),
    ],
)
def test_what_cannot_be_made_is_explained(text, said):
    with pytest.raises(ValueError, match=said):
        opponents.make(text, PD)
