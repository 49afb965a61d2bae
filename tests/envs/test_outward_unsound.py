"""The checks of exported games notice games that are unsound."""

from functools import partial

import numpy as np
import pytest
from test_outward import check_seeds

from counterplay import envs


class Spoilt:
    """An exported game with one promise broken."""

    def __init__(self, fault: str):
        self.fault, self.game = fault, envs.to_pettingzoo("stag_hunt")

    def __getattr__(self, name):
        return getattr(self.game, name)

    def reset(self, seed=None):
        if self.fault == "deaf" and seed is not None:
            seed = 5
        if self.fault == "random" and seed is not None:
            seed = int(np.random.default_rng().integers(2**31))
        return self.game.reset(seed)

    def step(self, actions):
        seen, paid, ended, cut, infos = self.game.step(actions)
        who = min(paid)
        match self.fault:
            case "infinite reward":
                paid[who] = np.inf
            case "reward of another type":
                paid[who] = np.float32(paid[who])
            case "wrong dtype":
                seen[who] = seen[who].astype(np.float64)
            case "wrong shape":
                seen[who] = seen[who][None]
            case "not a number":
                seen[who][0] = np.nan
            case "somebody left out":
                del ended[who]
            case "silent end":
                ended[who] = not ended[who]
        return seen, paid, ended, cut, infos


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("infinite reward", "paid"),
        ("reward of another type", "paid"),
        ("wrong dtype", "as declared"),
        ("wrong shape", "as declared"),
        ("not a number", "finite"),
        ("somebody left out", "who"),
        ("silent end", "left"),
        ("random", "the same seed"),
        ("deaf", "another seed"),
    ],
)
def test_these_checks_notice_what_is_unsound(fault, said):
    with pytest.raises(AssertionError, match=f"^{said}"):
        check_seeds(partial(Spoilt, fault), all_alike=False)


def test_and_find_nothing_in_what_is_sound():
    check_seeds(partial(Spoilt, "none"), all_alike=False)
