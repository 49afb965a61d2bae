"""Comma lists and files that name several policies."""

import pytest

from counterplay.pools import split_list


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("random", ["random"]),
        ("grim, bully", ["grim", "bully"]),
        ("grim:tremble=.1,k=2,bully", ["grim:tremble=.1,k=2", "bully"]),
        ("bully,grim:tremble=.1", ["bully", "grim:tremble=.1"]),
        ("run:a#2,run:b", ["run:a#2", "run:b"]),
        ("some/file.py:Name,grim", ["some/file.py:Name", "grim"]),
    ],
)
def test_comma_lists_are_split_and_settings_stay_with_their_rule(text, members):
    assert split_list(text) == members


def test_a_pool_file_names_one_policy_a_line(tmp_path):
    path = tmp_path / "rivals.txt"
    path.write_text("# strong ones\ngrim:tremble=.1\n\n  bully  \n")
    assert split_list(f"random,pool:{path},random") == [
        "random", "grim:tremble=.1", "bully", "random",
    ]  # fmt: skip


def test_pools_without_a_file_or_a_policy_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"pool: no file 'nowhere.txt'; expected a text file"):
        split_list("pool:nowhere.txt")
    (tmp_path / "empty.txt").write_text("# nobody\n\n")
    with pytest.raises(ValueError, match=r"empty.txt' names no policy; expected one a line"):
        split_list(f"pool:{tmp_path / 'empty.txt'}")


def test_a_comment_follows_a_blank_and_the_seed_of_a_run_stays(tmp_path):
    path = tmp_path / "rivals.txt"
    path.write_text(
        "run:runs/a#2\nrun:runs/b#1 # the better one\n  # nobody\n#grim\n"
        "bully\t#rough\nrun:runs/c#!d#0\n"
    )
    assert split_list(f"pool:{path}") == [
        "run:runs/a#2", "run:runs/b#1", "bully", "run:runs/c#!d#0",
    ]  # fmt: skip


def test_a_line_may_name_several_or_another_pool(tmp_path):
    (tmp_path / "inner.txt").write_text("grim:tremble=.1,k=2, bully\n")
    (tmp_path / "outer.txt").write_text(f"random\npool:{tmp_path}/inner.txt\n")
    found = split_list(f"pool:{tmp_path}/outer.txt,pool:{tmp_path}/inner.txt")
    assert found == ["random", *2 * ["grim:tremble=.1,k=2", "bully"]]


def test_a_pool_that_contains_itself_is_refused(tmp_path):
    (tmp_path / "one.txt").write_text(f"pool:{tmp_path}/two.txt\n")
    (tmp_path / "two.txt").write_text(f"grim\npool:{tmp_path}/../{tmp_path.name}/one.txt\n")
    with pytest.raises(ValueError, match=r"pool: '.*one.txt' contains itself, by way of '.*two"):
        split_list(f"pool:{tmp_path}/one.txt")
