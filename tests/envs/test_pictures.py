from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageFont, ImageSequence

from counterplay import envs
from counterplay.envs import board_pictures, glyphs, pictures
from counterplay.envs.coordination import Coordination
from counterplay.envs.corridors import State as CorridorState
from counterplay.envs.matrix import PRESETS, Matrix
from counterplay.envs.matrix import State as MatrixState
from counterplay.envs.race import Race
from counterplay.envs.snowdrift import Snowdrift
from counterplay.envs.snowdrift import State as DriftState
from counterplay.envs.stag_hunt import StagHunt
from counterplay.envs.stag_hunt import State as HuntState
from counterplay.types import Picture

ENV = StagHunt(obstacles=2)


def hunt(players=(5, 5, 2, -1), stags=(5,), hares=(2, 7, 12, -1), time=4) -> HuntState:
    """A state written out by hand, as the game would hold it."""
    return HuntState(
        *map(jnp.array, (players, stags, hares)), obstacles=jnp.array([9, 3]), time=jnp.array(time)
    )


def rounds(moves=(0, 1), totals=(12.0, 33.5), time=20) -> MatrixState:
    return MatrixState(jnp.array(moves), jnp.array(totals), jnp.array(time))


def blank(width=200, height=40, shade=255) -> Picture:
    return Picture(np.full((height, width, 3), shade, np.uint8), "blank")


def colours(picture: Picture) -> set[tuple[int, ...]]:
    return {tuple(c) for c in np.unique(picture.pixels.reshape(-1, 3), axis=0).tolist()}


def rgb(code: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(code.removeprefix("#")))


def test_hunt_in_words():
    assert board_pictures.stag_hunt_picture(ENV, hunt()).text.splitlines() == [
        "slot 4 of 15",
        ".   .   H2  #",
        ".   S01 .   H",
        ".   #   .   .",
        "H   .   .   .",
        "left: 3; caught: 1 hare",
    ]


def test_hunt_in_words_when_nothing_has_happened():
    text = board_pictures.stag_hunt_picture(ENV, hunt((0, 1, 2, 4), hares=(2, 7, 12, 13))).text
    assert text.endswith("left: -; caught: -")


@pytest.mark.parametrize("size", [2, 4, 8, 15])
def test_hunt_pixels_depend_on_the_board_only(size):
    env = StagHunt(size=size, hares=1, stags=1)
    state, _ = env.reset(jax.random.key(0))
    picture = env.render(state)
    everyone_gone = state._replace(
        players=jnp.full(4, -1), stags=jnp.full(1, -1), hares=jnp.full(1, -1), time=jnp.array(15)
    )
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.ndim == 3 and picture.pixels.shape[2] == 3
    assert 250 <= min(picture.pixels.shape[:2]) <= max(picture.pixels.shape[:2]) <= 800
    assert env.render(everyone_gone).pixels.shape == picture.pixels.shape


def test_a_limited_view_is_drawn_and_told():
    far, near = (StagHunt(obstacles=2, view=view) for view in (0, 2))
    one, other = (board_pictures.stag_hunt_picture(env, hunt()) for env in (far, near))
    assert one.pixels.shape == other.pixels.shape and (one.pixels != other.pixels).any()
    # on cells 5, 5 and 2, with a stag on 5, hares on 2, 7 and 12, rocks on 9 and 3
    *same, told = other.text.splitlines()
    assert same == one.text.splitlines()
    things = "things: 4"  # the stag, two hares and a rock for each
    assert told == f"view 2: 0 sees 1 2, {things}; 1 sees 0 2, {things}; 2 sees 0 1, {things}"
    short = board_pictures.stag_hunt_picture(StagHunt(obstacles=2, view=1), hunt())
    assert short.text.endswith(
        "view 1: 0 sees 1, things: 2; 1 sees 0, things: 2; 2 sees nobody, things: 2"
    )
    assert (short.pixels != other.pixels).any()


@pytest.mark.parametrize("view", [1, 2, 3])
def test_dark_are_the_cells_that_nobody_sees(view):
    env = StagHunt(view=view)
    state, _ = env.reset(jax.random.key(view))
    picture, cell, margin = env.render(state), 112, glyphs.MARGIN
    eyes = np.asarray(state.players)
    for place in range(16):
        rows, cols = abs(eyes // 4 - place // 4), abs(eyes % 4 - place % 4)
        seen = (rows + cols <= view).any()
        edge = picture.pixels[margin + place // 4 * cell + 108, margin + place % 4 * cell + 3]
        assert (edge.tolist() in [list(rgb(c)) for c in board_pictures.GRASS[:2]]) == seen, place


def test_nobody_sees_anything_once_all_have_left():
    picture = board_pictures.stag_hunt_picture(StagHunt(view=2), hunt((-1, -1, -1, -1)))
    assert picture.text.endswith("view 2: -")


def drifts(players=(5, 5, 2, 0), cells=(5, -1, 15), time=4) -> DriftState:
    return DriftState(jnp.array(players), jnp.array(cells), jnp.array(time))


def test_snowdrift_in_words():
    env = Snowdrift(size=4, drifts=3, horizon=15)
    assert board_pictures.snowdrift_picture(env, drifts()).text.splitlines() == [
        "slot 4 of 15",
        ".3  .   .2  .",
        ".   *01 .   .",
        ".   .   .   .",
        ".   .   .   *",
        "cleared: 1 of 3",
    ]


def test_a_drift_shows_until_it_is_cleared():
    env = Snowdrift(size=4, drifts=3)
    full, empty = (env.render(drifts(cells=c)) for c in ((5, 7, 15), (-1, -1, -1)))
    snow = rgb("#ffffff")
    assert full.pixels.shape == empty.pixels.shape
    heaps = [(picture.pixels == np.array(snow, np.uint8)).all(2).sum() for picture in (full, empty)]
    assert heaps[0] > 3 * heaps[1], "players have a white rim, heaps are white"
    assert {rgb(c) for c in glyphs.SEATS[:4]} <= colours(full)


def test_a_race_in_words():
    env = Race(slack=2)
    state = CorridorState(jnp.array([67, -1, 5]), jnp.array([45, -1, -1]), jnp.int32(11))
    open_rows = [".  .  .  #  .  .  .  #  .  .  ."] * 10
    open_rows[0] = ".  .  .  #  .  .2 .  #  .  .  ."
    open_rows[4] = ".  L  .  #  .  .  .  #  .  .  ."
    open_rows[6] = ".  .0 .  #  .  .  .  #  .  .  ."
    assert env.render(state).text.splitlines() == [
        "slot 11 of 12",
        *open_rows,
        ".  .  .  .  .  .  .  .  .  .  .",
        "left: 1; gone: C R",
    ]


def test_coordination_in_words():
    env = Coordination()
    state, _ = env.reset(jax.random.key(0))
    lines = env.render(state).text.splitlines()
    assert lines[0] == "slot 0 of 11" and lines[-1] == "left: -; gone: -"
    assert lines[11].split() == ["."] * 5 + [".01"] + ["."] * 5
    assert "".join(lines[1:-1]).count("#") == 20


@pytest.mark.parametrize("game", ["race", "coordination"])
def test_targets_show_until_they_are_gone_and_walls_always(game):
    env: Any = envs.make(game)
    state, _ = env.reset(jax.random.key(0))
    gone = state._replace(targets=jnp.full(3, -1), players=jnp.full(env.players, -1))
    full, empty = (env.render(s).pixels for s in (state, gone))
    assert full.shape == empty.shape
    cell = lambda pixels, place: pixels[
        glyphs.MARGIN + place // 11 * 50 :, glyphs.MARGIN + place % 11 * 50 :
    ][:50, :50]
    for place in (45, 5, 53, 115):
        assert (cell(full, place) != cell(empty, place)).any(), place
    for place in (3, 7, 102):
        assert (cell(full, place) == cell(empty, place)).all()
        assert len(colours(Picture(cell(full, place), ""))) > 9, place


BOARDS = [f"{name}:{p}" for name in ("stag_hunt", "snowdrift") for p in envs.PRESETS_OF[name]]
VARIED = ["stag_hunt:two-stags,obstacles=9,view=2", "snowdrift:4x4,players=9,drifts=16"]


@pytest.mark.parametrize("text", BOARDS + VARIED)
def test_everything_on_a_board_is_drawn(text):
    """In words as often as there is of it; in pixels no cell of a thing is of one colour."""
    env: Any = envs.make(text)
    state, _ = env.reset(jax.random.key(1))
    words = env.render(state).text
    marks = {"#": "obstacles", "S": "stags", "H": "hares", "*": "drifts"}
    for mark, name in marks.items():
        assert words.count(mark) == getattr(env, name, 0), name
    rows = "".join(words.splitlines()[1:-1])
    assert sorted(c for c in rows if c.isdigit()) == [str(i) for i in range(env.players)]
    cell = min(112, max(44, 560 // env.size))
    shown = env.render(state._replace(players=jnp.full(env.players, -1))).pixels
    for name in ("obstacles", "stags", "hares", "drifts"):
        for place in np.asarray(getattr(state, name, [])).tolist():
            row, col = (pictures.MARGIN + cell * i for i in divmod(place, env.size))
            assert len(colours(Picture(shown[row : row + cell, col : col + cell], ""))) > 9, place


def test_every_player_shows_in_its_colour():
    seen = colours(board_pictures.stag_hunt_picture(ENV, hunt((5, 5, 5, 5))))
    assert {rgb(c) for c in glyphs.SEATS[:4]} <= seen
    assert rgb(glyphs.SEATS[4]) not in seen


def test_nested_discs_stay_inside_and_apart():
    for count in range(1, 13):
        centres, radius = glyphs.nest(count, 100, 40, largest=25)
        spots = np.array(centres)
        assert radius > 5
        assert (abs(spots) + radius <= np.array([50, 20]) + 1e-9).all()
        gaps = np.linalg.norm(spots[:, None] - spots[None], axis=2)[~np.eye(count, dtype=bool)]
        assert (gaps >= 2 * radius - 1e-9).all()


def test_matrix_in_words():
    assert pictures.matrix_picture(Matrix(), rounds()).text.splitlines() == [
        "round 20 of 100",
        "           cooperate  defect",
        "cooperate  3, 3       [0, 5]",
        "defect     5, 0       1, 1",
        "earned by 0: 12, 1: 33.5",
    ]


def test_matrix_pays_each_seat_from_its_own_table():
    text = pictures.matrix_picture(Matrix(**PRESETS["pennies"]), rounds((0, 0))).text
    assert text.splitlines()[2].split("  ")[0] == "heads"
    assert "[1, -1]" in text


def test_matrix_highlights_the_last_joint_move_once_there_is_one():
    before = pictures.matrix_picture(Matrix(), rounds((-1, -1), (0.0, 0.0), 0))
    after = pictures.matrix_picture(Matrix(), rounds())
    assert before.pixels.shape == after.pixels.shape
    assert rgb(glyphs.ELAPSED) in colours(after) - colours(before)
    assert "[" not in before.text


def test_moves_of_an_unlisted_game_are_numbered():
    env = Matrix(payoffs=tuple(tuple(float(i) for i in range(4)) for _ in range(4)))
    assert "move 3" in pictures.matrix_picture(env, rounds()).text


def test_png_reads_back_unchanged(tmp_path):
    picture = pictures.matrix_picture(Matrix(), rounds())
    pictures.save_png(picture, tmp_path / "new folder" / "board.png")
    with Image.open(tmp_path / "new folder" / "board.png") as image:
        assert (np.asarray(image) == picture.pixels).all()


def test_gif_has_a_frame_a_picture_and_holds_the_last(tmp_path):
    film = [board_pictures.stag_hunt_picture(ENV, hunt(time=t)) for t in range(5)]
    pictures.save_gif(film, tmp_path / "hunt.gif", 0.5, captions=[f"slot {t}" for t in range(5)])
    with Image.open(tmp_path / "hunt.gif") as image:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
        assert durations == [500, 500, 500, 500, 1500]
        assert image.info["loop"] == 0
        assert image.width == film[0].pixels.shape[1]
        assert image.height > film[0].pixels.shape[0]


def test_gif_joins_equal_neighbours(tmp_path):
    pictures.save_gif([blank(), blank(), blank(shade=9)], tmp_path / "a.gif", 0.1)
    with Image.open(tmp_path / "a.gif") as image:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
        assert durations == [200, 300]


def test_gif_refuses_what_makes_no_film(tmp_path):
    with pytest.raises(ValueError, match="at least one picture"):
        pictures.save_gif([], tmp_path / "a.gif", 0.1)
    with pytest.raises(ValueError, match="1 captions for 2 pictures"):
        pictures.save_gif([blank(), blank()], tmp_path / "a.gif", 0.1, captions=["one"])
    with pytest.raises(ValueError, match="one size"):
        pictures.save_gif([blank(), blank(height=50)], tmp_path / "a.gif", 0.1)


def test_captions_wrap_and_keep_their_room():
    words = "a caption of many words that cannot stand on one line"
    two = pictures.with_caption(blank(), words)
    same = pictures.with_caption(blank(), "short", lines=len(pictures.wrap(words, 200 - 48)))
    assert two.text.endswith(words)
    assert (
        two.pixels.shape == same.pixels.shape > pictures.with_caption(blank(), "short").pixels.shape
    )
    assert all(glyphs.text_width(line, 18) <= 152 for line in pictures.wrap(words, 152))


def test_no_font_of_the_system_is_opened(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a picture asked for a font file of the system")

    allowed = board_pictures.stag_hunt_picture(ENV, hunt())
    truetype = ImageFont.truetype

    def only_built_in(font, *args, **kwargs):
        return refuse() if isinstance(font, str) else truetype(font, *args, **kwargs)

    monkeypatch.setattr(ImageFont, "truetype", only_built_in)
    monkeypatch.setattr(ImageFont, "load_path", refuse)
    assert (board_pictures.stag_hunt_picture(ENV, hunt()).pixels == allowed.pixels).all()


def test_signs_the_font_lacks_are_replaced():
    assert glyphs.plain("a → b — café ≥ 2 ✓") == "a -> b - cafe >= 2 ?"
