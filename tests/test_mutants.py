"""One mistake in a command is told in one paragraph, with a hint, before anything is computed."""

import os
import re

import pytest
from mutants import SEATED, VERBS, base, example, mutants

from counterplay import cli
from counterplay.settings import settings_of

SEED = 20
MUTANTS = mutants(SEED)
FEWEST = 200 if os.environ.get("COUNTERPLAY_FULL") else 60
CHOSEN = MUTANTS if os.environ.get("COUNTERPLAY_FULL") else MUTANTS[:120]
HINT = re.compile(
    r"did you mean|expected|must be|wants|given twice|takes (no|one) value|not both|is written|"
    r"has seats 0 to 3|is taken by|give every|is a probability|cannot share|name a rule|put self|"
    r"or ask for fewer"
)
"""What was expected, or what to do about it."""


class Reached(BaseException):
    """A command went on to compute; nothing catches this on the way."""


@pytest.fixture(autouse=True)
def no_compute(monkeypatch, tmp_path):
    def reached(*args, **settings):
        raise Reached

    places = ["algos.loops.train_jitted", "algos.loops.train_hosted", "algos.ppo.init"]
    places += ["evaluate.returns.spread_over", "evaluate.hosted.open_host"]
    for place in places:
        monkeypatch.setattr(f"counterplay.{place}", reached)
    for module in ("verbs", "play"):
        monkeypatch.setattr(f"counterplay.{module}.use_all_cores", lambda game="": None)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("verb", VERBS)
def test_the_command_without_a_mistake_goes_on_to_compute(verb):
    with pytest.raises(Reached):
        cli.main(base(verb))


def without_folders() -> list[tuple[str, str]]:
    """Verb and setting, where any value that is right in kind makes a right command."""
    special = {"--env", "--seat", "--against", "--resume", "--checkpoint-buffer", "--buffer-from"}
    special |= {"--planner", "--snapshots"}  # of a run; of two seats or more of self
    special |= {"--protocol"}
    declared = [(verb, s) for verb, kind in VERBS.items() for s in settings_of(kind).values()]
    return [(v, s.flag) for v, s in declared if s.flag not in special and not s.place]


@pytest.mark.parametrize(("verb", "flag"), without_folders())
def test_a_setting_that_is_right_goes_on_to_compute(verb, flag):
    """So what is refused below is refused for its mistake."""
    setting = settings_of(VERBS[verb])[flag]
    value = () if setting.kind is bool else (example(setting),)
    with pytest.raises(Reached):
        cli.main([*base(verb), flag, *value])


@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda m: " ".join(m.words))
def test_a_mistake_is_refused_before_anything_is_computed(mutant, capsys, tmp_path):
    assert cli.main(list(mutant.words)) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    assert err.startswith("counterplay: ") and err.count("\n") == 1, "one paragraph"
    assert HINT.search(err), err
    assert not list(tmp_path.rglob("*")), "something was left behind"


def test_there_are_enough_and_every_setting_is_among_them():
    assert len(CHOSEN) >= FEWEST
    told = {(m.words[0], m.about) for m in CHOSEN}
    for verb, kind in VERBS.items():
        for setting in settings_of(kind).values():
            assert setting.place or (verb.split()[0], setting.flag) in told
    assert mutants(SEED) == MUTANTS, "the same every time"
    assert all(list(m.words) != base(verb) for m in MUTANTS for verb in SEATED)
