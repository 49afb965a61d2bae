"""Belief strips: what is drawn, under a board too, and what is refused."""

import numpy as np
import pytest
import synthetic_protocols as synthetic
from matplotlib.axes import Axes

from counterplay.envs.glyphs import TRACK
from counterplay.report import strip_films, strips
from counterplay.report.figures import DARK
from counterplay.report.filming import ends_of
from counterplay.report.strip_films import film_with_strip
from counterplay.report.strips import Strip, boundaries, fewer, strip_of, switches_of
from counterplay.types import Picture

SHOWN = strip_of(synthetic.strip())
BOARD = Picture(np.full((40, 300, 3), 200, np.uint8), "a board")


def test_a_strip_knows_its_switches_and_episodes():
    assert switches_of(SHOWN) == [synthetic.TURN] and boundaries(SHOWN) == [4, 8]
    absent = SHOWN._replace(mode=np.array([0, -1, 0, -1, 1, 1, -1, 0, 0, 0, 0, 0]))
    assert switches_of(absent) == [4, 7], "to be away is no switch"


def test_truth_may_be_unknown_and_more_need_not_be_told():
    found = strip_of({"names": ["a", "b"], "posterior": [[0.5, 0.5]] * 3})
    assert found.truth.tolist() == [-1] * 3 and found.episode.tolist() == [0] * 3
    assert "the truth" not in strips.told(found) and "episodes: 1," in strips.told(found)
    assert "no row is the truth" in strips.caption(found)
    assert strips.strip(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"posterior": []}, "posterior"),
        ({"posterior": [[0.5, 0.5]]}, "found shape"),
        ({"truth": [0, 1]}, "a truth of shape"),
        ({"episode": [0] * 13}, "an? episode of shape"),
        ({"truth": [3] * synthetic.SLOTS}, "names another"),
        ({"posterior": [[float("nan")] * 3] * synthetic.SLOTS}, "holds no number"),
    ],
)
def test_what_does_not_go_together_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        strip_of(synthetic.strip() | change)


def test_many_rows_become_few_and_nothing_is_lost():
    posterior = np.full((4, 20), 0.02)
    posterior[:, 7] = 0.32
    posterior[:, 11] = 0.34
    posterior /= posterior.sum(1, keepdims=True)
    truth = np.array([19, 19, -1, 7])
    names = tuple(f"n{k}" for k in range(20))
    found = fewer(Strip(posterior, truth, names, truth * 0, truth * 0, "types"), 4)
    assert found.names == ("n7", "n11", "n19", strips.REST), "the true ones, and the most believed"
    np.testing.assert_allclose(found.posterior.sum(1), 1)
    np.testing.assert_allclose(found.posterior[:, :3], posterior[:, [7, 11, 19]])
    assert found.truth.tolist() == [2, 2, -1, 0]
    assert fewer(SHOWN) is SHOWN


def test_cells_frames_and_marks_are_those_of_the_match(monkeypatch):
    seen: dict[str, list] = {"imshow": [], "add_patch": [], "axvline": [], "annotate": []}
    for name, calls in seen.items():
        true = getattr(Axes, name)

        def spy(self, *args, _true=true, _calls=calls, **how):
            _calls.append(args)
            return _true(self, *args, **how)

        monkeypatch.setattr(Axes, name, spy)
    strips.strip(SHOWN)
    np.testing.assert_array_equal(seen["imshow"][0][0], SHOWN.posterior.T)
    frames = [(a[0].get_x(), a[0].get_width(), a[0].get_y()) for a in seen["add_patch"]]
    assert [f[:2] for f in frames] == [(0, 6), (6, 6)], "bully, then grim"
    assert [round(f[2]) for f in frames] == [1, 2]
    assert [a[0] for a in seen["axvline"]] == [4, 8, synthetic.TURN]
    assert [a[1] for a in seen["annotate"]] == [(synthetic.TURN, -0.5)]


def test_a_strip_is_the_same_again_and_another_in_the_dark():
    assert strips.strip(SHOWN) == strips.strip(SHOWN) != strips.strip(SHOWN, DARK)
    longer = SHOWN._replace(**{k: np.repeat(getattr(SHOWN, k), 40, 0)
                               for k in ("posterior", "truth", "mode", "episode")})  # fmt: skip
    assert strips.width_of(longer) > strips.width_of(SHOWN) == strips.WIDTH
    assert strips.width_of(longer) <= strips.MOST_WIDTH


def test_the_names_of_what_is_true_have_the_colour_of_the_frame(monkeypatch):
    names = []
    true = strips.png
    monkeypatch.setattr(strips, "png", lambda figure, theme: (
        names.extend((t.get_text(), t.get_color()) for t in figure.axes[0].get_yticklabels()),
        true(figure, theme),
    )[1])  # fmt: skip
    strips.strip(SHOWN)
    ink, frame = strips.LIGHT.ink, strips.LIGHT.series[1]
    assert names == [("tit_for_tat", ink), ("bully", frame), ("grim", frame)]


def test_the_stills_of_a_match_are_those_with_which_episodes_end():
    """Of two, three and one slot: a picture before each and one after the last of each."""
    assert ends_of([0, 1, 2, 2, 3, 4, 5, 5, 5]) == [2, 6, 8]
    assert ends_of([0, 1, 1]) == [2] and ends_of([0]) == [0]


def test_what_the_frame_means_is_said_where_there_is_room():
    wide, narrow = (Picture(np.full((40, w, 3), 200, np.uint8), "") for w in (500, 300))
    red = [int(strip_films.TRUTH[i : i + 2], 16) for i in (1, 3, 5)]

    def said(board, shown=SHOWN):
        head = film_with_strip([board], shown, [0])[0].pixels[40 : 40 + 24]
        return bool((head == red).all(-1).any())

    assert said(wide) and not said(narrow)
    assert not said(wide, SHOWN._replace(truth=np.full(synthetic.SLOTS, -1)))


def track(picture: Picture) -> int:
    """Pixels of a strip that no slot has filled yet."""
    colour = [int(TRACK[i : i + 2], 16) for i in (1, 3, 5)]
    return int((picture.pixels[40:] == colour).all(-1).sum())


def test_a_film_fills_its_strip_slot_by_slot():
    slots = list(range(synthetic.SLOTS))
    found = film_with_strip([BOARD] * len(slots), SHOWN, slots)
    assert len({one.pixels.shape for one in found}) == 1
    assert all((one.pixels[:40] == 200).all() for one in found), "the board stays as it was"
    left = [track(one) for one in found]
    assert left == sorted(left, reverse=True) and left[0] > 5 * left[-1]
    again = film_with_strip([BOARD] * len(slots), SHOWN, slots)
    assert all((a.pixels == b.pixels).all() for a, b in zip(found, again, strict=True))


def test_a_film_says_in_words_what_is_believed_and_what_is_true():
    first, last = film_with_strip([BOARD] * 2, SHOWN, [0, 11])
    assert first.text == "a board\nbelieved: tit_for_tat 0.10, bully 0.80, grim 0.10; true: bully"
    assert last.text.endswith("grim 0.70; true: grim")


def test_the_strip_of_another_match_is_refused():
    with pytest.raises(ValueError, match="different matches"):
        film_with_strip([BOARD], SHOWN, [synthetic.SLOTS])
    with pytest.raises(ValueError, match="2 frames and the slots of 1"):
        film_with_strip([BOARD] * 2, SHOWN, [0])


def test_long_names_and_narrow_boards_are_drawn():
    wide = SHOWN._replace(names=("x" * 200, "日本", "_$_"))
    narrow = Picture(np.zeros((10, 120, 3), np.uint8), "")
    assert strip_films.film_with_strip([narrow], wide, [3])[0].pixels.shape[1] == 120
    assert strips.strip(wide)
