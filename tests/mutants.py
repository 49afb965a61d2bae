"""Command lines with one mistake each, made from the settings that the verbs declare.

No mutant is right by accident: a changed name is one that nobody knows, a value is one that no
setting of its kind takes.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from counterplay import algos, cli, envs, opponents
from counterplay.algos import ppo
from counterplay.play import Eval
from counterplay.settings import MOST, Setting, settings_of
from counterplay.verbs import Train

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VERBS = {"train ppo": Train[ppo.Config], "eval": Eval}
SEATED = {
    "train ppo": ("0=self", "1..3=stay:tremble=0.1"),
    "eval": ("0..1=adaptive", "2..3=stay:tremble=0.1"),
}
GAME = "stag_hunt:4x4,view=2"
BELOW_ZERO: set[str] = set()
"""Settings that may be negative: none so far."""
WRONG = {
    int: ("two", "1.5", "0x10", "1e400", "inf", "4,000", ""),
    float: ("fast", "1,5", "nan", "0x1p3", ""),
    str: ("", " "),
}


class Mutant(NamedTuple):
    kind: str
    about: str
    """The setting or name that is wrong."""
    words: tuple[str, ...]


def base(verb: str) -> list[str]:
    """A command that is right."""
    seats = (word for seat in SEATED[verb] for word in ("--seat", seat))
    return [*verb.split(), "--env", GAME, *seats]


def misspelt(rng: random.Random, name: str, known: set[str]) -> str:
    """The name with a letter dropped, doubled, swapped or replaced; none of the known ones."""
    while True:
        at = rng.choice([i for i, letter in enumerate(name) if letter.isalnum()])
        head, letter, tail = name[:at], name[at], name[at + 1 :]
        swapped = head + tail[:1] + letter + tail[1:]
        edit = rng.choice([head + tail, head + letter * 2 + tail, swapped, ""])
        edit = edit or head + rng.choice(LETTERS) + tail
        if edit.strip("-") and edit not in known:
            return edit


def of_settings(rng: random.Random, verb: str) -> Iterator[Mutant]:
    """What may be wrong with each setting of a verb, whatever it is called."""
    declared = settings_of(VERBS[verb])
    known = {*declared, *(f"--no-{flag[2:]}" for flag in declared), "--help"}
    for flag, setting in declared.items():
        if setting.place:
            continue
        rest = without(base(verb), flag)
        right = () if setting.kind is bool else (example(setting),)
        for kind, words in wrong(rng, setting, right, known):
            yield Mutant(kind, flag, (*rest, *words))


def wrong(
    rng: random.Random, setting: Setting, right: tuple[str, ...], known: set[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Kinds of mistakes that a setting can have, each with the words that make it."""
    flag, kind = setting.flag, setting.kind
    for _ in range(2):
        yield "option", (misspelt(rng, flag, known), *right)
    if kind is bool:
        yield "value", (f"{flag}={rng.choice(('yes', 'true', '1', ''))}",)
    else:
        yield "missing", (flag,)
    if not setting.again:
        yield "twice", (flag, *right, flag, *right)
    if isinstance(kind, tuple):
        choice = rng.choice(kind)
        yield "value", (flag, misspelt(rng, choice, set(kind)))
    elif kind is not bool:
        yield "value", (f"{flag}={rng.choice(WRONG[kind])}",)
    if kind in (int, float) and flag not in BELOW_ZERO:
        yield "range", (flag, rng.choice(("-1", "-7")))
    if kind is int:
        yield "range", (flag, str(10**30 + rng.randrange(MOST)))


def example(setting: Setting) -> str:
    """A value that is right in kind."""
    if isinstance(setting.kind, tuple):
        return setting.kind[0]
    return {int: "1", float: "0.5", str: "stay"}[setting.kind]


def without(words: list[str], flag: str) -> list[str]:
    """The words less a setting and its values, which take a word each."""
    kept, skip = [], False
    for word in words:
        if not skip and word != flag:
            kept.append(word)
        skip = word == flag
    return kept


def of_names(rng: random.Random, verb: str) -> Iterator[Mutant]:
    """A name in the command that nobody knows."""
    words = base(verb)
    rules, presets = set(opponents.names("stag_hunt")), set(envs.PRESETS_OF["stag_hunt"])
    first, *algorithm = verb.split()
    places = [("verb", first, {*cli.VERBS, "help"}), ("rule", "stay", rules)]
    places += [("game", "stag_hunt", set(envs.GAMES)), ("preset", "4x4", presets)]
    places += [("game setting", "view", {"view", "hares", "stags", "horizon", "size"})]
    places += [("rule setting", "tremble", {"tremble"})]
    places += [("algorithm", name, set(algos.ALGORITHMS)) for name in algorithm]
    places += [("rule", "adaptive", rules)] if verb == "eval" else [("learner", "self", {"own"})]
    for what, name, known in places:
        at = next(i for i, word in enumerate(words) if name in word)
        for _ in range(3):
            edit = misspelt(rng, name, {name, *known, *rules, "own", "self"})
            if not edit.startswith("-"):
                changed = words[at].replace(name, edit, 1)
                yield Mutant("name", what, (*words[:at], changed, *words[at + 1 :]))


def of_seats(verb: str) -> Iterator[Mutant]:
    """Who sits where, and what is played, in ways that make no sense."""
    first, second = SEATED[verb]
    head = [*verb.split(), "--env", GAME]
    who = first.partition("=")[2]
    for seats in (
        (first,),  # nobody at the others
        (first, second, f"4={who}"),
        (first, second.replace("..3", "..4")),
        (first, second, f"0={who}"),
        (first, second.replace("..", "-")),
        (first, "3..1=stay"),
        (first, second.replace("=", "", 1)),
        (first, second.replace("0.1", "2")),
        (first, second.replace("0.1", "often")),
        ("0=self,own", "1..3=stay"),
        ("0=self,stay", "1..3=stay"),
        ("0=stay,", "1..3=stay"),
        ("0..3=self",) if verb == "eval" else ("0..3=stay",),
    ):
        words = (word for seat in seats for word in ("--seat", seat))
        yield Mutant("seat", " ".join(seats), (*head, *words))
    yield Mutant("seat", "both", (*base(verb), "--against", "stay"))
    for game in (
        "stag_hunt:4x4,view=two",
        "stag_hunt:4x4,view=-1",
        "stag_hunt:4x4,view",
        "stag_hunt:4x4,view=1,view=1",
        "stag_hunt:4x4,hares=99",
        "stag_hunt:",
        "matrix:pd",
    ):
        seats = (word for seat in SEATED[verb] for word in ("--seat", seat))
        yield Mutant("game", game, (*verb.split(), "--env", game, *seats))


def mutants(seed: int) -> list[Mutant]:
    """All of them, in random order, but one of every setting and name first."""
    rng = random.Random(seed)  # noqa: S311
    made: dict[tuple[str, ...], Mutant] = {}
    for verb in VERBS:
        for mutant in (*of_settings(rng, verb), *of_names(rng, verb), *of_seats(verb)):
            made[mutant.words] = mutant
    order = list(made.values())
    rng.shuffle(order)
    seen: set[tuple[str, ...]] = set()
    first = [m for m in order if (k := (m.words[0], m.about)) not in seen and not seen.add(k)]
    kinds = {m.kind for m in first}
    assert kinds == {m.kind for m in order}, "a kind of mistake is left out"
    return first + [m for m in order if m not in first]
