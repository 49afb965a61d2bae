"""The command line. This file imports no JAX: a verb's module does, once its name is known."""

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module, metadata
from importlib.util import find_spec

from counterplay import __version__, algos, envs, opponents
from counterplay.errors import GameError, JobError, LearningError, SaveError
from counterplay.names import unknown
from counterplay.terminal import flush, prepare, say

VERBS: dict[str, tuple[str, str]] = {
    "train": ("counterplay.verbs:train", "train agents: counterplay train ppo --env stag_hunt:4x4"),
    "eval": ("counterplay.play:evaluate", "let any policies play and print what they earn"),
    "xplay": ("counterplay.xplay:main", "let everyone play with everyone: a matrix of returns"),
    "exploit": (
        "counterplay.exploit:main",
        "train a best response against a run: how exploitable it is",
    ),
    "data": (
        "counterplay.data:main",
        "describe the episodes of a run or a file, and convert between them",
    ),
    "report": (
        "counterplay.reporting:report",
        "write a page on runs: curves, returns per opponent, cross-play, an episode",
    ),
    "population": (
        "counterplay.population:main",
        "train opponents and split them into pools: population make --help",
    ),
    "study": (
        "counterplay.studies:main",
        "answer a question by a program: study --help",
    ),
    "headroom": (
        "counterplay.headroom:main",
        "measure what knowing the others is worth in a scenario",
    ),
    "bench": (
        "counterplay.bench:main",
        "measure the documentation's figures; bench --help lists them",
    ),
    "demo": ("counterplay.demo:main", "train, compare and draw two small agents in three minutes"),
    "list": ("counterplay.cli:show_list", "the games, rules and algorithms there are"),
    "doctor": ("counterplay.cli:doctor", "what is installed, and what is missing"),
}

HELP = """\
counterplay {version}: know who you are playing against, and plan with it.

usage: counterplay VERB [settings]

{verbs}

Every verb has --help, and --json for programs. Who sits where:
  --seat 0=self --seat 1..3=random    seats count from 0; ranges include both ends
  --against nearest_stag random       each in turn fills every other seat
A seat holds a rule's name, run:FOLDER, pool:FILE, pool:train (or validation, near, held-out: sets
of the game's rules), path/to/file.py:Name, roshambo:NAME, openspiel:cfr, self (one learner for all
such seats) or own (an independent learner); a comma list deals several.
  eval runs/mine --protocol seen-v1   matches against such sets
COUNTERPLAY_TRACEBACK=1 in the environment shows where an error came from.
"""

INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; 0 when it went well, 2 for a mistake in the command, 1 otherwise."""
    prepare()
    args = sys.argv[1:] if argv is None else argv
    code = _status(lambda: _dispatch(args))
    ended = _status(flush)
    return code or ended


def _status(work: Callable[[], int | None]) -> int:
    """The exit status of some work; what went wrong is told in one paragraph."""
    try:
        return work() or 0
    except SystemExit as end:  # tyro, after --help
        return end.code if isinstance(end.code, int) else 0
    except BrokenPipeError:  # the reader, such as head, has seen enough
        return 0
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except Exception as error:
        text = _told(error)
        if text is None or os.environ.get("COUNTERPLAY_TRACEBACK"):
            raise
        say(text)
        return 2 if isinstance(error, ValueError) else 1


def _told(error: Exception) -> str | None:
    """What an error says to a person; None for a fault of the program."""
    full = "memory is full; fewer --lanes take less: "
    if isinstance(error, MemoryError):
        return full + (str(error) or "no more could be had")
    if isinstance(error, OSError) and error.strerror:  # its number says nothing
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, ValueError | OSError | GameError | JobError | LearningError | SaveError):
        return str(error) or type(error).__name__
    return full + str(error) if "RESOURCE_EXHAUSTED" in str(error) else None  # JAX has its own


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        verbs = "\n".join(f"  {name:<12}{about}" for name, (_, about) in VERBS.items())
        print(HELP.format(version=__version__, verbs=verbs))
        return 0
    if args[0] in ("-V", "--version"):
        print(__version__)
        return 0
    verb, *rest = args
    if verb not in VERBS:
        raise unknown("verb", verb, VERBS)
    module, function = VERBS[verb][0].split(":")
    run: Callable[[list[str]], int] = getattr(import_module(module), function)
    return run(rest)


def _flags(args: list[str], verb: str) -> bool | None:
    """--json or not, for the verbs that take nothing else; None after printing their help."""
    if "-h" in args or "--help" in args:
        print(f"usage: counterplay {verb} [--json]\n\n{VERBS[verb][1]}")
        return None
    for arg in args:
        if arg != "--json":
            raise unknown(f"setting of {verb}", arg, ["--json"])
    return "--json" in args


def show_list(args: list[str]) -> int:
    """Games with their presets, rules and sets of opponents, algorithms and scenarios."""
    from counterplay.evaluate.scenarios import SCENARIOS
    from counterplay.opponents.sets import SETS

    as_json = _flags(args, "list")
    if as_json is None:
        return 0
    games = [
        {"game": name, "presets": list(presets), "about": about, "rules": opponents.names(name)}
        | ({"bots": bots} if (bots := opponents.bots(name)) else {})
        | ({"sets": list(SETS[name])} if name in SETS else {})
        for name, presets, about in envs.describe()
    ]
    everywhere = opponents.names(None)
    if as_json:
        more = {"algorithms": list(algos.ALGORITHMS), "scenarios": list(SCENARIOS)}
        print(json.dumps({"games": games} | more, indent=2))
        return 0
    for game in games:
        print(f"{game['game']}: {game['about']}")
        print(f"  presets  {', '.join(game['presets'])}")
        print(f"  rules    {', '.join(game['rules'])}")
        if "bots" in game:
            print(f"  bots     {', '.join(game['bots'])}")
        if "sets" in game:
            print(f"  sets     {', '.join(f'pool:{name}' for name in game['sets'])}")
    forms = "pettingzoo:MODULE, gymnasium:ID, lbforaging:ID, jaxmarl:NAME, path/to/file.py:Name"
    print(f"games of others: {', '.join((*envs.REGISTERED, forms))}")
    print(f"  rules    {', '.join(everywhere)}")
    print(f"algorithms: {', '.join(algos.ALGORITHMS)}")
    print(f"scenarios: {', '.join(SCENARIOS)}")
    return 0


def doctor(args: list[str]) -> int:
    """Versions of what counterplay stands on; 1 when something it needs is missing."""
    as_json = _flags(args, "doctor")
    if as_json is None:
        return 0
    needed = ["jax", "jaxlib", "equinox", "optax", "jaxtyping", "numpy", "tyro", "rich"]
    needed += ["safetensors", "pillow", "matplotlib", "mctx", "pyarrow", "scipy", "tensorboardX"]
    extras = {
        "envs": ["gymnasium", "pettingzoo", "mpe2", "lbforaging", "rware"],
        "jaxmarl": ["jaxmarl"],
        "openspiel": ["open_spiel"],
        "dev": ["pytest", "hypothesis", "beartype", "ruff", "pyright"],
    }
    found = {name: _version(name) for name in needed}
    optional = {extra: {n: _version(n) for n in names} for extra, names in extras.items()}
    missing = [name for name, version in found.items() if version is None]
    row = {
        "counterplay": __version__,
        "python": sys.version.split()[0],
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "cuda_plugin": find_spec("jax_cuda12_plugin") is not None
        or find_spec("jax_cuda13_plugin") is not None,
        "needed": found,
        "extras": optional,
    }
    if as_json:
        print(json.dumps(row, indent=2))
    else:
        print(f"counterplay {row['counterplay']}, Python {row['python']}, {row['cores']} cores")
        for name, version in found.items():
            print(f"  {name:<12} {version or 'MISSING'}")
        for extra, names in optional.items():
            print(f"extra [{extra}]")
            for name, version in names.items():
                print(f"  {name:<12} {version or 'not installed'}")
    if missing:
        say(f"install what is missing: {', '.join(missing)}")
    return 1 if missing else 0


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
