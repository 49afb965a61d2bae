"""The command line: quick, free of JAX until it is needed, and plain about every mistake."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from counterplay import __version__, bench, cli
from counterplay.errors import GameError

LIGHT: dict[str, int] = {
    "": 0,
    "--help": 0,
    "--version": 0,
    "list": 0,
    "list --json": 0,
    "doctor": 0,
    "doctor --json": 0,
    "train": 2,
    "train --help": 0,
    "eval --help": 0,
    "xplay": 2,
    "xplay --help": 0,
    "data": 2,
    "data --help": 0,
    "data describe --help": 0,
    "data descrbe runs/mine": 2,
    "data describe": 2,
    "data describe nowhere": 2,
    "data describe pyproject.toml": 2,
    "data convert nowhere all.npz": 2,
    "data convert only.npz": 2,
    "report": 2,
    "report --help": 0,
    "demo --help": 0,
    "bench": 2,
    "bench --help": 0,
    "bench rules --help": 0,
    "bench xplay --help": 0,
    "tarin": 2,
    "list --jsn": 2,
    "train pp0": 2,
    "bench selfpaly": 2,
    "bench rules --episodez 4": 2,
    "demo --sed 1": 2,
    "eval --sed 1": 2,
    "report --sed 1": 2,
    "report nowhere": 2,
    "train ppo --env stag_hnt": 2,
    "train ppo --env=matrix:pdd": 2,
    "train ppo --seat 0=self --seat 1..3=randm": 2,
    "train ppo --env matrix:pd --against grimm": 2,
    "eval --env matrix:pdd --seat 0..1=grim": 2,
    "eval --env matrix:pd --seat 0..1=grimm:tremble=0": 2,
    "xplay grim": 2,
    "xplay stay randm": 2,
    "xplay stay,randm": 2,
    "xplay stay pool:nowhere": 2,
    "xplay grim self --env matrix:pd": 2,
    "xplay grim,own --env matrix:pd": 2,
    "xplay grim --env matrix:pdd": 2,
}
"""Commands that are answered without JAX, and the exit status of each."""


def test_the_line_of_bench_does_not_list_some_and_leave_out_others():
    words = set(cli.VERBS["bench"][1].replace(",", " ").split())
    assert not (words & set(bench.BENCHES) - {"figures"}), "the list is that of bench --help"


MISTAKES: tuple[tuple[str, str], ...] = (
    ("tarin ppo", "unknown verb 'tarin' (did you mean 'train'?); expected one of: train, eval"),
    ("train pp0", "unknown algorithm 'pp0' (did you mean 'ppo'?)"),
    ("train ppo --step 100", "'--step' (did you mean '--steps'?)"),
    ("train ppo --evn matrix:pd --seat 1=grim", "'--evn' (did you mean '--env'?)"),
    ("train ppo --seat 0=self 1..3=stay", "did you mean --seat 1..3=stay?"),
    ("eval --seat 0..1=stay 2..3=stay", "did you mean --seat 2..3=stay?"),
    ("train ppo --steps 1e6", "--steps wants a whole number, found '1e6' (did you mean 1000000?)"),
    ("train ppo --json extra", "'extra' belongs to no setting; --json takes no value"),
    ("train ppo -x", "'-x' belongs to no setting; expected settings that start with --"),
    ("train ppo --no-steps", "unknown setting of train ppo '--no-steps'"),
    ("train ppo --keep 0", "--keep must be at least 1, found 0"),
    ("train ppo --resume=", "--resume wants a name, found an empty one"),
    ("eval runs/x --against -x", "found '-x', which looks like a setting"),
    ("demo --seconds inf", "--seconds must be positive, found inf"),
    ("train ppo --env-timeout -1", "--env-timeout must be 0 to 1,000,000 s, found -1.0"),
    ("eval --seat 0..3=stay --env-timeout inf", "must be 0 to 1,000,000 s, found inf"),
    ("train ppo --on-env-error retry", "--on-env-error wants one of stop, restart, found 'retry'"),
    ("bench cartpole --seeds 0", "--seeds must be at least 1, found 0"),
    ("bench selfplay --steps 0", "--steps must be at least 1, found 0"),
    ("train ppo --lanes 0", "lanes must be at least 1, found 0"),
    ("train ppo --widths 8 0", "widths must be at least 1 each, found (8, 0)"),
    ("train ppo --gamma 1.5", "gamma must be 0 to 1, found 1.5"),
    ("train ppo --learning-rate -1", "learning_rate must be positive, found -1.0"),
    ("train ppo --learning-rate nan", "--learning-rate wants a number, found 'nan'"),
    ("train ppo --clip 0", "clip must be positive, found 0.0"),
    ("train ppo --seed 99999999999", "must be at most 2,147,483,647, found 99999999999"),
    ("train ppo --env", "--env wants a name, found nothing"),
    ("train ppo --env stag_hnt", "unknown game 'stag_hnt' (did you mean 'stag_hunt'?)"),
    ("train ppo --env matrix:chiken", "'chiken' (did you mean 'chicken'?); expected one of: pd"),
    ("train ppo --env matrix:", "unknown preset of matrix ''"),
    ("train ppo --env stag_hunt:4x4,veiw=1", "'veiw' (did you mean 'view'?)"),
    ("train ppo --env stag_hunt:4x4,view=two", "'view' wants a whole number, found 'two'"),
    ("train ppo --env stag_hunt:4x4,view=1,view=1", "setting 'view' is given twice"),
    ("train ppo --env stag_hunt:4x4,hares=99", "100 prey need a free cell each, found 16 free"),
    ("train ppo --env gymnasium:CartPol-v1", "did you mean 'CartPole-v1'"),
    ("train ppo --env nowhere.py:Game", "no file 'nowhere.py' to load a game from"),
    ("train ppo --env broken.py:Game", "broken.py cannot be imported: SyntaxError"),
    ("train ppo --env faulty.py:Boom", "faulty.py:Boom cannot be made with no settings: OSError"),
    ("train ppo --seat 0=self", "nobody sits at 1, 2, 3: give every seat a --seat"),
    ("train ppo --seat 0..4=self", "the game has seats 0 to 3, found seat 4"),
    ("train ppo --seat 0..3=self --seat 3=random", "seat 3 is taken by 'self' already"),
    ("train ppo --seat 0-3=self", "expected SEAT=WHO or FIRST..LAST=WHO"),
    ("train ppo --seat 0..3=random", "nobody learns: put self or own in a seat"),
    ("train ppo --seat 0=slef --seat 1..3=stay", "unknown policy 'slef' (did you mean 'self'?)"),
    ("train ppo --seat 0=self --seat 1..3=randm", "'randm' (did you mean 'random'?)"),
    ("train ppo --seat 0..2=self --seat 3=stay:trembel=0", "'trembel' (did you mean 'tremble'?)"),
    ("train ppo --seat 0..2=self --seat 3=stay:tremble=2", "tremble is a probability, 0 to 1"),
    ("train ppo --seat 0..2=self --seat 3=self,stay", "'self' learns and cannot share a seat"),
    ("train ppo --seat 0..2=self --seat 3=pool:none", "pool: no file 'none'"),
    ("train ppo --seat 0..2=self --seat 3=run:", "run: wants a run folder"),
    ("train ppo --seat 0..2=self --seat 3=faulty.py:Boom", "cannot be made: OSError: no luck"),
    ("train ppo --seat 0..2=self --seat 3=broken.py:Bot", "cannot be imported: SyntaxError"),
    ("train ppo --env matrix:rps --against grim", "so it plays games of two actions"),
    ("train ppo --against", "--against wants the names of those who fill the other seats"),
    ("train ppo --seat 0=self --against stay", "give --seat or --against, not both"),
    ("train ppo --out=", "--out wants the name of a folder"),
    ("train ppo --out faulty.py", "cannot make the run folder faulty.py: File exists"),
    ("train ppo extra", "'extra' belongs to no setting; expected settings such as --seed 1"),
    ("eval", "who plays? give a run folder with --against, or a --seat for every seat"),
    ("eval nowhere --against stay", "nowhere is no run folder: expected nowhere/config.json"),
    ("eval broken --against stay", "broken/config.json is damaged"),
    ("eval --against stay", "--against wants a run folder"),
    ("eval grim --seat 0..3=stay", "grim would not play: name it in a seat, as --seat 0=grim"),
    ("eval broken --seat 0..3=stay", "broken would not play: name it in a seat, as --seat 0=run:b"),
    ("eval run:nowhere", "nowhere is no run folder: expected nowhere/config.json"),
    ("eval --seat 0..1=run:nowhere", "nowhere is no run folder"),
    ("eval --seat 0..1=grim,run:broken", "broken/config.json is damaged"),
    ("eval --seat 0..3=self", "self and own learn, and eval does not train"),
    ("eval --seat 0..3=stay --episodes 0", "episodes must be at least 1, found 0"),
    ("eval --seat 0..3=stay --match 0", "match must be at least 1 episode, found 0"),
    ("eval --seat 0..3=stay --seed -1", "seed must be 0 to 2147483647, found -1"),
    ("eval --seat 0..3=stay --gredy", "'--gredy' (did you mean '--greedy'?)"),
    ("eval --seat 0..3=stay --out=", "--out wants the name of a folder, found an empty one"),
    ("eval --seat 0..3=stay --out faulty.py", "a folder, and faulty.py is a file"),
    ("eval --seat 0..3=stay --out done", "--out done: a result is there already"),
    ("xplay", "who plays? name one policy or more"),
    ("xplay grim", "unknown rule for stag_hunt 'grim'"),
    ("xplay stay randm", "unknown rule for stag_hunt 'randm' (did you mean 'random'?)"),
    ("xplay stay random,nearest_stagg", "(did you mean 'nearest_stag'?)"),
    ("xplay stay self", "self learns, and xplay does not train"),
    ("xplay stay random,own", "own learns, and xplay does not train"),
    ("xplay stay slef", "unknown policy 'slef' (did you mean 'self'?)"),
    ("xplay pool:none", "pool: no file 'none'"),
    ("xplay learning.txt", "unknown rule for stag_hunt 'learning.txt'"),
    ("xplay pool:learning.txt", "self learns, and xplay does not train"),
    ("xplay run:nowhere", "nowhere is no run folder"),
    ("xplay broken", "broken is a run folder: among policies it is named run:broken"),
    ("xplay run:broken stay", "broken/config.json is damaged"),
    ("xplay nowhere.py:Bot", "no file 'nowhere.py'"),
    ("xplay stay --episodes 0", "episodes must be at least 1, found 0"),
    ("xplay stay --match 0", "match must be at least 1 episode, found 0"),
    ("xplay stay --seed -1", "seed must be 0 to 2147483647, found -1"),
    ("xplay stay --out done", "--out done: a result is there already"),
    ("xplay stay --against random", "unknown setting of xplay '--against'"),
    ("bench xplay --policies 0", "policies must be at least 1, found 0"),
    ("report", "report on what? give one run folder or several: counterplay report RUN"),
    ("report nowhere", "nowhere is no run folder: expected nowhere/config.json"),
    ("report broken", "broken/config.json is damaged"),
    ("report broken --episodes 0", "episodes must be at least 1, found 0"),
    ("report broken --seed -1", "seed must be 0 to 2147483647, found -1"),
    ("report broken --out=", "--out wants the name of a folder"),
    ("report broken --against", "--against wants the names of those who fill the other seats"),
    ("report broken --episodez 1", "'--episodez' (did you mean '--episodes'?)"),
    ("bench selfpaly", "unknown benchmark 'selfpaly' (did you mean 'selfplay'?)"),
    ("bench step --lanes 0", "lanes, slots and rounds must be at least 1, found 0, 16, 101"),
    ("bench host --copies 0", "copies and seconds must be positive"),
    ("demo --sed 1", "'--sed' (did you mean '--seed'?)"),
    ("list --jsn", "'--jsn' (did you mean '--json'?)"),
    ("doctor jason", "unknown setting of doctor 'jason' (did you mean '--json'?)"),
)


def run(*command: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, text=True, capture_output=True, timeout=120, **settings)


@pytest.fixture
def no_work(monkeypatch, tmp_path):
    """Refuses to compile or play, in a folder with a broken file and a broken run."""
    (tmp_path / "broken.py").write_text("class Bot(:\n")
    (tmp_path / "faulty.py").write_text("def Boom():\n    raise OSError('no luck')\n")
    (tmp_path / "learning.txt").write_text("stay\nself\n")
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "result.json").write_text("{}")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"env": ')
    monkeypatch.chdir(tmp_path)

    def compiles(*args, **settings):
        pytest.fail("it went on to compile or to play")

    for place in ("algos.loops.train_jitted", "algos.loops.train_hosted"):
        monkeypatch.setattr(f"counterplay.{place}", compiles)
    for place in (
        "evaluate.returns.spread_over",
        "evaluate.hosted.open_host",
        "bench.step.measure",
    ):
        monkeypatch.setattr(f"counterplay.{place}", compiles)
    for module in ("verbs", "play", "reporting", "demo", "bench.learning"):
        monkeypatch.setattr(f"counterplay.{module}.use_all_cores", lambda game="": None)
    return tmp_path


def status(command: str) -> Any:
    """The exit status of a command, run in this process."""
    try:
        return cli.main(command.split())
    except SystemExit as end:  # the reader of settings ends the program itself
        return end.code


@pytest.mark.parametrize(("command", "sentence"), MISTAKES, ids=[c for c, _ in MISTAKES])
def test_a_mistake_is_named_before_anything_is_done(command, sentence, no_work, capsys):
    before = sorted(no_work.rglob("*"))
    assert status(command) == 2
    out, err = capsys.readouterr()
    said = " ".join(err.split())
    assert sentence in said
    assert out == "" and "Traceback" not in err
    left = [path for path in sorted(no_work.rglob("*")) if "__pycache__" not in path.parts]
    assert left == before, "something was left behind"


@pytest.fixture(scope="module")
def light() -> dict[str, dict[str, Any]]:
    """What each light command gave, and whether JAX or a game was loaded by then."""
    program = (
        "import contextlib, io, json, sys\n"
        "from counterplay.cli import main\n"
        "for command in json.loads(sys.argv[1]):\n"
        "    out, err = io.StringIO(), io.StringIO()\n"
        "    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):\n"
        "        try:\n"
        "            code = main(command.split())\n"
        "        except SystemExit as end:\n"
        "            code = end.code\n"
        "    heavy = sorted({'jax', 'equinox', 'gymnasium', 'matplotlib'} & set(sys.modules))\n"
        "    row = {'code': code, 'heavy': heavy, 'out': out.getvalue(), 'err': err.getvalue()}\n"
        "    print(json.dumps([command, row]))\n"
    )
    done = run(sys.executable, "-c", program, json.dumps(list(LIGHT)))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", LIGHT)
def test_what_needs_no_jax_does_not_load_it(command, light):
    row = light[command]
    assert row["code"] == LIGHT[command]
    assert row["heavy"] == []
    assert bool(row["out"]) == (row["code"] == 0 or command in ("train", "bench"))
    assert "Traceback" not in row["err"]


def test_help_is_quick():
    """In processor time: a busy machine lengthens only that on the wall."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run(sys.executable, "-m", "counterplay.cli", "--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert median(seconds) < 0.3


@pytest.mark.parametrize("verb", ["list", "doctor", "--help"])
def test_a_reader_that_leaves_early_is_no_error(verb):
    """As in ``counterplay list | head -1``, with a head that has left before the first line."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "counterplay.cli", verb]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_installed_command_is_this_one():
    script = Path(sys.executable).with_name("counterplay")
    if not script.exists():
        pytest.skip("counterplay is not installed as a command here")
    done = run(str(script), "--version")
    assert (done.returncode, done.stdout.strip()) == (0, __version__)


def test_help_names_every_verb_and_nothing_else(capsys):
    assert cli.main(["--help"]) == 0
    verbs = capsys.readouterr().out.partition("\n\n")[2].partition("settings]\n\n")[2]
    listed = [line.split()[0] for line in verbs.partition("\n\n")[0].splitlines()]
    assert listed == list(cli.VERBS)


@pytest.mark.parametrize(
    "verb", ["train", "train ppo", "eval", "xplay", "report", "demo", "list", "doctor", "bench"]
)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_verb_explains_itself(verb, flag, no_work, capsys):
    assert status(f"{verb} {flag}") == 0
    out, err = capsys.readouterr()
    assert f"usage: counterplay {verb.split()[0]}" in out and err == ""


def test_help_on_training_tells_who_may_learn(no_work, capsys):
    assert status("train ppo --help") == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "self is one learner for all such seats, own an independent one" in said


def test_every_benchmark_explains_itself(no_work, capsys):
    for name in bench.BENCHES:
        assert status(f"bench {name} --help") == 0
        assert f"counterplay bench {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("no such thing"), 2, "counterplay: no such thing\n"),
        (GameError("lane 3 broke"), 1, "counterplay: lane 3 broke\n"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (MemoryError("cannot hold it"), 1, "cannot hold it"),
        (KeyboardInterrupt(), 130, "counterplay: interrupted\n"),
    ],
)
def test_the_exit_status_tells_whose_fault_it_was(error, code, said, monkeypatch, capsys):
    def fails(args: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "show_list", fails)
    assert cli.main(["list"]) == code
    assert said in capsys.readouterr().err


def test_a_fault_of_the_program_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "show_list", lambda args: {}["gone"])
    with pytest.raises(KeyError):
        cli.main(["list"])
