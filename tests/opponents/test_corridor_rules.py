"""Every rule of race and coordination through matches written out by hand, and their sets."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.envs.coordination import HUNT
from counterplay.envs.corridors import LEFT, RIGHT, STAY, UP, C, L, R
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.opponents import sets
from counterplay.opponents.rule import Rule
from counterplay.pools import roster_of
from counterplay.types import NO_EVENT, NO_MOVE
from counterplay.views import Last, cut_views, view_shapes

WAYS = {
    L: [LEFT] * 4 + [UP] * 6,
    C: [UP] * 10,
    R: [RIGHT] * 4 + [UP] * 6,
    None: [],  # does not leave the start
}
EVEN = -1
"""In place of a corridor: all three equally likely."""
COMES = {LEFT: L, UP: C, RIGHT: R}
Joint = tuple[int | None, ...]


class Match:
    """A rule in seat 0, whose first moves are given, beside others who walk as they are told."""

    def __init__(self, env: Any, rule: Rule):
        self.env, self.rule = env, rule
        self.step, self.decide = jax.jit(env.step), jax.jit(self._decide)
        self.state, self.shown = env.reset(jr.key(0))
        self.memory, self.last = rule.begin(jr.key(0), None), Last.nothing(env.num_seats)
        self.time, self.moves, self.intents = 0, [], []
        self.wanted: list[dict[int, float]] = []
        """Chances of first moves, by corridor, one entry an episode."""

    def _decide(self, shown, last, memory, time):
        view = cut_views(self.env, shown, last, time, time == 0)
        view = jax.tree.map(lambda x: x[0], view)
        after, again = (self.rule.act(jr.key(k), memory, view, False).memory for k in (0, 1))
        chances = jnp.exp(self.rule.log_probs(memory, view))
        return chances, self.rule.intent(memory, view), after, again

    def slot(self, forced: int | None, others: Sequence[int]) -> dict[int, float]:
        """One joint move; the rule makes the one move it is sure of unless another is forced."""
        time, present = jnp.int32(self.time), bool(self.shown.alive[0])
        chances, intent, *after = self.decide(self.shown, self.last, self.memory, time)
        jax.tree.map(np.testing.assert_array_equal, *after)  # what was drawn is not remembered
        found = {int(m): round(float(chances[m]), 4) for m in np.flatnonzero(chances > 0)}
        mine = NO_MOVE
        if present:
            self.memory = after[0]
            (mine,) = found if forced is None else [forced]
        alive = np.asarray(self.shown.alive)
        joint = jnp.where(alive, jnp.array([mine, *others]), NO_MOVE)
        self.state, self.shown = self.step(self.state, joint)
        self.last = Last(joint, self.shown.reward, self.shown.event, self.shown.visible)
        self.moves.append(mine)
        self.intents.append(int(intent))
        self.time += 1
        return found

    def episode(self, joint: Joint, waits: int = 0) -> None:
        """Who takes which corridor, me first, the others after so many slots at the start."""
        self.moves, self.intents = [], []
        first = next(move for move, corridor in COMES.items() if corridor == joint[0])
        for time in range(self.env.horizon):
            others = [_told(corridor, time - waits, self.env) for corridor in joint[1:]]
            found = self.slot(None if time else first, others)
            if not time:
                self.wanted.append({COMES[move]: chance for move, chance in found.items()})
            if self.shown.terminated:
                break
        self.state, self.shown = self.env.reset(jr.key(0))
        self.memory, self.time = self.rule.begin(jr.key(1), self.memory), 0

    def plans(self, *episodes: Joint) -> list[int]:
        """What it is for in each of these episodes and in one more."""
        for joint in (*episodes, episodes[0]):
            self.episode(joint)
        even = dict.fromkeys((L, C, R), 0.3333)
        return [EVEN if chances == even else _only(chances) for chances in self.wanted]


def _only(chances: dict[int, float]) -> int:
    ((corridor, chance),) = chances.items()
    assert chance == 1
    return corridor


def _told(corridor: int | None, time: int, env: Any) -> int:
    if time < 0 or corridor is None:
        return STAY
    then = HUNT if env.num_actions > 5 else STAY
    return WAYS[corridor][time] if time < 10 else then


@cache
def game(text: str) -> Any:
    return envs.make(text)


def match(env: str, rule: str) -> Match:
    return Match(game(env), opponents.make(rule, game(env)))


RACES = [(L, C, C), (C, L, R), (R, R, R), (L, L, C)]
IN_RACES = {
    "always_left": [L, L, L, L, L],
    "always_centre": [C, C, C, C, C],
    "always_right": [R, R, R, R, R],
    "cycle": [EVEN, C, R, L, C],
    "cycle:step=2": [EVEN, R, C, L, R],
    "free_last": [EVEN, R, EVEN, L, R],  # nothing is free after the second
    "lone_last": [EVEN, L, L, EVEN, C],
    "crowded_last": [EVEN, C, L, R, L],
    "least_taken": [EVEN, R, R, L, L],  # 1 2 0, 2 3 1, 2 3 4, 4 4 4
    "win_stay_lose_next": [EVEN, L, C, L, C],
    "win_stay_lose_next:step=2": [EVEN, L, C, C, R],
    "win_next_lose_stay": [EVEN, C, R, R, L],
    "alternate": [L, R, L, R, L],
    "alternate:first=centre,second=left": [C, L, C, L, C],
}


def still(rule: str) -> str:
    return f"{rule}{',' if ':' in rule else ':'}tremble=0"


@pytest.mark.parametrize("rule", IN_RACES)
def test_plans_in_a_match_of_races(rule):
    assert match("race", still(rule)).plans(*RACES) == IN_RACES[rule]


@pytest.mark.parametrize("rule", ["win_stay_lose_next", "win_next_lose_stay", "free_last"])
def test_plans_are_the_same_where_winners_leave_before_the_end(rule):
    """With slack the winner's event is not that of the last joint move."""
    assert match("race:slack2", still(rule)).plans(*RACES) == IN_RACES[rule]


HUNTS = [(L, R), (R, R), (C, L), (L, L), (C, L)]
IN_HUNTS = {
    "always_left": [L, L, L, L, L, L],
    "always_centre": [C, C, C, C, C, C],
    "always_right": [R, R, R, R, R, R],
    "cycle": [EVEN, C, R, L, C, R],
    "cycle:step=2": [EVEN, R, C, L, R, C],
    "last_success": [EVEN, EVEN, R, R, L, L],
    "copy_last": [EVEN, R, R, L, L, L],
    "most_frequent": [EVEN, R, R, R, L, L],  # 0 0 1, 0 0 2, 1 0 2, 2 0 2, 3 0 2
    "win_stay_lose_next": [EVEN, C, R, R, L, R],
    "copy_first": [EVEN, R, R, R, R, R],
    "anti_copy": [EVEN, L, L, C, C, C],
    "anti_copy:step=2": [EVEN, C, C, R, R, R],
    "least_frequent": [EVEN, L, L, C, C, C],
    "alternate": [L, R, L, R, L, R],
}


@pytest.mark.parametrize("rule", IN_HUNTS)
def test_plans_in_a_match_of_hunts(rule):
    assert match("coordination", still(rule)).plans(*HUNTS) == IN_HUNTS[rule]


@pytest.mark.parametrize("rule", ["copy_last", "most_frequent", "least_frequent", "copy_first"])
def test_without_a_precedent_all_are_equally_likely(rule):
    """Somebody who stays at the start took no corridor."""
    assert match("coordination", still(rule)).plans((L, None), (C, None)) == [EVEN] * 3


def test_last_time_is_the_episode_before_and_no_earlier_one():
    """Nothing is left of what the other took two episodes ago, unless a rule counts."""
    assert match("coordination", "copy_last:tremble=0").plans((L, C), (C, None)) == [EVEN, C, EVEN]
    assert match("coordination", "most_frequent:tremble=0").plans((L, C), (C, None)) == [EVEN, C, C]


@pytest.mark.parametrize(
    ("rule", "plans"),
    [("copy_last", [EVEN, C, R, C]), ("most_frequent", [EVEN, C, R, R])],
)
def test_two_others_are_counted_together(rule, plans):
    joint = [(L, C, R), (L, R, R), (C, C, L if rule == "most_frequent" else C)]
    found = match("coordination,players=3", still(rule)).plans(*joint)
    assert found == plans


def test_a_slip_does_not_put_a_cycle_out_of_step_but_a_shift_goes_by_what_was_taken():
    slipped = [(L, C, C), (R, L, L), (R, C, L)]  # it was for C in the second
    assert match("race", "cycle:tremble=0").plans(*slipped) == [EVEN, C, R, L]
    assert match("race", "win_stay_lose_next:tremble=0").plans(*slipped) == [EVEN, L, R, R]


def test_it_slips_in_the_first_step_only_into_another_corridor():
    found = match("race", "always_centre")
    found.episode((R, C, L))
    assert found.wanted == [{L: 0.025, C: 0.95, R: 0.025}]
    assert found.moves == WAYS[R], "where it has slipped it goes on, for certain"
    assert found.intents == [C] + [R] * 9
    wide = match("race", "free_last:tremble=.3")
    wide.episode((L, C, C))
    wide.episode((R, C, C))
    assert wide.wanted == [dict.fromkeys((L, C, R), 0.3333), {L: 0.15, C: 0.15, R: 0.7}]


def test_an_even_choice_is_declared_when_it_is_made():
    found = match("race", "cycle")
    found.episode((L, R, C))
    assert found.intents == [NO_EVENT] + [L] * 9
    found.episode((C, R, L))
    assert found.intents == [C] * 10


def test_who_has_left_or_found_its_target_gone_has_no_goal():
    found = match("race:slack2", "always_left")
    found.episode((L, L, C))
    assert found.moves == [*WAYS[L], STAY, STAY], "it stays where it can only be late"
    assert found.intents == [L] * 10 + [NO_EVENT] * 2
    found.episode((L, C, C))
    assert found.moves == [*WAYS[L], NO_MOVE, NO_MOVE]
    assert found.intents == [L] * 10 + [NO_EVENT] * 2


def test_a_partner_hunts_with_the_other_or_in_the_last_slot():
    found = match("coordination", "always_right")
    found.episode((R, C))
    assert found.moves == [*WAYS[R], HUNT]
    patient = match("coordination:slack2", "always_right")
    patient.episode((R, R))
    assert patient.moves == [*WAYS[R], HUNT]
    patient.episode((R, R), waits=1)
    assert patient.moves == [*WAYS[R], STAY, HUNT]
    patient.episode((R, C))
    assert patient.moves == [*WAYS[R], STAY, STAY, HUNT]
    assert patient.intents == [R] * 13


def test_a_new_match_begins_with_nothing_remembered():
    rule = opponents.make("most_frequent", game("coordination"))
    fresh = rule.begin(jr.key(0), None)
    later = rule.begin(jr.key(7), fresh._replace(plan=jnp.int32(C)))
    assert int(fresh.plan) == NO_EVENT and fresh.kept.tolist() == [0, 0, 0]
    assert fresh.taken.tolist() == [NO_EVENT] * 2
    assert int(later.plan) == C, "between two episodes nothing is lost"


@pytest.mark.parametrize("name", ["race", "coordination"])
def test_memory_keeps_its_shape(name):
    env, key = game(name), jr.key(0)
    for text in opponents.RULES[name]:
        rule = opponents.make(text, env)
        begun = jax.eval_shape(rule.begin, key, None)
        act = jax.eval_shape(partial(rule.act, greedy=False), key, begun, view_shapes(env))
        assert act.memory == begun, text


def test_free_last_in_matches_with_two_who_never_change():
    """In place 1, R is free: 1/3 at first, then 1 after a loss and 1/3 after a win."""
    env, rows = game("race"), EpisodeRows()
    seats = {0: "always_left:tremble=0", 1: "free_last:tremble=0", 2: "always_centre:tremble=0"}
    evaluate(env, roster_of(env, seats), 3 * 4096, match=3, rows=rows)
    columns = rows.columns()
    won = [columns["return_1"][columns["episode"] == episode].mean() for episode in range(3)]
    np.testing.assert_allclose(won, [1 / 3, 7 / 9, 13 / 27], atol=0.04)
    assert (columns["length"] == 10).all()


@pytest.mark.parametrize("name", ["race", "coordination"])
def test_sets_are_split_by_family(name):
    found = sets.SETS[name]
    assert set(found) == set(sets.NAMES)
    apart = [text for which in sets.NAMES[:4] for text in found[which]]
    named = {text.split(":")[0] for text in apart}
    assert named == {*opponents.RULES[name]}, "every rule of ours is in one"
    for text in sum(found.values(), ()):
        behaviour = opponents.make(text, game(name)).behaviour
        for played in [r.behaviour for r in behaviour.rules] if "switch" in text else [behaviour]:
            assert played.tremble >= 0.05


@pytest.mark.parametrize(
    ("game_name", "text", "said"),
    [
        ("race", "cycle:step=3", r"cycle: step must be 1 or 2 corridors, found 3"),
        ("race", "free_last:tremble=2", r"tremble is a probability, 0 to 1, found 2"),
        (
            "race",
            "alternate:first=up",
            r"corridor of alternate 'up'; expected one of: left",
        ),
        ("race", "alternate:first=right", r"first and second must differ, both are right"),
        ("race", "copy_last", r"unknown rule for race 'copy_last'"),
        ("coordination", "anti_copy:step=0", r"anti_copy: step must be 1 or 2 corridors, found 0"),
        ("coordination", "cycle:tremble=-1", r"tremble is a probability, 0 to 1, found -1"),
        ("coordination", "free_last", r"unknown rule for coordination 'free_last'"),
    ],
)
def test_what_cannot_be_made_is_explained(game_name, text, said):
    with pytest.raises(ValueError, match=said):
        opponents.make(text, game(game_name))
