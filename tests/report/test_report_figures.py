"""Figures show their numbers to every eye, on light and on dark, whatever a run is called."""

import io
from typing import Any

import matplotlib
import matplotlib.colors
import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image
from test_report_page import contrast

from counterplay.report import figures
from counterplay.report.figures import DARK, LIGHT, Bars, Line

X = np.linspace(0, 1e6, 30)
NAMES = ("$\\frac$", "_hidden", "日本 \U0001f600", "a\nb\x00", "x" * 300, "", "100% $5")


def line(name: str, height: float = 1.0, band: float = 0.1) -> Line:
    mean = np.sqrt(X / 1e6) * height
    return Line(name, X, mean, mean - band, mean + band)


def drawn(theme: figures.Theme = LIGHT, names: tuple[str, ...] = NAMES) -> list[bytes]:
    """One of every kind of figure, with these names everywhere."""
    values = np.arange(len(names) ** 2, dtype=float).reshape(len(names), -1)
    ones = np.ones(len(names))
    bars = [Bars(name, k * ones, k * ones - 0.1, k * ones + 0.1) for k, name in enumerate(names)]
    return [
        figures.learning_curve([line(name, k) for k, name in enumerate(names)], "return", theme),
        figures.return_bars(names, bars, theme),
        figures.heat_map(names, values, theme),
    ]


def test_any_name_can_be_drawn():
    """A warning, of a letter that the font lacks for one, would fail this."""
    for picture in drawn():
        assert Image.open(io.BytesIO(picture)).format == "PNG"


def test_equal_numbers_give_equal_files_and_a_dark_page_others():
    light, again, dark = drawn(), drawn(), drawn(DARK)
    assert light == again
    for one, other, theme in zip(light, dark, (DARK,) * 3, strict=True):
        assert one != other
        corner = np.asarray(Image.open(io.BytesIO(other)).convert("RGB"))[0, 0].astype(int)
        paper = [int(theme.paper[i : i + 2], 16) for i in (1, 3, 5)]
        assert np.abs(corner - paper).max() <= 2


def test_matplotlib_is_left_as_it_was():
    before = dict(matplotlib.rcParams)
    drawn()
    assert dict(matplotlib.rcParams) == before


def test_formulas_are_not_read_and_unknown_letters_replaced():
    assert figures.drawable("$x$ 日\n") == r"\$x\$ ??"
    assert figures.shortened("a" * 50 + "z" * 50, 11) == "aaaaa…zzzzz"
    assert figures.shortened("as it is") == "as it is"


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_hue_stands_out_from_the_paper(theme):
    assert contrast(theme.ink, theme.paper) >= 7
    assert all(contrast(hue, theme.paper) >= 3 for hue in theme.series)
    assert len(set(theme.series)) == len(LIGHT.series)


@pytest.fixture
def calls(monkeypatch) -> dict[str, list[tuple[Any, Any]]]:
    """What is drawn, by the name of the method of Axes."""
    found: dict[str, list[tuple[Any, Any]]] = {"plot": [], "fill_between": [], "barh": []}
    found |= {"text": [], "errorbar": []}
    for name, seen in found.items():
        true = getattr(Axes, name)

        def spy(self, *args, _true=true, _seen=seen, **settings):
            _seen.append((args, settings))
            return _true(self, *args, **settings)

        monkeypatch.setattr(Axes, name, spy)
    return found


def test_runs_differ_in_more_than_colour(calls):
    names = tuple("abcdefgh")
    drawn(names=names)
    lines = [(s["ls"], s["marker"]) for _, s in calls["plot"]]
    assert len(lines) == len(set(lines)) == 8
    bars = [s["hatch"] for _, s in calls["barh"]]
    assert len(set(bars[:6])) == 6


def test_a_band_is_drawn_where_there_is_an_interval_and_not_for_one_seed(calls):
    nothing = np.full_like(X, np.nan)
    one = line("one seed")._replace(low=nothing, high=nothing)
    figures.learning_curve([one], "return")
    assert calls["fill_between"] == [] and len(calls["plot"]) == 1
    figures.learning_curve([one, line("three seeds")], "return")
    ((x, low, high), _) = calls["fill_between"][0]
    assert len(calls["fill_between"]) == 1
    assert np.array_equal(x, X) and np.allclose(high - low, 0.2)


def test_what_a_run_lacks_leaves_the_others_their_colours(calls):
    bare = Line("old", *[np.zeros(0)] * 4)
    figures.learning_curve([bare, line("new")], "return")
    assert [s["color"] for _, s in calls["plot"]] == list(LIGHT.series[:2])
    none = np.full(1, np.nan)
    bars = [Bars("a", none, none, none), Bars("b", *[np.ones(1)] * 3)]
    figures.return_bars(["grim"], bars)
    assert [s["color"] for _, s in calls["barh"]] == list(LIGHT.series[:2])


def test_curves_and_bars_are_those_given(calls):
    curve = line("mine", 2.5)
    figures.learning_curve([curve], "return")
    (x, y), _ = calls["plot"][0]
    assert np.array_equal(x, X) and np.array_equal(y, curve.mean)
    mean, low, high = np.array([1.0, -2.0]), np.array([0.5, -2.5]), np.array([2.0, np.nan])
    figures.return_bars(["grim", "bully"], [Bars("mine", mean, low, high)])
    assert calls["barh"][0][0][1].tolist() == [1.0, -2.0]


def test_cells_hold_their_numbers(calls):
    figures.heat_map(["a", "b"], np.array([[0.0, -1.234], [56.78, 912.3]]))
    told = [args[2] for args, _ in calls["text"]]
    assert told == ["0.00", "-1.23", "56.8", "912"]
    for value in (np.zeros((1, 1)), np.full((2, 2), 3.0), np.array([[np.nan, 1.0], [2.0, 3.0]])):
        figures.heat_map(["a", "b"][: len(value)], value)


def test_numbers_in_cells_can_be_read(calls):
    """Black or white, whichever stands out from its cell."""
    values = np.linspace(0, 1, 16).reshape(4, 4)
    figures.heat_map(list("abcd"), values)
    for (args, settings), value in zip(calls["text"], values.ravel(), strict=True):
        under = matplotlib.colors.to_hex(matplotlib.colormaps["cividis"](value))
        assert contrast(settings["color"], under) >= 4.5, args
