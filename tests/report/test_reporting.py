"""``counterplay report``: from run folders to files, and what it refuses."""

import base64
import io
import json
import os
import re
import shutil
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import ROWS, Strict, make_run, tables_of

from counterplay import cli, play, reporting, verbs
from counterplay.report import build, contents, figures
from counterplay.report.read import CURVES, read_run

PD = "matrix:pd,horizon=4"
TINY = "--lanes 16 --slots 8 --widths 8 --minibatches 2 --steps 1000"
ALL_C, ALL_D = "always_cooperate:tremble=0", "always_defect:tremble=0"
FIGURES = {"return.png", "length.png", "entropy.png", "value-loss.png", "returns.png"}
FIGURES |= {"cross-play.png", "episode-1.gif"}


@pytest.fixture(scope="module", autouse=True)
def quick():
    """One device, as the first test of the process chose, and small pictures."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (verbs, play, reporting):
            patch.setattr(module, "use_all_cores", lambda game="": None)
        patch.setattr(figures, "DOTS_PER_INCH", 40)
        yield


def answer(*command: str) -> dict[str, Any]:
    """What a command prints with --json, numbers only: NaN is no JSON."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert cli.main([*command, "--json"]) == 0
    return json.loads(out.getvalue(), parse_constant=lambda name: pytest.fail(name))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pd") / "run"
    answer(*f"train ppo --env {PD} --seeds 2 {TINY} --out {folder}".split())
    return folder


def test_every_curve_is_of_something_that_training_records(trained):
    line = (trained / "metrics.jsonl").read_text().splitlines()[-1]
    assert set(CURVES) <= set(json.loads(line))


@pytest.fixture(scope="module")
def told(trained) -> dict[str, Any]:
    """The report on one run, in its folder."""
    command = f"report {trained} --against {ALL_C} {ALL_D} --episodes 64"
    return answer(*command.split())


def texts(told: dict[str, Any]) -> tuple[str, str]:
    return Path(told["report"]).read_text(), Path(told["markdown"]).read_text()


def test_a_report_lies_in_the_folder_of_its_run(told, trained):
    assert told["report"] == str(trained / "report" / "report.html")
    assert told["markdown"] == str(trained / "report" / "report.md")
    found = {path.name for path in (trained / "report" / "figures").iterdir()}
    assert found == {*FIGURES, "episode-1.png"}
    assert told["runs"][0] | {"folder": ""} == {
        "label": "ppo", "name": "run", "folder": "", "game": PD,
        "seeds": 2, "steps": 1024, "finished": True,
    }  # fmt: skip
    assert told["notes"] == []


@pytest.fixture(scope="module")
def by_eval(trained, tmp_path_factory) -> list[list[float]]:
    """What ``eval`` measures: the same games and moves, one list a seed."""
    out = tmp_path_factory.mktemp("evaluations")
    command = f"--against {ALL_C} {ALL_D} --episodes 64 --out {out}"
    found = [answer(*f"eval {trained}#{seed} {command}/{seed}".split()) for seed in (0, 1)]
    return [[row["focal_mean"] for row in one["rows"]] for one in found]


def test_returns_are_those_that_eval_measures(told, by_eval):
    for k, row in enumerate(told["returns"]):
        assert row["mean"] == pytest.approx((by_eval[0][k] + by_eval[1][k]) / 2)
        assert row["low"] <= row["mean"] <= row["high"] and row["over"] == "2 seeds"


def test_every_table_is_in_both_files_with_the_same_numbers(told, by_eval):
    page, markdown = texts(told)
    tables = tables_of(markdown)
    parsed = Strict(page)
    assert len(tables) == len(parsed.of("table")) == 6
    words = {text.strip() for text in parsed.texts}
    for table in tables:
        assert len(table) > 1 and len({len(row) for row in table}) == 1
        for cell in (cell for row in table for cell in row):
            assert cell in words or not cell
    returns, robust = (table for table in tables if table[0][0] == "against")
    said = [f"{row['iqm']:,.3f}" for row in told["returns"]]
    assert [row[1] for row in robust[1:3]] == said and said == [row[1] for row in returns[1:3]]
    assert robust[0][2] == "ppo, 95% over 2 seeds, and matches"
    told_means = [f"{row['mean']:,.3f}" for row in told["returns"]]
    assert [row[1] for row in returns[1:3]] == told_means
    cross = next(table for table in tables if table[0][0] == "who earns")
    assert [row[0] for row in cross[1:]] == ["ppo #0", "ppo #1", ALL_C, ALL_D]
    by_seed = [[cell.split()[0] for cell in row[3:]] for row in cross[1:3]]
    assert by_seed == [[f"{mean:.3f}" for mean in one] for one in by_eval]


def test_the_page_needs_nothing_beside_it(told):
    page, markdown = texts(told)
    parsed = Strict(page)
    references = parsed.references()
    assert references and all(r.startswith(("data:image/", "#")) for r in references)
    inside = [base64.b64decode(r.partition(",")[2]) for r in references if r.startswith("data:")]
    folder = Path(told["report"]).parent / "figures"
    for name in FIGURES:
        assert (folder / name).read_bytes() in inside
        assert f"(figures/{name})" in markdown
    assert len(parsed.of("img")) == len(FIGURES) + 1 and all(i["alt"] for i in parsed.of("img"))


def test_the_same_report_is_the_same_apart_from_its_date(told, trained):
    before = [re.sub(r"written [\d:\- ]+", "", text) for text in texts(told)]
    command = f"report {trained} --against {ALL_C} {ALL_D} --episodes 64"
    again = answer(*command.split())
    assert before == [re.sub(r"written [\d:\- ]+", "", text) for text in texts(again)]


def test_returns_are_written_in_the_layout_of_marl_eval_too(trained, by_eval, told, tmp_path):
    path = tmp_path / "new" / "returns.json"
    command = f"report {trained} --against {ALL_C} {ALL_D} --episodes 64 --out {tmp_path / 'r'}"
    row = answer(*command.split(), "--marl-eval", str(path))
    assert row["marl_eval"] == str(path) and row["returns"] == told["returns"]
    tree = json.loads(path.read_text())
    assert list(tree) == [PD] and list(tree[PD]) == [ALL_C, ALL_D]
    for k, task in enumerate((ALL_C, ALL_D)):
        assert list(tree[PD][task]) == ["ppo"]
        by_seed = tree[PD][task]["ppo"]
        assert list(by_seed) == ["seed_0", "seed_1"]
        for i, steps in enumerate(by_seed.values()):
            assert steps["step_0"] == {"step_count": 1024} | steps["absolute_metrics"]
            (numbers,) = steps["absolute_metrics"].values()
            assert list(steps["absolute_metrics"]) == ["return"] and len(numbers) > 1
            assert sum(numbers) / len(numbers) == pytest.approx(by_eval[i][k])


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("", "--marl-eval wants a name, found an empty one"),
        (".", "--marl-eval wants the name of a file, found '.'"),
    ],
)
def test_a_place_that_is_no_file_for_marl_eval_is_refused_before_anything_is_played(
    where, said, trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(build, "measure_all", lambda *args: pytest.fail("it was measured"))
    words = ["report", str(trained), "--out", str(tmp_path / "r"), "--marl-eval", where]
    assert cli.main(words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_runs_that_marl_eval_could_not_compare_are_refused(trained, tmp_path, capsys):
    other = make_run(tmp_path / "other", ROWS, seeds=3)
    words = ["report", str(trained), str(other), "--out", str(tmp_path / "r")]
    assert cli.main([*words, "--marl-eval", str(tmp_path / "returns.json")]) == 2
    said = capsys.readouterr().err
    assert "run: 2 seeds, 1,024 steps, other: 3 seeds, 30 steps" in said
    assert not (tmp_path / "returns.json").exists()


@pytest.fixture(scope="module")
def two(trained, tmp_path_factory) -> tuple[str, str, Path]:
    """A finished run, and one of another discount that was killed while it wrote a line."""
    other = tmp_path_factory.mktemp("pd") / "<script>alert(1)<"
    shutil.copytree(trained, other, ignore=shutil.ignore_patterns("report"))
    config = json.loads((other / "config.json").read_text())
    config["config"]["gamma"] = 0.5
    config |= {"created": "<b>", "device": "abacus"}
    del config["devices"]
    config["command"] = ["/bin/counterplay", "train", "ppo", "--out", "a b"]
    (other / "config.json").write_text(json.dumps(config))
    lines = (other / "metrics.jsonl").read_text().splitlines()[:3]
    rows = [json.loads(line) | {"seconds": 600.0 * (k + 1)} for k, line in enumerate(lines)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (other / "metrics.jsonl").write_text(text + '{"steps": 5')
    row = {"label": "<i>grim</i>", "episodes": 77, "focal_mean": 1.25, "focal_error": 0.5}
    result = {"kind": "eval", "env": PD, "rows": [row | {"low": 0.25, "high": 2.25, "length": 4}]}
    result |= {"checkpoints": {"run:x": {"steps": 384, "sha256": "ab"}}}
    (other / "evaluations" / "x").mkdir(parents=True)
    (other / "evaluations" / "x" / "result.json").write_text(json.dumps(result))
    out = tmp_path_factory.mktemp("report") / "two"
    command = ["report", str(trained), str(other), "--out", str(out), "--against", ALL_D]
    return *texts(answer(*command, "--episodes", "16")), other


def test_two_runs_share_their_figures_and_tables(two):
    page, markdown, other = two
    assert page.count("<script") == 0 and "&lt;script&gt;" in page
    assert f"# Report on 2 runs\n\n{PD}; written " in markdown
    tables = tables_of(markdown)
    (glance,) = [t for t in tables if t[0][0] == "fact"]
    assert glance[0] == ["fact", "A: run", f"B: {other.name}"]
    facts = {row[0]: row[1:] for row in glance[1:]}
    assert facts["state"] == ["finished", "unfinished"]
    assert facts["steps of each seed"] == ["1,024", "384"]
    assert facts["seeds"] == ["2 (preliminary)"] * 2
    assert len(Strict(page).of("img")) == 6 + 2 * 2


def test_two_runs_of_the_same_seeds_are_tested_in_pairs(two):
    """The same networks: no difference, and of two pairs every flip is as far."""
    _, markdown, _ = two
    (pairs,) = [t for t in tables_of(markdown) if t[0][0] == "runs"]
    assert pairs[1:] == [["A - B", ALL_D, "0.000", "1.000 (preliminary)", "2"]]


def test_what_differs_between_runs_is_marked(two):
    _, markdown, _ = two
    (settings,) = [t for t in tables_of(markdown) if t[0][0] == "setting"]
    marked = [row for row in settings if row[0].startswith("≠")]
    assert marked == [["≠ gamma", "0.99", "0.5"]]
    assert ["steps", "1000", "1000"] in settings and ["game", PD, PD] in settings


def test_old_runs_say_what_they_do_not_record(two):
    _, markdown, _ = two
    (machine,) = [t for t in tables_of(markdown) if t[0][0] == "what"]
    rows = {row[0]: row[1:] for row in machine}
    assert rows["≠ created"][1] == "<b>" and rows["≠ devices"][1] == "not recorded"
    assert rows["≠ device"][1] == "abacus" and rows["≠ wall time, s"][1] == "1,800.0"
    assert rows["≠ steps/s of all seeds"][1] == "0", "2 x 384 / 1800"
    assert "\ncounterplay train ppo --out 'a b'\n" in markdown
    assert f"--against {ALL_D} --episodes 16 --json\n" in markdown


def test_what_a_reader_must_not_miss_stands_on_top(two):
    page, markdown, _ = two
    notes = [line for line in markdown.splitlines() if line.startswith("> **Note**")]
    assert len(notes) == page.count('class="note"') == 4
    assert "A: run is preliminary: 2 seeds; 10 are the least" in notes[0]
    assert "is unfinished: 384 of 1,000 steps of each seed." in notes[2]
    assert "the last line of metrics.jsonl is damaged" in notes[3]
    assert markdown.index(notes[3]) < markdown.index("## Learning")


def test_stored_evaluations_are_shown_as_they_are(two):
    _, markdown, _ = two
    (stored,) = [t for t in tables_of(markdown) if "episodes" in t[0]]
    assert stored[1:] == [["<i>grim</i>", "77", "1.250", "0.500", "0.250", "2.250", "4.000"]]
    assert "not recorded; checkpoint of step 384" in markdown


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"run:a": {"steps": 7}, "run:b@5": {"steps": 5}}, "of run:a: step 7, of run:b@5: step 5"),
        ({}, "not recorded"),
        (None, "not recorded"),
        ({"run:a": 3, "run:b": {}}, "not recorded"),
        ([1], "not recorded"),
    ],
)
def test_which_checkpoint_a_stored_evaluation_is_of(found, said, tmp_path):
    folder = make_run(tmp_path / "a", ROWS)
    (folder / "evaluations" / "x").mkdir(parents=True)
    result = {"kind": "eval", "rows": [{"label": ""}], "checkpoints": found}
    (folder / "evaluations" / "x" / "result.json").write_text(json.dumps(result))
    section = contents.stored([read_run(folder)])
    assert section is not None and section.blocks[0].caption.endswith(f"checkpoint {said}")  # pyright: ignore


def test_one_seed_has_no_interval_and_a_bare_run_is_still_reported(tmp_path, capsys):
    """Four keys in config.json, no checkpoint: nobody can play, and the rest is there."""
    rows = [row | {"return": row["return"][1:], "length": [4], "entropy": [0.5]} for row in ROWS]
    folder = make_run(tmp_path / "old", rows, 1, config={"steps": 99})
    assert cli.main(["report", str(folder), "--episodes", "4"]) == 0
    assert "note: old: returns left out: " in capsys.readouterr().out
    page, markdown = (folder / "report" / name for name in ("report.html", "report.md"))
    assert "there is no band for old" in markdown.read_text()
    assert "one seed has no interval; 10 are the least" in markdown.read_text()
    assert "old is unfinished: 30 of 99 steps" in markdown.read_text()
    assert len(Strict(page.read_text()).of("figure")) == 3


def test_runs_of_two_games_have_sections_of_their_own(tmp_path):
    other = make_run(tmp_path / "b", ROWS, env="no_game:here")
    folders = [make_run(tmp_path / "a", ROWS), other]
    told = answer("report", *map(str, folders), "--out", str(tmp_path / "out"))
    _, markdown = texts(told)
    for name in (PD, "no_game:here"):
        assert f"\n## Learning: {name}\n" in markdown
    assert any("no_game:here cannot be played here: unknown game" in n for n in told["notes"])
    found = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert found == {f"{m}-{k}.png" for m in ("return", "length", "entropy") for k in (1, 2)}


def test_a_run_without_a_metric_keeps_its_place_in_the_figure(tmp_path):
    rows = [{name: row[name] for name in ("steps", "length")} for row in ROWS]
    folders = [make_run(tmp_path / "a", rows), make_run(tmp_path / "b", ROWS)]
    _, markdown = texts(answer("report", *map(str, folders), "--out", str(tmp_path / "out")))
    (alt,) = re.findall(r"!\[(Learning curve of return.*?)\]\(", markdown)
    said = "A: a (not recorded). B: b: from 2.000 to 4.000."
    assert alt == f"Learning curve of return. {said}"


def test_several_runs_are_reported_in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        make_run(tmp_path / name, ROWS)
    places = [answer("report", "a", "b")["report"] for _ in range(2)]
    assert len(set(places)) == 2
    assert all(re.fullmatch(r"runs/report-\d{8}-\d{6}-\w{12}/report\.html", p) for p in places)


@pytest.mark.parametrize(
    ("games", "told"), [(["a:b", "a:b"], "a:b"), (["a:b", "c:d"], ""), (["a:b"], "a:b")]
)
def test_devices_are_chosen_for_the_game_that_all_runs_have(games, told, tmp_path, monkeypatch):
    """A game in ordinary Python is slow on several devices."""
    folders = [make_run(tmp_path / str(k), ROWS, env=game) for k, game in enumerate(games)]
    heard: list[str] = []
    monkeypatch.setattr(reporting, "use_all_cores", heard.append)
    answer("report", *map(str, folders), "--out", str(tmp_path / "out"))
    assert heard == [told]


@pytest.fixture
def no_work(monkeypatch):
    monkeypatch.setattr(build, "measure_all", lambda *args: pytest.fail("it went on to play"))


@pytest.mark.parametrize("where", ["file", "file/below", "forbidden"])
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    where, tmp_path, monkeypatch, capsys, no_work
):
    folder = make_run(tmp_path / "mine", ROWS)
    (tmp_path / "file").write_text("")
    if where == "forbidden":  # by rights a folder of mode 555, but nothing stops root from writing
        (tmp_path / where).mkdir(mode=0o555)
        monkeypatch.setattr(tempfile, "TemporaryFile", _denied)
    assert cli.main(["report", str(folder), "--out", str(tmp_path / where)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"counterplay: cannot write the report to {tmp_path / where}: ")


def _denied(**settings: Any) -> Any:
    raise PermissionError(13, os.strerror(13))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("--against grimm", "unknown rule for matrix 'grimm' (did you mean 'grim'?)"),
        ("--against self", "--against self: it learns, and a report does not train"),
        ("--against run:nowhere", "nowhere is no run folder"),
        ("mine", "mine is given twice"),
    ],
)
def test_a_mistake_leaves_nothing_behind(more, sentence, tmp_path, monkeypatch, capsys, no_work):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "mine", ROWS)
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["report", "mine", *more.split()]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert sorted(tmp_path.rglob("*")) == before
