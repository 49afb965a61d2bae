"""What is told of a player among the 43 RoShamBo bots: means, the worst case, folds without clones.

Lanctot et al. (2023), Population-based Evaluation in Repeated Rock-Paper-Scissors: population
return is the mean over the bots, within-population exploitability the negative of the mean return
against the worst of them.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

CLONES: tuple[tuple[str, ...], ...] = (
    ("granite", "marble", "zq_move"),
    ("mixed_strategy", "shofar", "sunNervebot"),
    ("boom", "robertot"),
    ("iocainebot", "phasenbott"),
    ("markov5", "markovbails"),
    ("piedra", "sweetrock"),
)
"""Groups of near copies, given by hand. The returns of the members of a group from the other bots
rise and fall together, but so do those of some bots that share no group, which ``parted`` finds: no
threshold on the correlation gives just these."""
FOLDS = 5
ALIKE = 0.95
"""Bots whose returns from all others correlate by more than this are told where folds part them."""
HALVES = ("every other bot, from the first", "every other bot, from the second")
"""Of the population. The settings of ``context_mixture`` were chosen by the first of them."""


class Standing(NamedTuple):
    """How a player stands in a population. All in points a match, of 1,000 throws by default."""

    population_return: float
    """Mean over the bots of the mean over matches."""
    error: float
    """Its standard error: the bots are fixed, the matches are drawn."""
    worst: str
    """The bot that takes most from it."""
    exploitability: float
    """Minus the mean return from the worst."""


class Against(NamedTuple):
    """Returns from one bot."""

    mean: float
    error: float
    """Standard error over matches; not a number for a single one."""


def against(returns: Sequence[float]) -> Against:
    """Mean and standard error of the returns of some matches; ValueError for none."""
    if not len(returns):
        raise ValueError("a mean wants one match or more, found none")
    x = np.asarray(returns, float)
    error = x.std(ddof=1) / np.sqrt(len(x)) if len(x) > 1 else np.nan
    return Against(float(x.mean()), float(error))


def standing(returns: Mapping[str, Sequence[float]]) -> Standing:
    """The standing of a player from its match returns by bot."""
    each = {bot: against(found) for bot, found in returns.items()}
    if not each:
        raise ValueError("a standing wants one bot or more, found none")
    worst = min(each, key=lambda bot: each[bot].mean)
    error = np.sqrt(sum(a.error**2 for a in each.values())) / len(each)
    mean = sum(a.mean for a in each.values()) / len(each)
    return Standing(mean, float(error), worst, -each[worst].mean)


def means(
    table: Mapping[tuple[str, str], Sequence[int]], names: Sequence[str]
) -> Float[np.ndarray, "B B"]:
    """Mean return of the row from the column; ``table`` has each pair in one order, row first."""
    found = np.full((len(names), len(names)), np.nan)
    for i, row in enumerate(names):
        for j, column in enumerate(names):
            if (row, column) in table:
                found[i, j] = np.mean(table[row, column])
            elif (column, row) in table:
                found[i, j] = -np.mean(table[column, row])
    return found


def of_row(table: Mapping[tuple[str, str], Sequence[int]], name: str) -> dict[str, list[int]]:
    """The match returns of one bot by opponent, itself among them: the first of the two."""
    found = {theirs: list(x) for (mine, theirs), x in table.items() if mine == name}
    return found | {
        mine: [-r for r in x] for (mine, theirs), x in table.items() if theirs == name != mine
    }


def folds(names: Sequence[str], count: int = 0, seed: int = 0) -> list[list[str]]:
    """Splits the bots in ``count`` folds of about one size; clones share a fold.

    Groups of clones are dealt first, the largest first, then single bots in an order drawn by the
    seed, each to the smallest fold. Within a fold names keep their order. A ``count`` of 0 is 5,
    or as many as there are groups.
    """
    groups = [[name for name in group if name in names] for group in CLONES]
    groups = [group for group in groups if group]
    cloned = {name for group in groups for name in group}
    single = [[name] for name in names if name not in cloned]
    most = len(groups) + len(single)
    if not 0 <= count <= most:
        raise ValueError(
            f"folds must be 1 to {most}, found {count}: there are {len(names)} bots, and clones "
            "are kept together"
        )
    count = count or min(FOLDS, most)
    drawn = np.random.default_rng(seed).permutation(len(single))
    dealt: list[list[str]] = [[] for _ in range(count)]
    for group in [*sorted(groups, key=len, reverse=True), *(single[i] for i in drawn)]:
        min(dealt, key=len).extend(group)
    return [[name for name in names if name in fold] for fold in dealt]


def halves(names: Sequence[str]) -> dict[str, list[str]]:
    """The two HALVES of a population by their names."""
    return {name: list(names[i::2]) for i, name in enumerate(HALVES)}


def parted(
    table: Float[np.ndarray, "B B"], names: Sequence[str], dealt: Sequence[Sequence[str]]
) -> list[tuple[str, str, float]]:
    """Pairs of bots in different folds that resemble each other, with the correlation.

    That is Pearson's, above ALIKE, of what both earn of all the other bots, the most alike first.
    """
    fold = {name: i for i, one in enumerate(dealt) for name in one}
    found = []
    for i, j in combinations(range(len(names)), 2):
        others = np.delete(table[[i, j]], [i, j], axis=1)
        if fold[names[i]] == fold[names[j]] or len(names) < 5 or (others.std(1) == 0).any():
            continue  # of two others alone any two bots earn alike
        found.append((names[i], names[j], float(np.corrcoef(others)[0, 1])))
    return sorted((pair for pair in found if pair[2] > ALIKE), key=lambda pair: -pair[2])


def split_clones(held_out: Sequence[str]) -> list[str]:
    """Bots outside a split that have a clone inside it: the split does not keep them apart."""
    inside = set(held_out)
    torn = [group for group in CLONES if inside & set(group)]
    return [name for group in torn for name in group if name not in inside]
