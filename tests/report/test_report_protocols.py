"""Sections of what protocols found: every number of the result, every reason for a missing one."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_protocols as synthetic
from PIL import Image as Picture
from synthetic_runs import ROWS, Strict, make_run, tables_of

from counterplay.report import build, diagrams, figures
from counterplay.report.blocks import Document, Image, Section, Table
from counterplay.report.markdown import markdown
from counterplay.report.page import html
from counterplay.report.protocols import protocols_of
from counterplay.report.read import read_run


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "DOTS_PER_INCH", 40)
        yield


def sections(folder: Path, *results: Any) -> list[Section]:
    """Of one run called A."""
    run = make_run(folder / "run", ROWS)
    for k, found in enumerate(results):
        synthetic.save(run, f"2026010{k}-000000", found)
    made = build.by_protocol({0: read_run(run)}, {0: "A"}, "")
    return [section for section in made if section is not None]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> list[Section]:
    folder = tmp_path_factory.mktemp("protocols")
    return sections(folder, synthetic.seen(), synthetic.switching())


def blocks(made: list[Section], kind: type) -> list[Any]:
    return [block for section in made for block in section.blocks if isinstance(block, kind)]


def table(made: list[Section], words: str) -> Table:
    (found,) = [t for t in blocks(made, Table) if t.caption.startswith(words)]
    return found


def images(made: list[Section]) -> dict[str, Image]:
    return {image.file: image for image in blocks(made, Image)}


def test_a_run_without_protocols_has_no_such_sections(tmp_path):
    assert sections(tmp_path) == []


def test_scores_stand_with_their_intervals_and_their_reasons(made):
    found = table(made, "Scores by set")
    rows = {row[:3]: row[3:] for row in found.rows}
    assert rows["A, seen-v1", "train", "sampled"] == (
        "12", "2.500", "2.400 to 2.600", "0.500", "0.400 to 0.600", "0.750", "0.650 to 0.850",
        "-1.250", "",
    )  # fmt: skip
    greedy = rows["A, seen-v1", "train", "greedy"]
    assert greedy[3:7] == ("-",) * 4 and greedy[8].startswith("filter - blind is 3%")
    assert {key[1] for key in rows} == {"train", "switch-known", "switch-unknown"}
    assert all(len(row) == len(found.columns) for row in found.rows)


def test_every_opponent_has_a_row_and_each_play_its_columns(made):
    found = table(made, "A, seen-v1: returns per opponent")
    assert found.columns[2:] == (
        "sampled, mean", "sampled, 95%", "sampled, matches",
        "greedy, mean", "greedy, 95%", "greedy, matches",
    )  # fmt: skip
    assert found.rows[1] == ("bully", "train", *("2.500", "2.250 to 2.750", "4") * 2)
    assert [row[0] for row in found.rows] == synthetic.NAMES


def test_curves_begin_at_first_contact(made):
    shown = images(made)
    assert {"adaptation-episodes.png", "adaptation-slots.png"} < set(shown)
    alt = shown["adaptation-episodes.png"].alt
    assert "A, seen-v1: 1.000 at 1 to 1.400 at 5." in alt
    assert "A, switch-v1, switch-unknown: 1.000 at 1" in alt


def test_next_moves_lead_with_the_excess(made):
    rows = table(made, "Prediction of the next move, over all").rows
    first = next(r for r in rows if r[:2] == ("A, seen-v1, sampled", "the agent's model"))
    assert first[2:] == (
        "0.125", "0.025 to 0.225", "0.625", "0.525 to 0.725", "0.750", "0.650 to 0.850", "144"
    )  # fmt: skip
    said = {row[1] for row in rows}
    assert {"exact filter (attainable)", "true policy (floor)"} < said and len(said) == 5
    each = table(made, "Prediction of the next move by the agent's").rows
    named = [row[1:3] for row in each if row[0] == "A, seen-v1, sampled"]
    assert named == [("tit_for_tat", "0.100"), ("bully", "0.200"), ("grim", "0.300")]


def test_beliefs_and_groups_stand_beside_the_exact_filter(made):
    rows = table(made, "Types and goals").rows
    mine, exact = (r for r in rows if r[0] == "A, seen-v1, sampled")
    assert mine[1:4] == ("types", "the agent's model", "0.500") and mine[-3:] == (
        "50.0%",
        "4.0",
        "12",
    )
    assert exact[2] == "exact filter (attainable)" and exact[-3:] == ("100.0%", "2.0", "12")
    groups = table(made, "Grouping").rows
    assert groups[0][1:] == ("the agent's groups", *("0.875",) * 4, "2", "6")
    assert groups[1][1:] == ("exact-likelihood classifier", *("1.000",) * 4, "3", "6")


def test_calibration_says_where_predictions_are_too_few(made):
    rows = table(made, "Calibration").rows
    assert rows[0][1:] == (
        "types, the agent's belief", "0.100", "0.050", "0.002", "24,000", "12", "outside the band"
    )  # fmt: skip
    assert rows[1][-1] == "too few", "although it is inside the band"
    shown = images(made)
    assert "1 of 3 bins outside the null band" in shown["reliability-types.png"].alt
    assert "too few: 1,200 predictions" in shown["reliability-exact-filter.png"].caption
    assert "too few" not in shown["reliability-types.png"].caption


def test_switches_tell_delay_recovery_and_false_alarms(made):
    rows = {(row[0], row[1]): row[2:] for row in table(made, "Detection").rows}
    known = "A, switch-v1, switch-known, sampled"
    assert rows[known, "the agent's leading type"] == ("8", "3.0", "2.5", "25.0%", "12.50", "400")
    assert rows[known, "surprise at the agent's predictions"][1] == "never"
    assert len(rows) == 6 and {name for name, _ in rows} == {
        known,
        known.replace("known", "unknown"),
    }
    back = table(made, "Recovery").rows
    assert back[0][1:] == ("episodes", "8", "3.0", "2.5", "25.0%", "3", "0.200")
    image = images(made)["switch-episodes.png"]
    assert "2.000 at -4 to 1.700 at 7" in image.alt
    assert "median delay 3.0 slots, 12.5 false alarms" in image.caption
    assert "recovered: median 3.0 episodes" in image.caption


def test_strip_and_map_are_told_in_words(made):
    shown = images(made)
    assert "12 slots, episodes: 3, rows: 3." in shown["strip-1.png"].alt
    assert "At the end 0.70 is believed of grim" in shown["strip-1.png"].alt
    assert "Switches at slot 6." in shown["strip-1.png"].alt
    assert "15 matches; kinds of opponent: 3. In 100% of the 15 matches" in shown["map-1.png"].alt
    assert "strip-2.png" not in shown


def test_why_something_is_missing_is_said(made):
    text = " ".join(str(block) for section in made for block in section.blocks)
    assert "Not told for A, seen-v1, sampled. goals: none of the others declares a goal." in text


def test_pictures_are_drawn_for_both_themes_and_the_same_again(made, tmp_path):
    again = images(sections(tmp_path, synthetic.seen(), synthetic.switching()))
    shown = images(made)
    assert len(shown) == len(blocks(made, Image)), "every picture has a file of its own"
    for name, image in shown.items():
        assert image == again[name] and image.data != image.dark and image.alt and image.caption
        light, dark = (np.asarray(Picture.open(io.BytesIO(x)).convert("L")) for x in image[3:5])
        assert light.std() > 5 and light[0, 0] > 250 and dark[0, 0] < 40


def test_both_files_hold_every_table_and_picture(made):
    document = Document("t", "a", tuple(made))
    text, page = markdown(document), Strict(html(document))
    assert len(tables_of(text)) == len(blocks(made, Table)) == len(page.of("table"))
    assert all(len({len(row) for row in t}) == 1 for t in tables_of(text))
    assert len(page.of("img")) == len(images(made)) and all(i["alt"] for i in page.of("img"))
    words = {t.strip() for t in page.texts}
    assert {"0.500", "too few", "A, switch-v1, switch-known, sampled"} <= words


def test_the_latest_result_of_a_protocol_holds(tmp_path):
    later = synthetic.seen()
    later["plays"]["sampled"]["sets"]["train"]["mean"] = 7.0
    found = sections(tmp_path, synthetic.seen(), later)
    means = [row[4] for row in table(found, "Scores by set").rows]
    assert means == ["7.000", "2.500"]


def test_results_of_protocols_are_no_plain_evaluations(tmp_path):
    run = make_run(tmp_path / "run", ROWS)
    synthetic.save(run, "a", synthetic.seen())
    synthetic.save(run, "b", {"kind": "eval", "rows": [{"label": "x"}]})
    synthetic.save(run, "c", '{"kind": "eval", "protocol": "seen-v1", "plays"')
    found = read_run(run)
    assert [one.name for one in found.evaluations] == ["b"]
    assert [one.name for one in found.protocols] == ["a"]
    assert any("evaluations/c/result.json is damaged" in note for note in found.notes)


@pytest.mark.parametrize(
    "damage",
    [
        {"next_move": {"lines": [{}]}},
        {"calibration": {"types": {"ece": 3}}},
        {"strip": synthetic.strip() | {"truth": [1]}},
        {"strip": synthetic.strip() | {"posterior": [[1.0]]}},
        {"map": synthetic.opponent_map() | {"names": ["a"]}},
        {"grouping": {"model": {"nmi": 1}, "exact filter": None}},
        {"sets": {"train": {"mean": 1.0}}},
        {"curve": {"episodes": [1, 2]}},
        {"switch": {"curve": [3]}},
        {"types": {"model": 3}},
    ],
)
def test_a_damaged_part_is_a_note_and_the_rest_is_shown(damage, tmp_path):
    one = synthetic.seen()
    one["plays"] = {"sampled": one["plays"]["sampled"] | damage}
    found = sections(tmp_path, one)
    notes = [str(b) for s in found for b in s.blocks if type(b).__name__ == "Note"]
    assert notes and all("left out, as the result is damaged" in note for note in notes)
    assert len(blocks(found, Table)) >= 5


def test_a_result_that_knows_nothing_is_reported(tmp_path):
    nothing = dict.fromkeys(("next_move", "types", "goals", "calibration", "grouping", "switch"))
    bare = {"sets": {"self": one_of_nothing()}, "curve": None, "strip": None, "why": {}} | nothing
    found = sections(tmp_path, synthetic.result("selfplay-v1", {"sampled": bare}))
    assert [section.title for section in found] == ["Adaptation"]
    row = table(found, "Scores by set").rows[0]
    assert row[3:] == ("-", "-", "-", "-", "-", "-", "-", "-", "not said")


def one_of_nothing() -> dict[str, Any]:
    return {"mean": None, "low": None, "high": None, "opponents": []}


def test_protocols_of_several_runs_keep_their_names(tmp_path):
    runs = {}
    for i in (0, 2):
        folder = make_run(tmp_path / str(i), ROWS)
        synthetic.save(folder, "x", synthetic.seen())
        runs[i] = read_run(folder)
    assert [p.called for p in protocols_of(runs, {0: "A", 2: "C"})] == ["A, seen-v1", "C, seen-v1"]


def test_the_null_band_is_drawn_in_every_bin_that_is_known(monkeypatch):
    drawn: list[Any] = []
    true = diagrams.Axes.vlines
    spy = lambda self, x, low, high, **how: (
        drawn.append((x.tolist(), low.tolist(), high.tolist())) or true(self, x, low, high, **how)
    )
    monkeypatch.setattr(diagrams.Axes, "vlines", spy)
    at = np.array([np.nan, 0.4, 0.9])
    one = diagrams.Reliability("a", at, at, at - 0.1, at + 0.1, np.array([0.0, 5.0, 9.0]))
    diagrams.reliability([one])
    assert drawn == [([0.4, 0.9], pytest.approx([0.3, 0.8]), pytest.approx([0.5, 1.0]))]
