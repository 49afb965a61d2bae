"""Matches in which a game breaks: played anew, and nothing of them counts."""

from typing import Any, ClassVar

import faulty
import numpy as np
import pytest

from counterplay.envs import pettingzoo
from counterplay.envs.running import Breaks
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.pools import roster_of


class Numbered(faulty.Pair):
    """Each move pays the number of the episode, which tells the copy that played it."""

    copy_of: ClassVar[dict[int, int]] = {}

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        shown = super().reset(seed, options)
        self.copy_of[self.episode] = id(self)
        return shown

    def step(self, actions: dict[str, int]) -> Any:
        good = super().step(actions)
        return good._replace(rewards={a: float(self.episode) for a in good.rewards})


@pytest.mark.parametrize("fault", ["raises", "reset raises", ""])
@pytest.mark.parametrize("match", [1, 2, 3])
def test_only_matches_count_that_were_played_to_their_end(fault, match, monkeypatch):
    monkeypatch.setattr(faulty, "BAD", (3, 18, 20, 40, 41, 61, 80))
    Numbered.ask_for("")
    game: Any = pettingzoo.describe("faulty", Numbered, {}, None, True)
    kept: list[Any] = []  # so that no two copies are alike
    monkeypatch.setattr(Numbered, "make", lambda self=None: kept.append(self))
    Numbered.ask_for(fault)
    Numbered.copy_of.clear()
    rows, breaks = EpisodeRows(), Breaks(restart=True)
    roster = roster_of(game, {0: "random", 1: "random"})
    (row,) = evaluate(game, roster, 96, match=match, rows=rows, breaks=breaks)
    assert breaks.count == len(Numbered.spoilt) and (breaks.count > 2) == bool(fault)

    found = rows.columns()
    place = list(zip(found["lane"], found["match"], found["episode"], strict=True))
    assert len(place) == len(set(place)) == row.episodes == 96
    assert [episode for _, _, episode in place] == [*range(match)] * (96 // match)
    number = (found["return_0"] / faulty.LENGTH).astype(int).reshape(-1, match)
    assert len({*number.ravel()}) == 96 and not {*number.ravel()} & {*Numbered.spoilt}
    if fault != "reset raises":  # in which nobody was shown anything to forget: the match goes on
        copies = Numbered.copy_of
        for one in number.tolist():
            played = sorted(n for n in copies if copies[n] == copies[one[0]])
            assert [played.index(n) - played.index(one[0]) for n in one] == [*range(match)]

    by_match = found["return_0"].reshape(-1, match).mean(1)
    error = by_match.std(ddof=1) / np.sqrt(len(by_match))
    assert row.mean[0] == pytest.approx(by_match.mean(), rel=1e-5)
    assert row.error[0] == pytest.approx(error, rel=1e-3)
    assert row.length == faulty.LENGTH and row.matches == 96 // match
