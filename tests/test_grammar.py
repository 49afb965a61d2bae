"""Short names for long texts; test_pools.py and test_pool_files.py have seats, lists and pools."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterplay.grammar import short_names


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["grim:tremble=.1,k=2", "random"], ["grim:tremble=.1,k=2", "random"]),
        (["run:runs/a#2", "run:/long/way/b@400"], ["a#2", "b@400"]),
        (["run:x/a", "run:y/a", "run:y/b"], ["x/a", "y/a", "b"]),
        (["run:x/a#1", "run:y/a", "run:y/a@7#2"], ["x/a#1", "y/a", "y/a@7#2"]),
        (["run:x/a#1", "run:x/a", "run:x/a"], ["a#1", "a", "a (2)"]),
        (["run:x/a", "run:a"], ["x/a", "run:a"]),
        (["run:runs/grim", "grim"], ["runs/grim", "grim"]),
        (["bots/mine.py:Bot", "run:bots"], ["mine.py:Bot", "bots"]),
        (["run:x/a,run:x/b,grim:k=1", "run:x/a"], ["a,b,grim:k=1", "a"]),
        (["grim", "grim", "grim"], ["grim", "grim (2)", "grim (3)"]),
        (["run:."], ["."]),
        ([], []),
    ],
)
def test_names_are_as_short_as_tells_them_apart(texts, names):
    assert short_names(texts) == names


PIECES = st.sampled_from(["grim", "run:a", "run:x/a", "run:y/x/a", "run:/x/a#1", "x/b.py:C"])


@given(st.lists(st.lists(PIECES, min_size=1, max_size=3).map(",".join), max_size=8))
def test_no_two_are_called_alike(texts):
    names = short_names(texts)
    assert len(names) == len(set(names)) == len(texts)
    assert all(names) and all(len(n) <= len(t) + 4 for n, t in zip(names, texts, strict=True))
