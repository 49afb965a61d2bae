"""The grammar of seats: every form, every refusal, and how chairs become tables."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import cli, envs, play, pools, runs
from counterplay.algos import ppo
from counterplay.grammar import split_list
from counterplay.opponents.rule import Mixture, Rule
from counterplay.opponents.sets import members
from counterplay.pools import read_seats, roster_against, roster_alone, roster_of
from counterplay.seats import Chair, Numbered, Roster

PD = envs.make("matrix:pd,horizon=4")
HUNT = envs.make("stag_hunt:4x4")


@pytest.mark.parametrize(
    ("entries", "seats"),
    [
        (("0=self", "1..3=random"), ["self", "random", "random", "random"]),
        (("1..3=random", "0=self"), ["self", "random", "random", "random"]),
        (("0..3=own",), ["own"] * 4),
        (("0=a", "1..1=b", "2=c", "3=d"), ["a", "b", "c", "d"]),
        ((" 0 = self ", "1..3=x:tremble=.1,k=2"), ["self"] + ["x:tremble=.1,k=2"] * 3),
    ],
)
def test_seats_are_read(entries, seats):
    assert read_seats(entries, 4) == dict(enumerate(seats))


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (("0..3",), r"--seat '0..3': expected SEAT=WHO or FIRST..LAST=WHO, as 1..3=random"),
        (("0=",), "expected SEAT=WHO"),
        (("=self",), "expected SEAT=WHO"),
        (("me=self",), "expected SEAT=WHO"),
        (("-1=self",), "expected SEAT=WHO"),
        (("0..x=self",), "expected SEAT=WHO"),
        (("0..=self",), "expected SEAT=WHO"),
        (("..3=self",), "expected SEAT=WHO"),
        (("0..3=self", "3..1=random"), r"--seat '3..1=random': "),
        (("4=self",), "'4=self': the game has seats 0 to 3, found seat 4"),
        (("0..9=self",), "the game has seats 0 to 3, found seat 4"),
        (("0..2=self", "2=random"), "'2=random': seat 2 is taken by 'self' already"),
        (("0=self", "2=random"), "nobody sits at 1, 3: give every seat a --seat"),
        ((), "nobody sits at 0, 1, 2, 3"),
    ],
)
def test_seats_that_cannot_be_read_are_refused(entries, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_seats(entries, 4)


def write_run(folder: Path, game: str, seats: list[int], who: str, seed: int) -> str:
    """A run that was never trained; what names it."""
    env, config = envs.make(game), ppo.Config(widths=(4,))
    members = len(seats) if who == "own" else 1
    learner = ppo.init_learner(config, env, members, jr.key(seed))
    kinds = [{"name": who, "members": members, "seats": seats}]
    folder.mkdir()
    runs.save_config(folder, "ppo", game, kinds, config)
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], learner.net),))
    return f"run:{folder}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    """Runs of the prisoner's dilemma and of the stag hunt."""
    at = tmp_path_factory.mktemp("runs")
    pd, hunt = "matrix:pd,horizon=4", "stag_hunt:4x4"
    return {
        "a": write_run(at / "a", pd, [0, 1], "self", 0),
        "b": write_run(at / "b", pd, [0, 1], "self", 1),
        "own": write_run(at / "own", pd, [0, 1], "own", 2),
        "hunt": write_run(at / "hunt", hunt, [0, 1, 2, 3], "self", 3),
        "hunt2": write_run(at / "hunt2", hunt, [0, 1, 2, 3], "self", 4),
    }


def weight(policy: Any) -> np.ndarray:
    """What tells one network from another."""
    return np.asarray(policy.net.policy.weight)


def sitting(roster: Roster, table: tuple[Chair, ...], seat: int) -> Any:
    """The policy of a bank that sits there."""
    kind = roster.kinds[table[seat].kind].policy
    assert isinstance(kind, Numbered)
    return jax.tree.map(lambda x: x[table[seat].member], kind).policy


def test_self_is_one_learner_and_own_is_one_a_seat():
    roster = roster_of(HUNT, {0: "self", 1: "own", 2: "self", 3: "own"})
    kinds = {kind.name: (kind.members, kind.learner, kind.policy) for kind in roster.kinds}
    assert kinds == {"self": (1, True, None), "own": (2, True, None)}
    assert [kind.first_id for kind in roster.kinds] == [0, 1]
    assert roster.tables == ((Chair(0, 0), Chair(1, 0), Chair(0, 0), Chair(1, 1)),)
    assert roster.others == () and roster.labels == ("",) and roster.focal == ()


def test_rules_of_a_list_are_one_mixture_numbered_one_by_one():
    roster = roster_of(HUNT, {0: "stay", 1: "random,stay", 2: "stay", 3: "random,stay"})
    stay, mixed = roster.kinds
    assert isinstance(stay.policy, Rule) and isinstance(mixed.policy, Mixture)
    assert len(mixed.policy.rules) == 2 and mixed.members == 1
    assert (stay.first_id, mixed.first_id) == (0, 1)
    assert roster.tables == ((Chair(0, 0), Chair(1, 0), Chair(0, 0), Chair(1, 0)),)
    roster = roster_of(PD, {0: "grim,bully,random", 1: "tit_for_tat"})
    assert [kind.first_id for kind in roster.kinds] == [0, 3]


def test_alike_seats_have_the_same_member_of_the_list():
    env = envs.make("coordination,players=3,slack=2")
    names = members("coordination", "train")
    roster = roster_of(env, {0: "self", 1: "alike:pool:train", 2: "alike:pool:train"})
    assert [table[0].kind for table in roster.tables] == [0] * len(names)
    assert all(table[1] == table[2] for table in roster.tables)
    sits = [roster.kinds[table[1].kind] for table in roster.tables]
    assert [kind.name for kind in sits] == list(names)
    assert [kind.first_id for kind in sits] == [1, 2, 3, 4, 5, 6, 7][: len(names)]
    # other lists are dealt apart from them
    several = roster_of(env, {0: "alike:random,cycle", 1: "alike:cycle", 2: "alike:random,cycle"})
    named = [[several.kinds[chair.kind].name for chair in table] for table in several.tables]
    assert named == [["random", "cycle", "random"], ["cycle", "cycle", "cycle"]]


def test_runs_of_a_list_are_a_bank_and_every_combination_gets_a_table(folders):
    several = f"{folders['hunt']},{folders['hunt2']}"
    roster = roster_of(HUNT, {0: "self", 1: several, 2: several, 3: several})
    bank = roster.kinds[1]
    assert bank.members == 2 and bank.policy.number.tolist() == [0, 1]
    combinations = {tuple(chair.member for chair in table[1:]) for table in roster.tables}
    assert len(roster.tables) == len(combinations) == 8
    assert {chair.kind for table in roster.tables for chair in table[1:]} == {1}
    places = roster.seating(16).places[1]
    assert places.shape == (2, 24), "members play equally often"


def test_too_many_combinations_are_dealt_in_rotation(folders, monkeypatch):
    monkeypatch.setattr(pools, "MOST_TABLES", 7)
    several = f"{folders['hunt']},{folders['hunt2']}"
    roster = roster_of(HUNT, {0: "self", 1: several, 2: several, 3: several})
    assert len(roster.tables) == 2
    for seat in (1, 2, 3):
        assert {table[seat].member for table in roster.tables} == {0, 1}
    assert roster.seating(2).places[1].shape == (2, 3)
    assert all(len({chair.member for chair in table[1:]}) == 2 for table in roster.tables)


def test_rules_beside_runs_get_their_share_of_lanes(folders):
    roster = roster_of(PD, {0: "self", 1: f"{folders['a']},grim,bully"})
    kinds = Counter(roster.kinds[table[1].kind].name for table in roster.tables)
    assert kinds == {folders["a"]: 1, "grim,bully": 2}


def test_a_run_plays_with_the_network_of_its_seat(folders):
    roster = roster_of(PD, {0: folders["own"], 1: folders["own"]})
    (table,) = roster.tables
    for seat in (0, 1):
        expected = weight(pools.find(folders["own"], PD, seat))
        assert np.array_equal(weight(sitting(roster, table, seat)), expected), f"seat {seat}"
    assert not np.array_equal(
        weight(pools.find(folders["own"], PD, 0)), weight(pools.find(folders["own"], PD, 1))
    )


def test_in_either_role_a_run_plays_with_the_network_of_its_seat(folders):
    roster = roster_against(PD, folders["own"], (folders["a"],))
    for table, focal in zip(roster.tables, roster.focal, strict=True):
        expected = weight(pools.find(folders["own"], PD, focal))
        assert np.array_equal(weight(sitting(roster, table, focal)), expected), f"seat {focal}"


def test_a_file_gives_a_rule_or_a_policy_with_parameters(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import jax.numpy as jnp\n"
        "import equinox as eqx\n"
        "from counterplay.types import Act\n"
        "class Simple(eqx.Module):\n"
        "    def begin(self, key, memory): return ()\n"
        "    def log_probs(self, memory, view): return jnp.where(view.legal, 0.0, -jnp.inf)\n"
        "class Weighted(eqx.Module):\n"
        "    w: object\n"
        "    def __init__(self): self.w = jnp.ones(3)\n"
        "    def begin(self, key, memory): return ()\n"
        "    def act(self, key, memory, view, greedy): return Act(jnp.int32(1), memory, {})\n"
    )
    roster = roster_of(PD, {0: f"{path}:Simple", 1: f"{path}:Weighted"})
    simple, weighted = roster.kinds
    assert isinstance(simple.policy, Rule) and isinstance(weighted.policy, Numbered)
    assert weighted.policy.policy.w.shape == (1, 3)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("self,grim", "'self' learns and cannot share a seat: found 'self,grim'"),
        ("grim,own", "'own' learns and cannot share a seat"),
        ("grimm", r"unknown rule for matrix 'grimm' \(did you mean 'grim'\?\)"),
        ("grim,", "unknown rule for matrix ''"),
        ("nearest_stag", "unknown rule for matrix 'nearest_stag'"),
        ("grim:trembel=.1", "did you mean 'tremble'"),
        ("run:nowhere", "nowhere is no run folder"),
        ("nowhere.py:Name", r"no file 'nowhere.py'"),
        ("pool:nowhere", "pool: no file"),
    ],
)
def test_names_that_nobody_answers_to_are_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        roster_of(PD, {0: "random", 1: text})


def test_a_run_of_another_game_or_seed_is_refused(folders):
    with pytest.raises(
        ValueError, match=r"trained on matrix:pd,horizon=4 .*, asked to play StagHunt"
    ):
        roster_of(HUNT, {0: "self", 1: "self", 2: "self", 3: folders["a"]})
    with pytest.raises(ValueError, match="the run has seeds 0 to 0"):
        roster_of(PD, {0: "grim", 1: folders["a"] + "#1"})
    with pytest.raises(ValueError, match="after # goes the index of a seed, found 'x'"):
        roster_of(PD, {0: "grim", 1: folders["a"] + "#x"})


def test_against_takes_every_seat_equally_often_and_labels_by_the_other():
    roster = roster_against(HUNT, "adaptive", ("stay", "nearest_hare,nearest_stag"))
    assert Counter(zip(roster.labels, roster.focal, strict=True)) == {
        (label, seat): 1 for label in ("stay", "nearest_hare,nearest_stag") for seat in range(4)
    }
    names = [kind.name for kind in roster.kinds]
    for table, label, focal in zip(roster.tables, roster.labels, roster.focal, strict=True):
        found = [names[chair.kind] for chair in table]
        assert found == ["adaptive" if seat == focal else label for seat in range(4)]


def test_against_gives_every_label_as_many_lanes(folders):
    both = f"{folders['a']},{folders['b']}"
    roster = roster_against(PD, "grim", ("bully", both))
    assert Counter(zip(roster.labels, roster.focal, strict=True)) == {
        (label, seat): 2 for label in ("bully", both) for seat in range(2)
    }
    bank = next(i for i, kind in enumerate(roster.kinds) if kind.members == 2)
    assert roster.seating(8).places[bank].shape == (2, 2)


def test_several_focal_policies_are_labelled_by_both():
    roster = roster_against(PD, ("grim", "bully"), ("bully", "random"))
    assert set(roster.labels) == {
        f"{me} | {other}" for me in ("grim", "bully") for other in ("bully", "random")
    }
    assert Counter(roster.focal) == {0: 4, 1: 4}


def test_a_learner_may_be_the_one_that_takes_every_seat():
    roster = roster_against(HUNT, "self", ("random",))
    learns = [[roster.kinds[chair.kind].learner for chair in table] for table in roster.tables]
    assert jnp.array_equal(jnp.array(learns), jnp.eye(4, dtype=bool))


def test_alone_a_run_plays_every_seat_with_its_own_network(folders):
    names = (folders["own"], folders["a"], "grim", folders["own"])
    roster = roster_alone(PD, names)
    assert roster.labels == names
    for name, table in zip(names, roster.tables, strict=True):
        for seat in (0, 1):
            if name != "grim":
                expected = weight(pools.find(name, PD, seat))
                assert np.array_equal(weight(sitting(roster, table, seat)), expected), (name, seat)
    assert len(roster.kinds) == 3, "networks of one shape are called together"
    assert len({roster.tables[0], roster.tables[3]}) == 2
    roster.seating(8)


def test_a_rotation_of_too_many_tables_is_refused(folders, monkeypatch):
    monkeypatch.setattr(pools, "MOST_TABLES", 5)
    monkeypatch.setattr(pools, "LONGEST_ROTATION", 5)
    two, three = (",".join([folders["hunt"]] * n) for n in (2, 3))
    seats = {0: "stay", 1: "stay", 2: two, 3: three}
    with pytest.raises(ValueError, match=r"take turns at 6 tables, and 5 are the most: .*as long"):
        roster_of(HUNT, seats)
    assert len(roster_of(HUNT, seats | {3: "stay"}).tables) == 2
    with pytest.raises(ValueError, match="take turns at 12 tables"):
        roster_against(PD, "grim", (two.replace("hunt", "a"), three.replace("hunt", "a")))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return Act(jnp.zeros(2, int), memory, {})", "one whole number, found int32[2]"),
        ("return Act(jnp.float32(1), memory, {})", "one whole number, found float32[]"),
        ("return Act(view.obs @ view.legal, memory, {})", "cannot play"),
        ("return Act(view.nothing, memory, {})", "AttributeError"),
    ],
)
def test_an_outside_policy_is_rehearsed_before_it_plays(tmp_path, body, told):
    lines = ["import jax.numpy as jnp", "from counterplay.types import Act", "class Odd:"]
    lines += ["    def begin(self, key, memory): return ()"]
    lines += ["    def act(self, key, memory, view, greedy):", f"        {body}"]
    path = tmp_path / "odd.py"
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=re.escape(told)) as error:
        pools.find(f"{path}:Odd", PD, 0)
    assert "odd.py:Odd" in str(error.value)


def seated(roster: Roster, label: str) -> list[tuple[int, list[bytes]]]:
    """The tables of a label: the focal seat, and the networks that sit there."""
    rows = zip(roster.tables, roster.labels, roster.focal, strict=True)
    return [
        (focal, [weight(sitting(roster, table, seat)).tobytes() for seat in range(len(table))])
        for table, found, focal in rows
        if found == label
    ]


def test_networks_that_sit_equally_often_are_one_bank(folders):
    a, b = folders["a"], folders["b"]
    roster = roster_against(PD, (a, b), (a, b))
    (bank,) = roster.kinds
    assert bank.members == 2 and bank.names == (a, b) and roster.ids == {0: a, 1: b}
    weights = {name: weight(pools.find(name, PD, 0)).tobytes() for name in (a, b)}
    for me, other in ((a, b), (b, a), (a, a)):
        mine, theirs = weights[me], weights[other]
        assert seated(roster, f"{me} | {other}") == [(0, [mine, theirs]), (1, [theirs, mine])]
    assert roster.seating(16).places[0].shape == (2, 16)


def test_a_network_that_sits_more_often_than_another_has_a_bank_of_its_own(folders):
    a, b = folders["a"], folders["b"]
    roster = roster_against(PD, a, (b, "grim", f"{a},{b}"))
    roster.seating(len(roster.tables))  # refuses members at unequal places
    assert sum(kind.members for kind in roster.kinds) == 5, "a, b, grim, and a and b of the list"
    found = [n for kind in roster.kinds for n in kind.ids.values()]
    assert Counter(found) == {a: 2, b: 2, "grim": 1}
    pair = [kind for kind in roster.kinds if kind.members == 2]
    assert [kind.names for kind in pair] == [(a, b)]


def test_learners_keep_banks_that_may_be_dealt_anew(folders):
    """In training the members of a bank change places, which must not mix up the labels."""
    roster = roster_against(PD, "self", (folders["a"], folders["b"]))
    assert [kind.members for kind in roster.kinds] == [1, 1, 1]


def test_a_policy_keeps_its_number_in_every_part(folders):
    names = ("a", "grim", "b")
    policies = (folders["a"], "grim", folders["b"])
    whole = pools.rosters_across(PD, policies, names)
    parts = pools.rosters_across(PD, policies, names, most=6)
    assert [len(roster.tables) for roster in whole] == [18]
    assert [len(roster.tables) for roster in parts] == [6, 6, 6], "a row of three cells each"
    numbered = {0: folders["a"], 1: "grim", 2: folders["b"]}
    assert whole[0].ids == parts[0].ids == numbered
    labels = [label for roster in parts for label in dict.fromkeys(roster.labels)]
    assert labels == [f"{me} | {other}" for me in names for other in names]
    for roster in parts:
        roster.seating(2 * len(roster.tables))


def test_cells_of_unlike_size_and_bots_are_dealt_apart(folders, tmp_path):
    bot = tmp_path / "bot.py"
    bot.write_text(
        "class Bot:\n"
        "    def begin(self, seed, new_match): pass\n"
        "    def act(self, view): return 0\n"
    )
    policies = ("grim", f"{folders['a']},{folders['b']}", f"{bot}:Bot")
    rosters = pools.rosters_across(PD, policies, ("g", "ab", "bot"))
    found = [list(dict.fromkeys(roster.labels)) for roster in rosters]
    bots = [["g | bot", "bot | g", "bot | bot"], ["ab | bot", "bot | ab"]]
    assert found == [["g | g"], ["g | ab", "ab | g"], bots[0], ["ab | ab"], bots[1]]
    assert [len(roster.tables) for roster in rosters] == [2, 8, 6, 8, 8]
    for roster in rosters:
        sizes = Counter(roster.labels)
        assert len(set(sizes.values())) == 1, "as many tables for each label"


def test_every_network_is_read_once(folders, monkeypatch):
    read, load = [], pools.load_policy
    monkeypatch.setattr(pools, "load_policy", lambda *args: read.append(args) or load(*args))
    pools.rosters_across(PD, (folders["a"], folders["b"], folders["own"]), ("a", "b", "own"))
    assert len(read) == 4, "one each, and one a seat where they differ"


def test_many_policies_are_dealt_in_parts():
    names = tuple(f"p{i}" for i in range(40))
    rosters = pools.rosters_across(HUNT, ("stay",) * 40, names)
    assert sum(len(set(r.labels)) for r in rosters) == 1600
    assert max(len(r.tables) for r in rosters) <= pools.TABLES_AT_ONCE
    (roster,) = pools.rosters_across(HUNT, ("stay",) * 20, names[:20])
    assert len(roster.tables) == 20 * 20 * 4


def test_alike_is_understood_wherever_names_are_typed(capsys, monkeypatch):
    monkeypatch.setattr(play, "use_all_cores", lambda game="": None)
    words = "eval --env coordination:narrow --seat 0=random --seat 1=alike:cycle,random"
    assert cli.main([*words.split(), "--episodes", "8"]) == 0
    assert cli.main([*words.replace("cycle", "cylce").split(), "--episodes", "8"]) == 2
    assert "'cylce'" in capsys.readouterr().err
    assert split_list("alike:run:a,run:b") == ["run:a", "run:b"]
    with pytest.raises(ValueError, match="'self' learns and cannot share seats"):
        roster_of(envs.make("matrix:pd"), {0: "alike:self,random", 1: "alike:self,random"})
