"""``xplay``: a matrix of known cells, printed whole and kept with its episodes."""

import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest

from counterplay import cli, envs, play, runs
from counterplay.algos import ppo
from counterplay.episodes.files import read_rows
from counterplay.evaluate.disjoint import opponent_digest

PD = "matrix:pd,horizon=4"
NICE, NASTY = "always_cooperate:tremble=0", "always_defect:tremble=0"
KNOWN = [[12.0, 0.0], [20.0, 4.0]]


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path) -> Path:
    """A folder of our own; the devices of this process were chosen when its first test began."""
    monkeypatch.setattr(play, "use_all_cores", lambda game="": None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answer(capsys):
    def ask(command: str) -> dict[str, Any]:
        assert cli.main([*command.split(), "--json"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return json.loads(out, parse_constant=pytest.fail)

    return ask


def write_run(folder: Path, seed: int, match: int = 1) -> str:
    config = ppo.Config(widths=(2,), match=match)
    net = ppo.init_learner(config, envs.make(PD), 1, jr.key(seed)).net
    folder.mkdir(parents=True)
    kinds = [{"name": "self", "members": 1, "seats": [0, 1]}]
    runs.save_config(folder, "ppo", PD, kinds, config)
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], net),))
    return f"run:{folder}"


def means(found: dict[str, Any]) -> list[list[float]]:
    return [[cell["mean"] for cell in row] for row in found["cells"]]


def test_known_cells_are_told_exactly(answer):
    found = answer(f"xplay {NICE} {NASTY} --env {PD} --episodes 6")
    assert found["policies"] == found["given"] == [NICE, NASTY] and found["match"] == 1
    assert means(found) == KNOWN and found["steps"] == 4 * 6 * 4
    for cell in sum(found["cells"], []):  # noqa: RUF017
        assert set(cell) == {"mean", "error", "low", "high", "episodes"}
        assert cell["error"] == 0 and cell["low"] == cell["high"] == cell["mean"]
        assert cell["episodes"] == 6
    assert 0 <= found["compile_seconds"] < found["seconds"]


def test_a_matrix_is_kept_under_runs_with_its_episodes(answer):
    command = f"xplay {NICE} random --env {PD} --episodes 40 --seed 2 --match 2"
    found = answer(command)
    folder = Path(found.pop("saved"))
    assert re.fullmatch(r"runs/xplay-\d{8}-\d{6}-[0-9a-f]{12}", str(folder))
    kept = json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail)
    assert {name: kept[name] for name in found} == found
    assert kept["kind"] == "xplay" and kept["command"][1:] == [*command.split(), "--json"]
    assert (kept["seed"], kept["greedy"], kept["runs"]) == (2, False, [])
    assert kept["opponents"] == {"0": NICE, "1": "random"}
    digests = [opponent_digest(text, "matrix") for text in (NICE, "random:tremble=0.0")]
    assert list(kept["opponent_digests"].values()) == digests and "commit" in kept
    rows = read_rows(folder / "rows.parquet")
    own = np.where(rows["focal"] == 0, rows["return_0"], rows["return_1"])
    for me, line in zip(found["policies"], found["cells"], strict=True):
        for other, cell in zip(found["policies"], line, strict=True):
            mine = own[rows["label"] == f"{me} | {other}"].reshape(-1, 2).mean(1)
            assert mine.mean() == pytest.approx(cell["mean"])
            error = mine.std(ddof=1) / len(mine) ** 0.5
            assert error == pytest.approx(cell["error"], rel=1e-4, abs=1e-6)
            assert cell["high"] - cell["mean"] == pytest.approx(2.093 * error, rel=1e-3, abs=1e-6)


def test_runs_bring_their_game_and_match_and_get_short_names(answer, here):
    one, two = write_run(here / "x/net", 0, match=3), write_run(here / "y/net", 1)
    found = answer(f"xplay grim {one} {two}#0 --episodes 9 --out kept")
    assert (found["env"], found["match"], found["saved"]) == (PD, 3, "kept")
    assert found["policies"] == ["grim", "x/net", "y/net#0"]
    kept = json.loads(Path("kept/result.json").read_text())
    assert kept["runs"] == [f"{here}/x/net", f"{here}/y/net"]
    assert kept["opponents"] == {"0": "grim", "1": one, "2": f"{two}#0"}
    assert list(kept["checkpoints"]) == [one, f"{two}#0"]
    digests = kept["opponent_digests"]
    assert list(digests) == ["0", "1", "2"] and len(set(digests.values())) == 3
    assert all(
        one["steps"] == 0 and len(one["sha256"]) == 64 for one in kept["checkpoints"].values()
    )
    other = answer(f"xplay {one} --env matrix:chicken,horizon=2 --match 1 --episodes 2")
    assert (other["env"], other["match"]) == ("matrix:chicken,horizon=2", 1)


def test_without_a_run_the_game_is_the_stag_hunt(answer):
    found = answer("xplay stay --episodes 4")
    assert found["env"] == "stag_hunt:4x4" and means(found) == [[0.0]]


def test_a_pool_is_its_members_and_a_list_is_one_policy(answer, here):
    (here / "all.txt").write_text(f"{NICE}\n# and\n{NASTY}\n")
    found = answer(f"xplay pool:all.txt --env {PD} --episodes 4")
    assert found["policies"] == [NICE, NASTY] and means(found) == KNOWN
    found = answer(f"xplay {NASTY},{NASTY} grim,pool:all.txt --env {PD} --episodes 4")
    assert found["policies"] == [f"{NASTY},{NASTY}", "grim,pool:all.txt"]
    assert means(found)[0][0] == 4.0


def test_one_policy_named_twice_is_two(answer):
    found = answer(f"xplay {NASTY} {NASTY} --env {PD} --episodes 2")
    assert found["policies"] == [NASTY, f"{NASTY} (2)"] and means(found) == [[4.0, 4.0]] * 2


def test_play_is_drawn_unless_it_is_greedy(answer, here):
    one, two = write_run(here / "a", 0), write_run(here / "b", 1)
    drawn, again, greedy = (
        answer(f"xplay {one} {two} --episodes 64{more}") for more in ("", "", " --greedy")
    )
    assert drawn["cells"] == again["cells"] != greedy["cells"]
    assert all(c["error"] == 0 for row in greedy["cells"] for c in row)


@pytest.mark.parametrize("columns", ["10", "60", "80", "500"])
def test_a_narrow_window_loses_no_cell(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    names = [NICE, NASTY, "grim:tremble=0", "tit_for_tat:tremble=0"]
    command = ["xplay", *names, "--env", PD, "--episodes", "4", "--match", "2"]
    assert cli.main(command) == 0
    out, err = capsys.readouterr()
    assert err == "" and "4 episodes a cell in matches of 2, sampled play, seed 0" in out
    lines = [line for line in out.splitlines() if line.startswith("│")]
    tables = out.count("┏")
    assert {"10": 4, "60": 4, "80": 3, "500": 1}[columns] == tables
    for name in names:
        assert len([line for line in lines if line.startswith(f"│ {name} ")]) == tables
        assert out.count(f"{name} ┃") + out.count(f"┃ {name} ") >= 1
    row = [cell for line in lines if NASTY in line for cell in re.findall(r"[\d.]+ ± [\d.]+", line)]
    assert [cell.split()[0] for cell in row] == ["20.000", "4.000", "6.000", "6.000"]
    assert out.splitlines()[-1].startswith("saved in runs/xplay-")
    if columns == "80":
        widths = [len(line) for line in out.splitlines() if line[:1] in "┏┃┡│└"]
        assert max(widths) <= 80


def test_what_cannot_be_kept_is_printed_all_the_same(here, capsys):
    (here / "file").write_text("")
    command = ["xplay", NASTY, "--env", PD, "--episodes", "2", "--out", "file/deep"]
    assert cli.main(command) == 0
    out, err = capsys.readouterr()
    assert "4.000 ± 0.000" in out and "saved" not in out
    (line,) = err.splitlines()
    assert "the result was not saved: cannot write file/deep: Not a directory" in line
    assert cli.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["saved"] is None


def test_the_heading_says_what_follows_the_sign(tmp_path, capsys):
    command = f"xplay {NASTY} --env {PD} --episodes 4 --out {tmp_path}/a"
    assert cli.main(command.split()) == 0
    assert "± half of the 95% interval" in capsys.readouterr().out


def test_a_single_match_has_no_interval(answer, capsys):
    found = answer(f"xplay {NASTY} --env {PD} --episodes 2 --match 2 --out a")
    (cell,) = found["cells"][0]
    assert cell["episodes"] == 4, "one match in either seat"
    assert cell["low"] == 4.0
