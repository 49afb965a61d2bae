"""Names and settings as people type them."""

import pytest

from counterplay.names import did_you_mean, read_settings, unknown

WANTED = {"view": int, "slack": float, "loud": bool, "map": str}


def test_suggests_the_nearest_name_or_nothing():
    assert did_you_mean("forraging", ["foraging", "race"]) == " (did you mean 'foraging'?)"
    assert did_you_mean("Race", ["foraging", "race"]) == " (did you mean 'race'?)"
    assert did_you_mean("xyzzy", ["foraging", "race"]) == ""


def test_an_unknown_name_is_answered_with_the_options():
    said = str(unknown("game", "rase", ["foraging", "race"]))
    assert said == "unknown game 'rase' (did you mean 'race'?); expected one of: foraging, race"
    assert str(unknown("preset", "a", [])).endswith("expected one of: none")


def test_reads_each_setting_as_its_type():
    found = read_settings(["view=2", " slack = .5", "loud=True", "map=a=b"], WANTED, "race")
    assert found == {"view": 2, "slack": 0.5, "loud": True, "map": "a=b"}
    assert [type(value) for value in found.values()] == [int, float, bool, str]


@pytest.mark.parametrize(
    ("piece", "said"),
    [
        ("view", "race: a setting is written name=value, found 'view'"),
        ("view=", "race: setting 'view' wants a whole number, found ''"),
        ("slack=wide", "race: setting 'slack' wants a number, found 'wide'"),
        ("loud=1", "race: setting 'loud' wants true or false, found '1'"),
        ("vew=1", r"unknown setting of race 'vew' \(did you mean 'view'\?\)"),
    ],
)
def test_a_setting_that_cannot_be_read_is_explained(piece, said):
    with pytest.raises(ValueError, match=said):
        read_settings([piece], WANTED, "race")
