"""The study of the RoShamBo bots: its figures by hand, its folds, and that it goes on."""

import json

import numpy as np
import pytest

from counterplay.bench.tables import TABLES
from counterplay.opponents.roshambo import NAMES
from counterplay.studies import main, roshambo, roshambo_matches
from counterplay.studies.population import (
    ALIKE,
    CLONES,
    HALVES,
    against,
    folds,
    halves,
    means,
    of_row,
    parted,
    split_clones,
    standing,
)

BOTS = "copybot,rockbot,rotatebot"


@pytest.fixture(autouse=True)
def on_the_devices_there_are(monkeypatch):
    monkeypatch.setattr(roshambo_matches, "run_where_called", lambda: None)


def test_a_standing_by_hand():
    # means 10, -2 and 4; variances of these means 16, 4 and 0: their sum is 20, over 3 bots
    found = standing({"a": [6, 14], "b": [0, -4], "c": [4, 4]})
    assert found == (4.0, pytest.approx(np.sqrt(20) / 3), "b", 2.0)
    assert against([6, 14]) == (10.0, 4.0)
    mean, error = against([5])
    assert mean == 5 and np.isnan(error) and np.isnan(standing({"a": [5]}).error)


@pytest.mark.parametrize(("call", "given"), [(against, []), (standing, {}), (standing, {"a": []})])
def test_nothing_has_no_mean(call, given):
    with pytest.raises(ValueError, match=r"wants one \w+ or more, found none"):
        call(given)


def test_a_table_has_each_pair_both_ways():
    table = {("a", "a"): [1, 2], ("a", "b"): [4, 6], ("b", "b"): [0, -2]}
    assert means(table, ["a", "b"]).tolist() == [[1.5, 5], [-5, -1]]
    assert of_row(table, "a") == {"a": [1, 2], "b": [4, 6]}
    assert of_row(table, "b") == {"a": [-4, -6], "b": [0, -2]}


def test_folds_hold_everyone_once_and_clones_together():
    dealt = folds(NAMES)
    assert sorted(name for fold in dealt for name in fold) == list(NAMES)
    assert sorted(map(len, dealt)) == [8, 8, 9, 9, 9]
    for group in CLONES:
        assert sum(bool(set(group) & set(fold)) for fold in dealt) == 1, group
    assert all(fold == sorted(fold, key=NAMES.index) for fold in dealt)
    assert folds(NAMES) == dealt != folds(NAMES, seed=1)
    assert sum(map(len, CLONES)) == 14 and {name for group in CLONES for name in group} <= {*NAMES}


@pytest.mark.parametrize("count", range(1, 36))
def test_no_number_of_folds_parts_clones(count):
    dealt = folds(NAMES, count, seed=count)
    assert len(dealt) == count and all(dealt)
    assert not any(split_clones(fold) for fold in dealt)


def test_folds_of_some_bots():
    assert folds(["boom", "randbot", "robertot"], 2) == [["boom", "robertot"], ["randbot"]]
    with pytest.raises(
        ValueError, match="folds must be 1 to 2, found 3: there are 3 bots, and clones"
    ):
        folds(["boom", "randbot", "robertot"], 3)


def test_clones_outside_a_split_are_told():
    assert split_clones(["granite", "boom", "randbot"]) == ["marble", "zq_move", "robertot"]
    assert split_clones(["boom", "robertot"]) == []


def test_resemblance_by_hand():
    names = ["a", "b", "c", "d", "e"]
    table = np.array(
        [
            [0, 9, 1, 2, 3],
            [-9, 0, 10, 20, 31],  # as a, but for a unit; what they earn of each other is left out
            [-1, -10, 0, 1, 1],
            [-2, -20, -1, 0, 1],
            [-3, -31, -1, -1, 0],
        ],
        float,
    )
    of = lambda *dealt: [pair[:2] for pair in parted(table, names, dealt)]
    assert ("a", "b") in of(["a", "c"], ["b", "d", "e"])
    assert ("a", "b") not in of(["a", "b"], ["c", "d", "e"]), "they share a fold"
    ((one, two, r), *more) = parted(table, names, [["a"], ["b", "c", "d", "e"]])
    assert (one, two) == ("a", "b")
    assert r == pytest.approx(np.corrcoef([1, 2, 3], [10, 20, 31])[0, 1])
    assert all(ALIKE < pair[2] <= r for pair in more)
    flat = np.zeros((5, 5))
    assert parted(flat, names, [["a"], ["b", "c", "d", "e"]]) == []


def test_halves_share_nobody():
    first, second = halves(NAMES).values()
    assert sorted(first + second) == list(NAMES) and "greenberg" in first
    assert halves(["a"]) == dict(zip(HALVES, [["a"], []], strict=True))


def test_an_error_is_of_the_mean_beside_it(tmp_path, monkeypatch, capsys):
    scores = {("boom", "boom"): [10, -10], ("boom", "copybot"): [4, 4]}
    scores["copybot", "copybot"] = [0, 0]
    monkeypatch.setattr(roshambo_matches, "play_bots", lambda chosen, matches: scores)
    assert main(["roshambo", "--bots-only", "--json", "--bots=boom,copybot"]) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    # without itself no match differs from another; with itself means are 0 and 4, errors 10 and 0
    assert (row["bot"], row["population_return"], row["error"]) == ("boom", 4, 0)
    assert (row["with_self"], row["with_self_error"]) == (2, 5)


def test_the_bots_table_is_played_once_and_goes_on(tmp_path, capsys, monkeypatch):
    words = ["--bots-only", "--json", "--matches=2", "--throws=30", f"--out={tmp_path}"]
    assert main(["roshambo", *words, f"--bots={BOTS}"]) == 0
    told = json.loads(capsys.readouterr().out)
    # copybot beats the throw before: it draws once, wins 29 of rockbot, loses one to nobody else
    assert told["names"] == ["copybot", "rockbot", "rotatebot"] and told["matches"] == 2
    copy, rock, rotate = range(3)
    table = np.array(told["table"])
    assert table[copy, rock] == 30 and table[copy, rotate] == 1 and table[rock, rotate] == 0
    assert np.array_equal(table, -table.T)
    assert [row["bot"] for row in told["rows"]] == ["copybot", "rotatebot", "rockbot"]
    first, *_, last = told["rows"]
    assert first["population_return"] == 15.5 and first["error"] == 0
    assert first["with_self"] == pytest.approx(31 / 3)
    assert last["exploitability"] == 30 and last["worst"] == "copybot"
    shown = TABLES["study_roshambo_bots"](told)
    assert shown[0]["population return"] == "15.5 ± 0.0" and len(shown) == 3
    assert shown[0]["with itself"] == "10.3 ± 0.0"
    assert told["returns"] == [[[0, 0], [30, 30], [1, 1]], [[0, 0], [0, 0]], [[0, 0]]]
    assert told["alike"] == [], "of one other bot nothing can be told"
    # the second of the three is rockbot; by itself it is no stranger's
    half = "every other bot, from the second"
    assert [row[half] for row in shown] == ["30.0 ± 0.0", "0.0 ± 0.0", ""]
    assert first["parts"]["every other bot, from the first"]["population_return"] == 1

    def play_again(lines):
        raise AssertionError("played again")

    monkeypatch.setattr(roshambo_matches, "referee", play_again)
    assert main(["roshambo", *words, f"--bots={BOTS}"]) == 0
    assert json.loads(capsys.readouterr().out) == told


def test_an_agent_is_played_and_told_in_parts(tmp_path, capsys):
    words = ["--matches=12", "--throws=30", f"--bots={BOTS}", "--folds=2", f"--out={tmp_path}"]
    words += ["--agent=roshambo:rockbot", "--held-out=copybot"]
    assert main(["roshambo", *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bots"]["copybot"]["returns"] == [-30] * 12
    assert told["bots"]["rotatebot"]["returns"] == [0] * 12
    rock = told["all"].pop("foreseen")
    assert rock["nll"] is None and rock["top1"] is None and rock["frequencies"] > 0
    assert told["all"] == {
        "population_return": -10,
        "error": 0,
        "worst": "copybot",
        "exploitability": 30,
    }
    assert told["parts"]["held out"]["population_return"] == -30
    assert told["parts"]["not held out"]["bots"] == ["rockbot", "rotatebot"]
    assert told["parts"]["every other bot, from the second"]["bots"] == ["rockbot"]
    dealt = [bot for i in range(2) for bot in told["parts"][f"fold {i}"]["bots"]]
    assert sorted(dealt) == BOTS.split(",")
    assert main(["roshambo", *words]) == 0
    shown = capsys.readouterr().out
    assert "all 3 bots" in shown and "copybot -30" in shown


def test_matches_differ_and_so_do_their_players():
    lines = roshambo_matches.lines_of("boom", ["boom", "randbot"], 3, 100, 0)
    seeds = [seed for line in lines for seed in (line[1], line[3])]
    assert len(lines) == 6 and len(set(seeds)) == 12
    other = roshambo_matches.lines_of("boom", ["boom", "randbot"], 3, 100, 1)
    assert not {seed for line in other for seed in (line[1], line[3])} & set(seeds)


def test_another_agent_of_the_same_name_is_played_anew(tmp_path):
    file = tmp_path / "bot.py"
    file.write_text("one = 1\n")
    before = roshambo_matches.digest_of(f"{file}:Bot")
    file.write_text("one = 2\n")
    assert roshambo_matches.digest_of(f"{file}:Bot") != before
    assert len(roshambo_matches.digest_of("context_mixture")) == 64
    assert roshambo_matches.digest_of("random") != roshambo_matches.digest_of("context_mixture")


def test_a_referee_that_dies_is_told():
    with pytest.raises(RuntimeError, match="the referee ended with status 1 after 1 of 2 matches"):
        roshambo_matches._score([("boom", 1, "randbot", 2, 9), ("nobody", 1, "randbot", 2, 9)])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--matches=-1"], "--matches must be 1 or more"),
        (["--throws=1001"], "--throws must be 2 to 1000, found 1001"),
        (["--held-out=boon"], r"bot in --held-out 'boon' \(did you mean 'boom'\?\)"),
        (["--bots=boom,boom"], "--bots names boom twice"),
        (["--bots=boom", "--held-out=boom"], "names the whole population"),
        (["--bots-only", "--held-out=boom"], "--bots-only plays no agent"),
        (["--agent=self"], "--agent self learns"),
        (["--agent=context_mixtur"], "did you mean 'context_mixture'"),
        (["--folds=99"], "folds must be 1 to 35"),
    ],
)
def test_what_cannot_be_studied_is_told(words, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        main(["roshambo", *words, f"--out={tmp_path}"])


def test_it_stops_where_openspiel_is_missing(monkeypatch):
    def missing(owner):
        raise ValueError(f"{owner} needs the package 'pyspiel'")

    monkeypatch.setattr(roshambo, "check_installed", missing)
    with pytest.raises(ValueError, match="study roshambo needs the package 'pyspiel'"):
        main(["roshambo"])
