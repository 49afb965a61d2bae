"""What a run folder does not hold and a report wants: returns per opponent, cross-play, a film."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from counterplay import envs, opponents, pools
from counterplay.envs.pictures import save_gif, save_png, with_caption
from counterplay.errors import GameError
from counterplay.evaluate.recording import Frame, record
from counterplay.evaluate.rows import EpisodeRows
from counterplay.planning.naming import with_planner
from counterplay.report.filming import with_beliefs
from counterplay.report.read import GATE, Run
from counterplay.report.strips import Strip
from counterplay.report.thinking import Thought, thought_of
from counterplay.types import Picture

MOST_OPPONENTS = 8
"""Where nobody says against whom."""
UNIFORM = "random"
"""The rule that any game has and that says something on its own."""
MOST_ENTRANTS = 8
"""Trained policies in the cross-play of a game; each plays each, so time grows as the square."""

MOST_BLOCKS = 64
"""Means of matches that are kept of a cell; resampling more would take long and tell no more."""

Play = Callable[..., list[Any]]
"""``play(title, env, roster, match, episodes=None)``: the rows of an evaluation; ``episodes`` is an
``EpisodeRows`` that takes them down."""


class Cell(NamedTuple):
    """What one policy earned among others of one kind."""

    mean: float
    error: float
    """Standard error over matches."""
    episodes: int
    blocks: tuple[float, ...] = ()
    """Mean returns of its matches, or of as many groups of them as are kept; may be unknown."""


class Film(NamedTuple):
    """One episode."""

    gif: bytes
    still: bytes
    """Its first, middle and last picture side by side, as PNG."""
    told: str
    """Who sat where, and how it ended."""
    strip: Strip | None = None
    """What was believed in it, where somebody did; then the film is of a match."""


class CrossPlay(NamedTuple):
    """Everybody (rows) among others of one kind (columns)."""

    trained: tuple[tuple[int, int], ...]
    """Run and seed; the opponents follow them."""
    cells: tuple[tuple[Cell, ...], ...]


class Measured(NamedTuple):
    """All that was measured on one game."""

    game: str
    opponents: tuple[str, ...]
    """Empty in a game of one seat."""
    returns: dict[int, tuple[tuple[Cell, ...], ...]]
    """Run -> for each seed a cell an opponent; in a game of one seat one cell. Runs that could
    not play are absent."""
    cross: CrossPlay | None
    films: dict[int, Film]
    match: int
    notes: tuple[str, ...]
    """What could not be measured, and why."""
    thoughts: Mapping[int, Thought] = MappingProxyType({})
    """Of runs that plan; others are absent."""
    alone: Mapping[int, tuple[tuple[Cell, ...], ...]] = MappingProxyType({})
    """``returns`` of the policy alone, of runs that plan."""


def default_opponents(env: Any) -> tuple[str, ...]:
    """Rules of the game that can play it in this size, and the uniform one, which any can.

    Rules that only walk to a cell tell nothing on their own and are left out.
    """
    usable = []
    for name in opponents.names(envs.game_of(env)):
        try:
            if "cell" not in name and name not in opponents.ANY_GAME:
                opponents.make(name, env)
                usable.append(name)
        except ValueError:  # such as a rule of two actions in a game of three
            continue
    return (*usable[: MOST_OPPONENTS - 1], UNIFORM)


def check_opponents(env: Any, names: tuple[str, ...]) -> None:
    """ValueError for a name that nobody answers to, before anything is played."""
    for name in names:
        for member in pools.split_list(name):
            if member in pools.LEARNERS:
                raise ValueError(f"--against {member}: it learns, and a report does not train")
            pools.find(member, env, 0)


def measure(
    game: str,
    env: Any,
    runs: dict[int, Run],
    against: tuple[str, ...],
    play: Play,
    folder: Path,
    seed: int,
) -> Measured:
    """Lets all runs of one game play; what one of them cannot do is told and left out."""
    notes: list[str] = []
    match = max(run.match for run in runs.values())
    names = tuple(dict.fromkeys(against)) or default_opponents(env)
    if env.num_seats == 1:
        names = ()
    returns, alone = {}, {}
    for i, run in runs.items():
        each = lambda planner, run=run: tuple(
            _against(env, run, s, names, play, match, planner) for s in range(run.seeds)
        )
        with _telling(notes, f"{run.name}: returns"):
            returns[i] = each(None)
            if any(metric in run.metrics for metric in GATE):
                alone[i] = each("none")
    able = {i: run for i, run in runs.items() if i in returns}
    cross, films, thoughts = None, {}, {}
    if env.num_seats == 1:
        notes.append(f"{game} has one seat: no opponents and no cross-play")
    elif able:
        with _telling(notes, f"{game}: cross-play"):
            cross = cross_play(env, able, names, returns, play, match)
    for i, run in able.items():
        with _telling(notes, f"{run.name}: an episode as pictures"):
            films[i] = film(env, run, names, seed, folder / f"episode-{i + 1}.gif")
        with _telling(notes, f"{run.name}: what it plans"):
            thoughts[i] = thought_of(env, run, *table_of(env, run, names), seed)
    thoughts = {i: thought for i, thought in thoughts.items() if thought is not None}
    return Measured(game, names, returns, cross, films, match, tuple(notes), thoughts, alone)


def policy_of(run: Run, seed: int) -> str:
    return f"run:{run.folder}#{seed}"


def _against(
    env: Any,
    run: Run,
    seed: int,
    names: tuple[str, ...],
    play: Play,
    match: int,
    planner: str | None = None,
) -> tuple[Cell, ...]:
    """One seed in each seat in turn; one call a seed, so that all share what is compiled."""
    who, title = with_planner(planner, policy_of(run, seed)), f"{run.name}, seed {seed}"
    episodes = EpisodeRows()
    if env.num_seats == 1:
        (row,) = play(title, env, pools.roster_of(env, {0: who}), match, episodes)
        cells = {row.label: Cell(float(row.mean[0]), float(row.error[0]), row.episodes)}
        names = (row.label,)
    else:
        cells = _cells(play(title, env, pools.roster_against(env, who, names), match, episodes))
    found = episodes.match_returns()
    return tuple(cells[name]._replace(blocks=_blocks(found.get(name))) for name in names)


def _blocks(matches: np.ndarray | None) -> tuple[float, ...]:
    """Means of groups of matches that share out the seats: they come seat by seat."""
    if matches is None:
        return ()
    groups = min(len(matches), MOST_BLOCKS)
    return tuple(float(matches[k::groups].mean()) for k in range(groups))


def cross_play(
    env: Any,
    runs: dict[int, Run],
    names: tuple[str, ...],
    returns: dict[int, tuple[tuple[Cell, ...], ...]],
    play: Play,
    match: int,
) -> CrossPlay:
    """Up to MOST_ENTRANTS trained policies and the opponents; what is known is not played again."""
    turns = zip_longest(*([(i, s) for s in range(run.seeds)] for i, run in runs.items()))
    trained = tuple(one for turn in turns for one in turn if one is not None)[:MOST_ENTRANTS]
    trained = tuple(sorted(trained))
    texts = tuple(policy_of(runs[i], s) for i, s in trained)
    everybody = (*texts, *names)
    roster = pools.roster_against(env, everybody, texts)
    cells = _cells(play("cross-play with the trained", env, roster, match))
    roster = pools.roster_against(env, names, names)
    cells |= _cells(play("cross-play of the opponents", env, roster, match))
    for (i, s), text in zip(trained, texts, strict=True):
        cells |= {_label(text, n): c for n, c in zip(names, returns[i][s], strict=True)}
    table = tuple(tuple(cells[_label(me, other)] for other in everybody) for me in everybody)
    return CrossPlay(trained, table)


def _label(me: str, other: str) -> str:
    """As rosters of several focal policies call their tables."""
    return f"{me} | {other}"


def _cells(rows: list[Any]) -> dict[str, Cell]:
    return {row.label: Cell(row.focal_mean, row.focal_error, row.episodes) for row in rows}


def table_of(env: Any, run: Run, names: tuple[str, ...]) -> tuple[dict[int, str], list[str]]:
    """Who sits where, and what they are called: the first seed where it learned, the opponents on
    the other seats in turn."""
    me, turn = run.seat, iter(names * env.num_seats)
    seats = {s: policy_of(run, 0) if s == me else next(turn) for s in range(env.num_seats)}
    return seats, [run.config["algorithm"] if s == me else name for s, name in seats.items()]


def film(env: Any, run: Run, names: tuple[str, ...], seed: int, path: Path) -> Film:
    """The first seed where it learned, the opponents on the other seats in turn."""
    if hasattr(env, "open") or not hasattr(env, "render"):
        raise ValueError("the game draws no pictures")
    seats, called = table_of(env, run, names)
    roster = pools.roster_of(env, seats)
    if hasattr(pools.stage(env, roster), "open"):
        raise ValueError("a policy in ordinary Python plays, and only games in JAX are drawn")
    filmed = with_beliefs(env, run, roster, names, seed)
    if filmed is None:
        frames = record(env, roster, seed)
        pictures, long, strip = [frame.picture for frame in frames], "slots", None
    else:
        frames, pictures, strip = filmed.frames, filmed.pictures, filmed.strip
        long = f"slots of a match, episodes: {filmed.episodes}; below the board what was believed"
    captions = [_caption(called, frame) for frame in frames]
    quick = {} if strip is None else {"seconds_per_frame": 0.4}
    save_gif(pictures, path, captions=captions, **quick)
    ends = [] if filmed is None else filmed.ends
    some = ends if len(ends) > 2 else range(len(frames))
    still, some = path.with_suffix(".png"), (some[0], some[len(some) // 2], some[-1])
    save_png(_strip([(pictures[k], captions[k]) for k in some]), still)
    slots = len(frames) - 1 if strip is None else len(strip.posterior)
    told = f"{slots} {long}; who sat where, and what each earned: {captions[-1]}"
    return Film(path.read_bytes(), still.read_bytes(), told, strip)


def _caption(called: list[str], frame: Frame) -> str:
    pairs = zip(called, frame.returns, strict=True)
    return ", ".join(f"{seat} {name} {earned:.1f}" for seat, (name, earned) in enumerate(pairs))


def _strip(frames: list[tuple[Picture, str]]) -> Picture:
    pictures = [with_caption(picture, words) for picture, words in frames]
    height = max(picture.pixels.shape[0] for picture in pictures)
    room = [((0, height - p.pixels.shape[0]), (0, 0), (0, 0)) for p in pictures]
    pairs = zip(pictures, room, strict=True)
    wide = np.concatenate([np.pad(p.pixels, r, mode="edge") for p, r in pairs], axis=1)
    return Picture(wide, "\n".join(picture.text for picture in pictures))


@contextmanager
def _telling(notes: list[str], what: str) -> Iterator[None]:
    """Turns what somebody else's folder or game cannot do into a sentence of the report."""
    try:
        yield
    except (ValueError, GameError, ImportError, OSError) as error:
        notes.append(f"{what} left out: {error}")
