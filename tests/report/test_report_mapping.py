"""The opponent map: principal components worked by hand, and marks that differ."""

from typing import Any

import numpy as np
import pytest
import synthetic_protocols as synthetic
from matplotlib.axes import Axes

from counterplay.report import diagrams
from counterplay.report.mapping import drawn_map, project


def test_points_on_a_line_keep_their_distances():
    """Steps of (3, -4), which are 5 long; the largest loading counts as positive."""
    x = np.array([[3.0 * k, -4.0 * k, 1.0] for k in (0, 1, 3)])
    found = project(x)
    np.testing.assert_allclose(found.place[:, 0], [20 / 3, 5 / 3, -25 / 3])
    np.testing.assert_allclose(found.place[:, 1], 0, atol=1e-9)
    assert found.share == pytest.approx(1)


def test_components_are_those_of_the_covariance():
    x = np.random.default_rng(0).dirichlet(np.ones(6), 40)
    size, axes = np.linalg.eigh(np.cov(x.T))
    found = project(x)
    for k in (0, 1):
        other = (x - x.mean(0)) @ axes[:, -1 - k]
        np.testing.assert_allclose(np.abs(found.place[:, k]), np.abs(other), atol=1e-9)
    assert found.share == pytest.approx(size[-2:].sum() / size.sum())


@pytest.mark.parametrize("x", [np.ones((5, 3)), np.ones((1, 4)), np.eye(1)])
def test_where_nothing_differs_all_stand_together(x):
    found = project(x)
    assert found.place.shape == (len(x), 2) and not found.place.any() and found.share == 1
    names = [str(k) for k in range(x.shape[1])]
    assert diagrams.opponent_map(found.place, np.zeros(len(x), int), names)


def test_every_type_has_a_look_and_a_name_of_its_own(monkeypatch):
    looks, labels = [], []
    scatter, text = Axes.scatter, Axes.text

    def spy(self: Any, x: Any, y: Any, **how: Any) -> Any:
        looks.append((how["marker"], how["color"], len(x)))
        return scatter(self, x, y, **how)

    def told(self: Any, x: float, y: float, words: str, **how: Any) -> Any:
        labels.append((x, y, words))
        return text(self, x, y, words, **how)

    monkeypatch.setattr(Axes, "scatter", spy)
    monkeypatch.setattr(Axes, "text", told)
    truth = np.repeat(np.arange(-1, 14), 4)
    names = [f"t{k}" for k in range(14)]
    diagrams.opponent_map(np.zeros((len(truth), 2)), truth, names)
    assert len({look[:2] for look in looks}) == len(looks) == 15
    assert {words for *_, words in labels} == {*names, "not a known type"}
    heights = sorted(y for _, y, _ in labels)
    assert np.diff(heights).min() > 0, "no name covers another"


def test_a_map_whose_parts_do_not_go_together_is_refused():
    part = synthetic.opponent_map()
    with pytest.raises(ValueError, match=r"wants posteriors \[14, 3\], found shape \(15, 3\)"):
        drawn_map(part | {"truth": part["truth"][1:]}, "A", "map.png")
    (one,) = drawn_map(part, "A", "map.png")
    assert (one,) == tuple(drawn_map(part, "A", "map.png"))


def test_who_is_none_of_the_known_goes_by_its_own_name(monkeypatch):
    drawn = []
    draw = lambda place, truth, names, theme: drawn.append((truth.tolist(), names)) or b""
    monkeypatch.setattr(diagrams, "opponent_map", draw)
    part = {"names": ["a", "b"], "posterior": [[1, 0], [0.5, 0.5], [0, 1], [0.4, 0.6]]}
    part |= {"truth": [0, -1, -1, -1], "who": ["a:x=1", "new", "other", "new"]}
    (one,) = drawn_map(part, "A", "map.png")
    assert drawn[0] == ([0, 2, 3, 2], ["a", "b", "new", "other"])
    assert "kinds of opponent: 3. In 100% of the 1 matches of one known type" in one.alt  # pyright: ignore
