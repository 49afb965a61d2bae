"""The lines under the tables of the documentation, and how the tests themselves are timed."""

import json
from typing import Any

import pytest

from counterplay import bench
from counterplay.bench import figures


def test_seeds_are_those_of_the_rows_or_of_the_whole():
    assert figures.seeds_of({"seed": 3, "rows": [{"seed": 3}, {"seed": 5}]}) == "seeds 3 to 5"
    assert figures.seeds_of({"rows": [{"seed": 4, "against": "a"}, {"seed": 4}]}) == "seed 4"
    assert figures.seeds_of({"seed": 7, "rows": {"random": {"bare": 1}}}) == "seed 7"
    assert figures.seeds_of({"rows": [{"who": "4 random"}]}) == "seed 0, the default"


def test_the_note_says_how_to_measure_it_again_and_with_what():
    pair = {"game": "lb:game", "before": 0.25, "after": 1.0, "steps": 54321, "seconds": 20.0}
    found: dict[str, Any] = {"seed": 0, "steps": 4_000_000, "episodes": 4096, "foraging": pair}
    row = {"command": "counterplay demo", "date": "2026-11-24", "wall_seconds": 171.6, "cores": 2}
    row |= {"machine": "x86_64", "versions": {"jax": "1.2.3"}, "result": found}
    line, empty, second = figures.note("demo", row).splitlines()
    assert line == (
        "`counterplay demo`, seed 0, 4,000,000 steps, 4,096 episodes, 2026-11-24, "
        "2 cores (x86_64), jax 1.2.3, 172 s in all"
    )
    assert not empty and second == (
        "The second game, lb:game: return of the pair 0.250 at random, 1.000 after 20 s "
        "(54,321 steps) of training."
    )


def test_how_long_kept_parts_took_to_print_is_left_out():
    row = {"command": "counterplay x", "date": "2026-11-29", "wall_seconds": 1.0, "cores": 2}
    row |= {"machine": "x86_64", "versions": {"jax": "1.2.3"}, "result": {"seed": 0, "seeds": 10}}
    line = "`counterplay x`, seeds 0 to 9, 2026-11-29, 2 cores (x86_64), jax 1.2.3"
    assert figures.note("agents", row) == line
    assert figures.note("xplay", row) == f"{line}, 1 s in all"


def test_published_references_are_not_said_to_be_of_the_day_they_were_printed():
    row = {"command": "counterplay headroom", "date": "2026-11-29", "wall_seconds": 1.0, "cores": 2}
    row |= {"machine": "x86_64", "versions": {"jax": "1.2.3"}, "result": {"seed": 0, "seeds": 10}}
    assert figures.note("references", row) == (
        "Shown by `counterplay headroom`; each row measured by "
        "`counterplay headroom SCENARIO --publish`, seeds 0 to 9"
    )


def test_settings_that_a_result_leaves_out_are_read_from_the_command():
    assert figures.settings_of("rules") == {"seed": 0, "episodes": 65_536}
    assert figures.settings_of("snowdrift") == {"seed": 0, "episodes": 65_536}
    assert figures.settings_of("foraging") == {"seed": 0, "steps": 400_000, "episodes": 500}
    assert figures.settings_of("seeds") == {"seed": 0, "episodes": 65_536}
    assert figures.settings_of("step") == {}


def test_the_last_line_of_pytest_is_counted():
    assert figures.counted("12 passed, 3 skipped in 4.56s") == {"passed": 12, "skipped": 3}
    assert figures.counted("7 passed in 80.10s (0:01:20)") == {"passed": 7, "skipped": 0}


def test_the_tests_of_a_folder_are_timed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text("<!-- figures:tests -->\n<!-- /figures:tests -->\n")
    command = ["figures", "--only", "tests", "--write", "page.md"]
    assert bench.main(command) == 0
    assert "no folder tests/ here" in capsys.readouterr().out
    assert not (tmp_path / "benchmarks" / "tests.json").exists()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_two.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    assert bench.main(command) == 0
    kept = json.loads((tmp_path / "benchmarks" / "tests.json").read_text())
    assert kept["command"] == "python -m pytest -q" and kept["result"]["passed"] == 2
    page = (tmp_path / "page.md").read_text()
    assert "| passed | skipped | wall time, s |" in page and "| 2 | 0 |" in page
    assert "seed" not in page
    (tmp_path / "tests" / "test_two.py").write_text("def test_a(): assert 1 == 2\n")
    with pytest.raises(ValueError, match=r"(?s)python -m pytest -q failed: .*1 failed"):
        bench.main(command)
