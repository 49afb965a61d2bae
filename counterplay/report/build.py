"""A report from run folders: what is read, what is measured, and where the files go."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from counterplay import envs
from counterplay.errors import GameError
from counterplay.report import contents, improving, playing
from counterplay.report.adapting import adaptation
from counterplay.report.blocks import Document, Image, Section
from counterplay.report.exploiting import exploited
from counterplay.report.markdown import FIGURES, markdown
from counterplay.report.measure import Measured, Play, check_opponents, measure
from counterplay.report.modelling import film_strips, opponent_model
from counterplay.report.page import html
from counterplay.report.planning import what_it_plans
from counterplay.report.protocols import protocols_of
from counterplay.report.read import Run, read_run
from counterplay.report.switching import after_switches


class Game(NamedTuple):
    """A game that may be had here, or why it may not."""

    name: str
    env: Any
    said: str


def read_all(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Every run, once; folders of one name are told apart by where they lie."""
    places = [folder.resolve() for folder in folders]
    for i, place in enumerate(places):
        if place in places[:i]:
            raise ValueError(f"{folders[i]} is given twice")
    runs = [read_run(folder) for folder in folders]
    names = _distinct(places)
    return tuple(replace(run, name=name) for run, name in zip(runs, names, strict=True))


def _distinct(places: Sequence[Path]) -> list[str]:
    """The ends of paths, as long as it takes to tell each from the others."""
    names = []
    for place in places:
        others = [p for p in places if p != place]
        ends = (place.parts[-k:] for k in range(1, len(place.parts) + 1))
        mine = next(end for end in ends if all(p.parts[-len(end) :] != end for p in others))
        names.append("/".join(mine))
    return names


def open_games(runs: Sequence[Run], against: tuple[str, ...]) -> list[Game]:
    """The games of the runs; ValueError where one of ``against`` cannot play one of them."""
    games = []
    for name in dict.fromkeys(run.game for run in runs):
        try:
            env = envs.make(name)
        except (ValueError, GameError, ImportError) as error:
            games.append(Game(name, None, f"{name} cannot be played here: {error}"))
            continue
        check_opponents(env, against)
        games.append(Game(name, env, ""))
    return games


def prepare(out: Path) -> None:
    """Makes the folder and tries it, so that no work is lost for want of a place to write."""
    try:
        (out / FIGURES).mkdir(parents=True, exist_ok=True)
        for folder in (out, out / FIGURES):
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        raise ValueError(f"cannot write the report to {out}: {error.strerror}") from error


def measure_all(
    runs: Sequence[Run],
    games: Sequence[Game],
    against: tuple[str, ...],
    play: Play,
    folder: Path,
    seed: int,
) -> list[Measured]:
    """One game after the other."""
    found = []
    for game in games:
        mine = {i: run for i, run in enumerate(runs) if run.game == game.name}
        if game.env is None:
            found.append(Measured(game.name, (), {}, None, {}, 1, (game.said,)))
        else:
            found.append(measure(game.name, game.env, mine, against, play, folder, seed))
    return found


def build(
    runs: Sequence[Run], measured: Sequence[Measured], seed: int, command: str, date: str
) -> Document:
    """The whole report."""
    names = dict(enumerate(contents.labels(runs)))
    sections: list[Section | None] = [contents.at_a_glance(runs, measured)]
    for k, found in enumerate(measured):
        several = len(measured) > 1
        mark = f"-{k + 1}" if several else ""
        mine = {i: run for i, run in enumerate(runs) if run.game == found.game}
        full = [contents.full_name(names[i], run, runs) for i, run in mine.items()]
        about = [
            contents.learning(list(mine.values()), full, mark),
            playing.returns(found, mine, names, seed, mark),
            improving.comparisons(found, names, mark),
            playing.cross(found, names, mark),
            exploited(mine, names),
            *by_protocol(mine, names, mark),
            films(found, mine, names) if found.films else None,
            what_it_plans(mine, found.thoughts, names),
        ]
        title = f": {found.game}" if several else ""
        sections += [s and s._replace(title=s.title + title) for s in about]
    return contents.document(runs, sections, command, date)


def films(found: Measured, runs: Mapping[int, Run], names: Mapping[int, str]) -> Section:
    """Episodes, and what was believed in them."""
    return film_strips(contents.episodes_of(found, runs, names), found.films, names)


def by_protocol(
    runs: Mapping[int, Run], names: Mapping[int, str], mark: str
) -> list[Section | None]:
    """What protocols left in the folders of the runs of one game."""
    found = protocols_of(runs, names)
    return [
        adaptation(found, mark),
        after_switches(found, mark),
        opponent_model(found, mark),
    ]


def write(document: Document, out: Path) -> dict[str, Path]:
    """Pictures first, so that a page never names one that is not there."""
    images = [b for s in document.sections for b in s.blocks if isinstance(b, Image)]
    for image in images:
        _write(out / FIGURES / image.file, image.data)
    pages = {"report": out / "report.html", "markdown": out / "report.md"}
    for path, text in zip(pages.values(), (html(document), markdown(document)), strict=True):
        _write(path, text.encode("utf-8", "replace"))
    return pages


def _write(path: Path, content: bytes) -> None:
    """A reader finds the old file or the new one, never a part."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
