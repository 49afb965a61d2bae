"""The grammar of seats: what is typed for whoever sits down, read without JAX.

``NAME`` (a rule) | ``run:PATH[@STEP][#SEED]`` | ``pool:FILE`` (one policy a line) |
``pool:SET`` (a set of the game's rules, such as train) | ``path.py:Name`` | ``roshambo:NAME`` |
``openspiel:NAME`` | ``self`` (one learner shared by all such seats) | ``own`` (an independent
learner a seat). A comma list deals several, to each seat apart; after ``alike:`` all seats with
that list have the same one. Seats count from 0, ranges such as ``1..3`` include both ends.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

LEARNERS = ("self", "own")
ALIKE = "alike:"
SETS = ("train", "validation", "near", "held-out", "switch-known", "switch-unknown")
"""Sets of opponents that a game may have; ``pool:./train`` is a file of such a name."""


def read_seats(entries: tuple[str, ...], num_seats: int) -> dict[int, str]:
    """``("0=self", "1..3=random")`` -> {0: "self", 1: "random", ...}, every seat once."""
    seats: dict[int, str] = {}
    for entry in entries:
        where, equals, who = (part.strip() for part in entry.partition("="))
        first, dots, last = where.partition("..")
        last = last if dots else first
        digits = first.isdigit() and last.isdigit()
        if not equals or not who or not digits or int(last) < int(first):
            raise ValueError(
                f"--seat {entry!r}: expected SEAT=WHO or FIRST..LAST=WHO, as 1..3=random"
            )
        for seat in range(int(first), int(last) + 1):
            if seat >= num_seats:
                raise ValueError(
                    f"--seat {entry!r}: the game has seats 0 to {num_seats - 1}, found seat {seat}"
                )
            if seat in seats:
                raise ValueError(
                    f"--seat {entry!r}: seat {seat} is taken by {seats[seat]!r} already"
                )
            seats[seat] = who
    empty = [seat for seat in range(num_seats) if seat not in seats]
    if empty:
        raise ValueError(f"nobody sits at {', '.join(map(str, empty))}: give every seat a --seat")
    return seats


def split_list(text: str, inside: tuple[Path, ...] = ()) -> list[str]:
    """Splits a comma list, leaving the settings of a rule (``grim:tremble=.1,k=2``) whole.

    A pool is replaced by what its lines name; ``inside`` are the pools that led here. A set of the
    game's stays as it is: only the game knows who is in it. ``alike:`` before a list is left away.
    """
    members: list[str] = []
    for piece in text.removeprefix(ALIKE).split(","):
        name, equals, _ = piece.partition("=")
        if members and equals and name.strip().isidentifier():
            members[-1] += "," + piece
        else:
            members.append(piece.strip())
    return [m for member in members for m in _expand(member, inside)]


def alike(seats: dict[int, str], names: Callable[[str], Sequence[str]]) -> Iterator[dict[int, str]]:
    """The seats once for every member of an ``alike:`` list, who then sits at all of its seats."""
    shared = next((text for text in seats.values() if text.startswith(ALIKE)), None)
    if shared is None:
        yield seats
        return
    for name in names(shared):
        if name in LEARNERS:
            raise ValueError(f"{name!r} learns and cannot share seats: found {shared!r}")
        one = {seat: name if text == shared else text for seat, text in seats.items()}
        yield from alike(one, names)


def set_of(member: str) -> str | None:
    """The set that ``pool:SET`` names; None for anything else."""
    name = member.removeprefix("pool:")
    return name if name != member and name in SETS else None


def _expand(member: str, inside: tuple[Path, ...]) -> list[str]:
    if not member.startswith("pool:") or set_of(member):
        return [member]
    path = Path(member.removeprefix("pool:"))
    if not path.is_file():
        raise ValueError(f"pool: no file {str(path)!r}; expected a text file, one policy a line")
    if path.resolve() in inside:
        by_way = f", by way of {str(inside[-1])!r}" if inside[1:] else ""
        raise ValueError(f"pool: {str(path)!r} contains itself{by_way}")
    # a comment begins the line or follows a blank: run:FOLDER#2 is a policy
    lines = [re.split(r"(?:^|\s)#", line)[0].strip() for line in path.read_text().splitlines()]
    below = (*inside, path.resolve())
    found = [name for line in lines if line for name in split_list(line, below)]
    if not found:
        raise ValueError(f"pool: {str(path)!r} names no policy; expected one a line")
    return found


def short_names(texts: Sequence[str]) -> list[str]:
    """A short name for each policy, unlike all the others.

    Of a run or a file it has the end of the path, as much of it as tells it from the others.
    """
    ways = [_spellings(text) for text in texts]
    chosen = [0] * len(ways)
    while True:
        names = [spellings[i] for spellings, i in zip(ways, chosen, strict=True)]
        called: dict[str, set[str]] = {}
        for name, text in zip(names, texts, strict=True):
            called.setdefault(_folder(name), set()).add(_folder(text))
        longer = [k for k, name in enumerate(names) if len(called[_folder(name)]) > 1]
        longer = [k for k in longer if chosen[k] + 1 < len(ways[k])]
        if not longer:
            break
        for k in longer:
            chosen[k] += 1
    met: Counter[str] = Counter()
    for k, name in enumerate(names):
        met[name] += 1
        names[k] = f"{name} ({met[name]})" if met[name] > 1 else name
    return names


def _folder(name: str) -> str:
    """Without seeds and steps, by which policies of one run differ."""
    return re.sub(r"([@#]\d+)+(?=,|$)", "", name)


def _spellings(text: str) -> list[str]:
    """From the shortest to the whole text; a list is shortened piece by piece."""
    pieces = text.split(",")
    depth = max(len(_parts(piece)) for piece in pieces)
    shorter = [
        ",".join("/".join(_parts(piece)[-n:]) for piece in pieces) for n in range(1, depth + 1)
    ]
    return [*shorter, text]


def _parts(piece: str) -> tuple[str, ...]:
    """The parts of a path; anything else is one part."""
    if not piece.startswith("run:") and ".py:" not in piece:
        return (piece,)
    path = piece.removeprefix("run:")
    return Path(path).parts or (path,)
