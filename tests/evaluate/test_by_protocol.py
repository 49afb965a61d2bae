"""Protocols: who is met, what is known of them, what is compared with what, and the verb."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from readers import Speaker

from counterplay import cli, envs, play, runs
from counterplay.algos import ppo
from counterplay.episodes.files import read_rows
from counterplay.evaluate import by_protocol, published
from counterplay.evaluate.by_protocol import curves, known_to, returns_of, scored
from counterplay.evaluate.disjoint import opponent_digest
from counterplay.evaluate.protocols import PROTOCOLS, protocol_of, scenario_for
from counterplay.evaluate.published import References
from counterplay.evaluate.scenarios import SCENARIOS
from counterplay.evaluate.watching import watch
from counterplay.opponents.sets import members
from counterplay.pools import roster_of
from counterplay.protocol import _check_sets, plays_of
from counterplay.report.read import read_evaluations
from counterplay.seats import Chair, Kind, Roster, bank

PD = "matrix:pd,horizon=4"
PLAYS = ("sampled", "greedy")
READER = "from readers import reader\n\n\ndef exact(env):\n    return reader(env)\n"


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(play, "use_all_cores", lambda game="": None)


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> tuple[dict[str, Any], Path]:
    """An exact reader, from a file, by two protocols: what is printed, and where it is saved."""
    folder = tmp_path_factory.mktemp("protocols")
    (folder / "exact.py").write_text(READER)
    found = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(found):
        patch.setattr(play, "use_all_cores", lambda game="": None)
        command = f"eval {folder}/exact.py:exact --env {PD} --protocol seen selfplay-v1 --json"
        assert cli.main([*command.split(), "--matches", "12", "--out", str(folder / "out")]) == 0
    return json.loads(found.getvalue()), folder / "out"


def test_each_protocol_is_told_in_the_form_that_is_drawn(asked):
    seen, own = asked[0]["protocols"]
    assert (seen["protocol"], own["protocol"]) == ("seen-v1", "selfplay-v1")
    assert seen["scenario"] is None and seen["env"] == PD and seen["match"] == 1
    assert tuple(seen["plays"]) == PLAYS
    for way in PLAYS:
        one = seen["plays"][way]
        row = one["sets"]["train"]
        assert row["low"] <= row["mean"] <= row["high"] and row["matches"] == 12
        assert row["worst_decile"] <= row["mean"]
        assert row["score"] is None and row["share"] is None and "no scenario" in row["why"]
        assert sum(x["matches"] for x in row["opponents"]) == 12
        assert {x["name"] for x in row["opponents"]} <= set(members("matrix", "train"))
        assert [x["x"] for x in one["curve"]["episodes"]] == [1]
        assert [x["x"] for x in one["curve"]["slots"]] == [0, 1, 2, 3]
        whole = sum(x["mean"] for x in one["curve"]["slots"])
        assert whole == pytest.approx(row["mean"]) == one["curve"]["episodes"][0]["mean"]
        assert abs(one["next_move"]["excess"]["estimate"]) < 1e-4
        assert one["types"]["model"]["nll"]["estimate"] > 0 and one["goals"] is None
        assert len(one["strip"]["posterior"]) == 4 and one["strip"]["source"] == "types"
        mirror = own["plays"][way]
        assert list(mirror["sets"]) == ["self"] and mirror["next_move"] is None
        assert mirror["why"]["next_move"] == "no rules are known here"
    assert json.dumps(asked[0], allow_nan=False)


def test_what_is_saved_is_what_is_printed_and_rows_make_its_means(asked):
    found, folder = asked
    for one in found["protocols"]:
        saved = json.loads((folder / one["protocol"] / "result.json").read_text())
        assert saved["kind"] == "eval" and saved["plays"] == one["plays"]
        assert one["saved"] == str(folder / one["protocol"])
        rows = read_rows(folder / one["protocol"] / "rows.parquet")
        (name,) = one["plays"]["greedy"]["sets"]
        for way in PLAYS:
            here = [label == f"{name}, {way}" for label in rows["label"]]
            mean = np.asarray(rows["return_0"])[here].mean()
            assert mean == pytest.approx(one["plays"][way]["sets"][name]["mean"])
            assert sum(here) == 12 and set(np.asarray(rows["focal"])[here]) == {0}


@pytest.mark.parametrize("policy", ["grim", "pool:train"])
def test_who_sat_there_is_told_by_number_whatever_the_set(tmp_path, policy):
    """Of several sets in one file each row decodes to a rule of the set that its label names."""
    command = f"eval {policy} --env {PD} --protocol unseen seen --matches 24 --out {tmp_path}/out"
    assert cli.main(command.split()) == 0
    mine = {"grim"} if policy == "grim" else set(members("matrix", "train"))
    digests: dict[str, set[str]] = {}
    for name in ("unseen-v1", "seen-v1"):
        result = json.loads((tmp_path / "out" / name / "result.json").read_text())
        rows = read_rows(tmp_path / "out" / name / "rows.parquet")
        who, of = result["opponents"], result["opponent_sets"]
        assert set(who) == set(of) and {"self", *PROTOCOLS[name].sets} == set(of.values())
        met: dict[str, set[str]] = {}
        for label, me, other in zip(
            rows["label"], rows["opponent_id_0"], rows["opponent_id_1"], strict=True
        ):
            assert of[str(me)] == "self" and who[str(me)] in mine
            assert of[str(other)] == label.partition(",")[0]
            met.setdefault(of[str(other)], set()).add(who[str(other)])
        for way in PLAYS:
            for of_set, one in result["plays"][way]["sets"].items():
                assert met[of_set] >= {x["name"] for x in one["opponents"]}
        assert all(each <= set(members("matrix", of_set)) for of_set, each in met.items())
        assert {i for i in who if of[i] != "self"} == set(result["opponent_digests"])
        for i, digest in result["opponent_digests"].items():
            assert digest == opponent_digest(who[i], "matrix")
            digests.setdefault(of[i], set()).add(digest)
    assert set(digests) == {"held-out", "near", "train"}
    assert sum(map(len, digests.values())) == len(set.union(*digests.values()))


def test_every_opponent_is_named_with_its_own_returns(tmp_path):
    """always_cooperate earns what it must against each held-out rule, by the number in the rows."""
    command = f"eval always_defect:tremble=0 --env {PD} --protocol unseen --matches 60"
    assert cli.main([*command.split(), "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out/result.json").read_text())
    rows = read_rows(tmp_path / "out/rows.parquet")
    told = zip(rows["label"], rows["opponent_id_1"], rows["return_0"], strict=True)
    each: dict[tuple[str, str], list[float]] = {}
    for label, other, earned in told:
        each.setdefault((label, result["opponents"][str(other)]), []).append(earned)
    for way, play_ in result["plays"].items():
        for name, one in play_["sets"].items():
            for line in one["opponents"]:
                mine = each[f"{name}, {way}", line["name"]]
                assert len(mine) == line["matches"]
                assert np.mean(mine) == pytest.approx(line["mean"])


def test_a_run_keeps_its_result_and_reports_go_on(tmp_path, capsys):
    game, folder = "matrix:pd,horizon=2", tmp_path / "r1"
    folder.mkdir()
    config = ppo.Config(widths=(2,))
    learner = ppo.init_learner(config, envs.make(game), 1, jax.random.key(0))
    kinds = [{"name": "self", "members": 1, "seats": [0, 1]}]
    runs.save_config(folder, "ppo", game, kinds, config)
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], learner.net),))
    assert cli.main(["eval", str(folder), "--protocol", "selfplay", "--matches", "4"]) == 0
    assert "selfplay-v1 on matrix:pd,horizon=2" in capsys.readouterr().out
    (path,) = folder.glob("evaluations/*-selfplay-v1/result.json")
    saved = json.loads(path.read_text())
    assert saved["checkpoints"][f"run:{folder}"]["steps"] == 0
    assert saved["runs"] == [str(folder.resolve())]
    trained = json.loads((folder / "config.json").read_text())["versions"]
    assert saved["trained_with"] == {str(folder.resolve()): trained} and trained["jax"]
    assert saved["opponents"] == {"0": f"run:{folder}"} and saved["opponent_sets"] == {"0": "self"}
    (read,), notes = read_evaluations(folder)
    assert read.result["protocol"] == "selfplay-v1" and notes == []


def test_the_answer_is_printed_in_tables(asked, capsys):
    from counterplay.protocol import show

    show(asked[0]["protocols"][0])
    told = capsys.readouterr().out
    for text in ("seen-v1 on matrix:pd", "excess NLL", "always_defect", "no adaptation score: "):
        assert text in told
    assert "latest version" not in told
    show(asked[0]["protocols"][0] | {"scenario": "matrix:pd-v1"})
    told = capsys.readouterr().out
    assert "the latest version of this scenario is matrix:pd-v2: --env matrix:pd-v2" in told


def test_a_scenario_may_be_named_in_place_of_its_game(capsys):
    asked = "eval always_defect --protocol seen-v1 --matches 2 --json --env"
    assert cli.main([*asked.split(), "matrix:stag-v2"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["protocols"]
    assert told["scenario"] == "matrix:stag-v2" and told["match"] == 50
    assert told["env"] == "matrix:stag,horizon=2"
    for way in told["plays"].values():  # two matches cannot be with all of them
        (found,) = way["sets"].values()
        assert found["score"] is None and "opponents were met in 2 matches" in found["why"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("eval grim --env matrix:pd --protocol sene-v1", "did you mean 'seen-v1'"),
        ("eval grim --protocol seen-v1", "say which game with --env"),
        ("eval --env matrix:pd --protocol seen-v1", "who plays?"),
        ("eval self --env matrix:pd --protocol seen-v1", "does not train"),
        ("eval grin --env matrix:pd --protocol seen-v1", "did you mean 'grim'"),
        ("eval grim --env matrix:pd --protocol seen-v1 --match 0", "--match must be"),
        ("eval grim --env matrix:pd --protocol seen-v1 --matches 1", "--matches must be"),
        ("eval grim --env race-v2 --protocol seen-v1 --match 3", "race-v2 has matches of 20 epi"),
    ],
)
def test_rude_commands(command, told, capsys):
    assert cli.main(command.split()) == 2
    assert told in capsys.readouterr().err


def test_a_game_without_sets_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"seen-v1 cannot be played: .*has no sets of opponents"):
        _check_sets("jaxmarl:MPE_simple_spread_v3", [PROTOCOLS["seen-v1"]])
    _check_sets("jaxmarl:MPE_simple_spread_v3", [PROTOCOLS["selfplay-v1"]])


def test_protocols_and_scenarios_by_name():
    assert protocol_of("unseen") is PROTOCOLS["unseen-v1"]
    assert scenario_for("race") is SCENARIOS["race-v1"]
    assert scenario_for("race:narrow") is SCENARIOS["race-v2"]
    assert scenario_for("race:narrow", 1) is SCENARIOS["race-once-v1"]
    assert scenario_for("stag_hunt") is SCENARIOS["stag_hunt:4x4-v1"]  # its default preset
    assert scenario_for("race:slack2") is SCENARIOS["race:slack2-v1"]
    other = scenario_for("race,slack=3")
    assert (other.name, other.match, other.reader) == ("", 20, SCENARIOS["race-v1"].reader)
    assert scenario_for("matrix:pd", 3).name == "" and scenario_for("matrix:pd", 3).match == 3
    # versions of a game differ in its settings, too
    assert scenario_for("matrix:pd") is SCENARIOS["matrix:pd-v1"]
    assert scenario_for("matrix:pd,horizon=5") is SCENARIOS["matrix:pd-v2"]
    like = scenario_for("matrix:pd,horizon=6")
    assert (like.name, like.match) == ("", 1)
    assert scenario_for("jaxmarl:MPE_simple_spread_v3").reader == ""
    assert {s for p in PROTOCOLS.values() for s in p.sets} - {"self"} == {
        "train", "held-out", "near", "switch-known", "switch-unknown",
    }  # fmt: skip


def test_switchers_are_known_by_what_they_change_between():
    env = envs.make("matrix:pd")
    scenario = SCENARIOS["matrix:pd-v1"]
    names = [name.partition(":")[0] for name in members("matrix", "train")]
    roster = roster_of(env, {0: "random", 1: "pool:switch-known"})
    _, known = known_to(env, scenario, roster)
    called = {roster.ids[i]: [names[k] for k in of] for i, of in known.types.items() if i}
    for text, modes in called.items():
        assert text.startswith("switch:") and len(modes) == 2
        assert f"first={modes[0]}:" in text and f"then={modes[1]}:" in text
    _, strange = known_to(env, scenario, roster_of(env, {0: "random", 1: "pool:switch-unknown"}))
    assert {k for of in strange.types.values() for k in of} == {-1}
    rules, none = known_to(env, scenario_for("jaxmarl:MPE_simple_spread_v3"), roster)
    assert rules is None and none.names == ()


def test_scores_lie_between_the_references(monkeypatch):
    scenario = SCENARIOS["matrix:pd-v1"]
    score, share, why = scored(scenario, "near", np.ones(4))
    assert score is None and share is None and why

    def given(scenario, name):
        assert name == "train"
        return References(*(np.full(10, x) for x in (0.0, 2.0, 3.0, 4.0)), weak=False)

    monkeypatch.setattr(published, "references", given)
    score, share, why = scored(scenario, "train", np.array([2.0, 3.0, 2.5, 2.5]))
    assert why is None and score is not None and share is not None
    assert score["estimate"] == pytest.approx(0.5) and share["estimate"] == pytest.approx(0.625)
    assert 0 <= score["low"] < 0.5 < score["high"] <= 1
    few = 0.0, 3.9, 4.0, 4.0
    little = lambda *_: References(*(np.full(10, x) for x in few), weak=False)
    monkeypatch.setattr(published, "references", little)
    score, share, why = scored(scenario, "train", np.array([4.0, 4.0]))
    assert score is None and share is not None and why is not None and "below 15%" in why
    none = lambda *_: References(*(np.full(10, x) for x in (4.0, 5.0, 5.0, 4.0)), weak=False)
    monkeypatch.setattr(published, "references", none)
    assert scored(scenario, "train", np.array([4.0, 4.0])) == (
        None, None, "its published oracle earns no more than random moves there",
    )  # fmt: skip


def test_results_name_the_references_that_they_lie_between():
    scenario = SCENARIOS["race-v2"]
    env, size = envs.make(scenario.game), (12, 0, lambda done, total: None, [])
    found = by_protocol.meet(env, scenario, "always_left", "train", "sampled", *size).returns
    assert found["score"] and found["references"] == published.digest(scenario)


def test_who_has_one_way_to_play_is_told_once(capsys):
    words = ["eval", "tit_for_tat", "--env", PD, "--protocol", "seen-v1", "--matches", "12"]
    assert cli.main([*words, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["protocols"]
    assert tuple(found["plays"]) == PLAYS and found["plays"]["sampled"] == found["plays"]["greedy"]
    assert found["plays"]["sampled"]["sets"]["train"]["references"] is None, "it has none"
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    sets = [row[:2] for row in rows if row and row[0] == "train"]
    assert sets == [["train", "either"]]
    names = [row[0] for row in rows if len(row) == 5 and row[2] == "either"]
    assert len(names) == len(set(names)) > 1 and "sampled" not in out and "greedy" not in out
    both = {"sampled": {"a": 1.0}, "greedy": {"a": 2.0}}
    assert plays_of(both) is both and list(plays_of({"greedy": {"a": 1.0}})) == ["greedy"]


def test_curves_by_hand():
    env = envs.make("matrix:pd,horizon=3")
    kinds = (Kind("c", 1, policy=bank([Speaker(0)])), Kind("d", 1, policy=bank([Speaker(1)])))
    roster = Roster(kinds, ((Chair(0, 0), Chair(1, 0)),), ("x",), focal=(1,))
    w = watch(env, roster, 2, 2)  # it defects, the other cooperates: 5 a slot
    assert returns_of(w, 2).tolist() == [[15.0, 15.0]] * 2
    found = curves(w, returns_of(w, 2))
    assert [(p["x"], p["mean"]) for p in found["episodes"]] == [(1, 15.0), (2, 15.0)]
    assert [(p["x"], p["mean"], p["low"]) for p in found["slots"]] == [
        (t, 5.0, 5.0) for t in range(6)
    ]
    rows = by_protocol.EpisodeRows()
    by_protocol.note(rows, roster, w, 2)
    columns = rows.columns()
    assert columns["return_1"].tolist() == [15.0] * 4 and columns["return_0"].tolist() == [0.0] * 4
    assert columns["episode"].tolist() == [0, 1, 0, 1] and set(columns["focal"]) == {1}
