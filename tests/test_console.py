"""What people see: progress that is neither noisy nor wrong, tables that keep their numbers."""

import io
import re
from dataclasses import dataclass
from functools import partial

import pytest
from rich.console import Console

from counterplay import console
from counterplay.algos import ppo
from counterplay.console import Meter, check_names, given, read, signed, table
from counterplay.play import Eval
from counterplay.verbs import Train


class Clock:
    """Time that passes only when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(console.time, "perf_counter", clock)
    return clock


def test_without_a_terminal_a_line_is_printed_now_and_then(clock, capsys):
    with Meter("ppo on hunt", 3000) as meter:
        for step in range(0, 3001, 10):  # ten updates a second, a minute in all would be six lines
            meter.update(step, "return 1.500")
            clock.now += 0.1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and len(lines) == 2
    assert lines[0] == "ppo on hunt: 34%  100 steps/s  return 1.500"
    assert lines[1].startswith("ppo on hunt: 67%  100 steps/s")


def test_speed_leaves_out_what_came_before_the_first_update(clock, capsys):
    with Meter("x", 1000) as meter:
        clock.now += 60  # compiling
        meter.update(500)
        clock.now += 20
        meter.update(700)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "x: 50%  " and second == "x: 70%  10 steps/s"


def test_no_more_than_all_is_ever_done(clock, capsys):
    with Meter("x", 90) as meter:
        for done, total in ((50, 100), (100, None), (120, None)):
            clock.now += 11
            meter.update(done, total=total)
    shares = re.findall(r"x: (\d+)%", capsys.readouterr().err)
    assert shares == ["50", "100", "100"], "of a hundred, since that became known"


def test_no_speed_is_told_that_is_none(clock, capsys):
    with Meter("x", 10) as meter:
        for done in (0, 0, 5, 5, 10):  # no time passes, then nothing is done
            clock.now += 0 if done < 10 else 11
            meter.update(done)
        clock.now += 11
        meter.update(10)
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 2 and not re.search("nan|inf", err, re.IGNORECASE)


def test_who_asks_for_json_is_not_disturbed(clock, capsys):
    with Meter("x", 10, quiet=True) as meter:
        for done in range(10):
            clock.now += 30
            meter.update(done, "note")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_and_cleans_up(clock, monkeypatch):
    shown = io.StringIO()
    live = partial(Console, file=shown, force_terminal=True, width=100)
    monkeypatch.setattr(console, "Console", lambda stderr: live())
    with Meter("ppo on hunt", 100) as meter:
        meter.update(10)
        clock.now += 2
        meter.update(60, "return 2.000")
        meter.bar.refresh()
        text = shown.getvalue()
    assert "60%" in text and "25 steps/s  return 2.000" in text and "ppo on hunt" in text
    assert shown.getvalue().endswith("\x1b[2K"), "the bar is wiped at the end"


ROWS = [
    ("always_defect:tremble=0", "123.456 ± 0.012", "15.00"),
    ("run:runs/a-rather-long-name-of-a-folder", "-1.250 ± 1.000", "4.25"),
]


@pytest.mark.parametrize("columns", ["20", "80", "200"])
@pytest.mark.parametrize("colour", [{"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_no_table_cuts_a_name_or_a_number(columns, colour, monkeypatch, capsys):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"COLUMNS": columns} | colour).items():
        monkeypatch.setenv(name, value)
    table("stag_hunt:4x4, 4,096 episodes a row", ("against", "mean return", "length"), ROWS)
    out = capsys.readouterr().out
    for row in ROWS:
        (line,) = (line for line in out.splitlines() if row[0] in line)
        assert all(cell in line for cell in row), "one line a row, every cell whole"
    assert "stag_hunt:4x4, 4,096 episodes a row" in out and "…" not in out
    assert "FORCE_COLOR" in colour or "\x1b" not in out


def test_numbers_stand_to_the_right(capsys):
    table("t", ("who", "return"), [("a", "1.0"), ("b", "100.0")])
    lines = [line for line in capsys.readouterr().out.splitlines() if ".0" in line]
    assert len({line.index(".0") for line in lines}) == 1


def test_brackets_in_names_are_printed(capsys):
    """Markup would swallow them: rich reads [bold] as an instruction."""
    table("runs [bold]", ("who",), [("run:my[bold]folder#2",)])
    out = capsys.readouterr().out
    assert "run:my[bold]folder#2" in out and "runs [bold]" in out


def test_a_mean_is_shown_with_its_error():
    assert signed(1.23456, 0.1) == "1.235 ± 0.100"
    assert signed(-0.5, 0.25, digits=1) == "-0.5 ± 0.2"


@dataclass(frozen=True)
class Few:
    """Some settings."""

    number: int = 1
    """A number."""
    two_words: bool = False
    """Yes or no."""


@pytest.mark.parametrize("flag", ["--two-words", "--two_words"])
def test_settings_are_read(flag):
    assert read(Few, ["--number", "3", flag], "few") == Few(3, True)
    assert read(Few, ["--number=-4", "--no-two-words"], "few") == Few(-4, False)


def test_a_mistyped_setting_is_answered_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown setting of few '--two-word' .did you mean '--two"
    ):
        read(Few, ["--two-word"], "few")
    with pytest.raises(ValueError, match=r"of train ppo '--lern.* .did you mean '--learning-rate'"):
        read(Train[ppo.Config], ["--lerning-rate", "1"], "train ppo")


def test_seats_may_be_given_one_by_one():
    found = read(
        Train[ppo.Config], ["--seat", "0=self", "--steps", "5", "--seat", "1=a,b"], "train ppo"
    )
    assert found.seat == ("0=self", "1=a,b") and found.config == ppo.Config(steps=5)
    assert read(Eval, ["runs/x", "--against", "a", "b"], "eval").against == ("a", "b")


@pytest.mark.parametrize("args", [["--against"], ["--against", "--json"]])
def test_an_empty_list_of_opponents_is_refused(args):
    with pytest.raises(ValueError, match="--against wants the names"):
        read(Eval, ["runs/x", *args], "eval")


def test_values_are_found_before_settings_are_read():
    args = ["--against", "a", "b", "--env=x,view=2", "--seat", "0=self", "--json", "--seat", "1=b"]
    assert given(args, "--against") == ["a", "b"]
    assert given(args, "--env") == ["x,view=2"]
    assert given(args, "--seat") == ["0=self", "1=b"]
    assert given(args, "--json") == given(args, "--out") == []


@pytest.mark.parametrize(
    ("game", "seats", "against", "sentence"),
    [
        ("stag_hnt", (), (), "unknown game 'stag_hnt'"),
        ("matrix:pdd", (), (), "unknown preset of matrix 'pdd'"),
        ("matrix", ("0=grimm",), (), "unknown rule for matrix 'grimm' .did you mean 'grim'"),
        ("matrix", ("0=self", "1=adaptive:tremble=0"), (), "unknown rule for matrix 'adaptive'"),
        ("stag_hunt:6x6,view=1", (), ("stay", "grim"), "unknown rule for stag_hunt 'grim'"),
    ],
)
def test_names_are_checked_early(game, seats, against, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_names(game, seats, against)


def test_what_cannot_be_told_early_is_let_through():
    unclear = (
        "self",
        "own",
        "slef",
        "run:runs/grimm",
        "pool:grimm",
        "x/grimm.py:Bot",
        "grimm,grim",
    )
    check_names("matrix:pd,horizon=4", [f"0={who}" for who in unclear], unclear)
    check_names("gymnasium:CartPole-v1", ["0=grimm"], ["grimm"])
