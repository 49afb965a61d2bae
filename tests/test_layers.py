"""What a file may import, how long it may be, and what it may not contain."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import counterplay

ROOT = Path(counterplay.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = (
    "__init__", "names", "grammar", "errors", "terminal", "settings", "outside", "types", "maths",
    "spread", "packing", "envs", "episodes", "opponents", "seats", "views", "deciding", "rollout",
    "host_slots", "host_bots", "rollout_host", "models", "planning", "algos", "runs", "pools",
    "evaluate", "report", "console", "jobs", "queues", "rosters", "keeper", "verbs", "population",
    "data", "play", "protocol", "xplay", "exploit", "reporting", "headroom", "bench", "studies",
    "demo", "cli", "__main__",
)  # fmt: skip
"""A file's top-level imports from counterplay come only from layers further left, or its own."""
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 50
FORBIDDEN_CALLS = {"eval", "exec", "yaml.load"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve", "torch"}
LIGHT = ("", ".cli", ".envs", ".opponents", ".algos")


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the file is imported: no function bodies, nothing for types only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_import(child)


def modules(node: ast.AST, path: Path) -> Iterator[str]:
    """Full names of what one import statement may load."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = ["counterplay", *path.relative_to(ROOT).parent.parts]
        start = package[: len(package) + 1 - node.level] if node.level else []
        base = ".".join([*start, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)


def layers_used(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in at_import(tree):
        for name in modules(node, path):
            if name.split(".")[0] == "counterplay":
                part = [*name.split("."), "__init__"][1]
                yield part if part in {*LAYERS, *map(layer_of, FILES)} else "__init__"


def dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_come_from_below(path):
    layer = layer_of(path)
    used = set(layers_used(path, tree_of(path))) - {layer}
    unplaced = {layer, *used} - set(LAYERS)
    assert not unplaced, f"{unplaced} have no place in LAYERS of tests/test_layers.py"
    above = sorted(name for name in used if LAYERS.index(name) >= LAYERS.index(layer))
    assert not above, f"{layer} imports {above} at the top; the order is {' '.join(LAYERS)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines; {MOST_LINES} at most"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            most = MOST_LINES_OF_A_FUNCTION
            assert lines <= most, f"{node.name} has {lines} lines; {most} at most"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_runs_what_a_file_says(path):
    """Loading a run or a settings file must not be able to execute anything."""
    for node in ast.walk(tree_of(path)):
        for name in modules(node, path):
            assert name.split(".")[0] not in FORBIDDEN_MODULES, f"imports {name}"
        if isinstance(node, ast.Call):
            assert dotted(node.func) not in FORBIDDEN_CALLS, f"line {node.lineno}"
            loads_objects = any(word.arg == "allow_pickle" for word in node.keywords)
            assert not loads_objects, f"line {node.lineno}: allow_pickle"


@pytest.mark.parametrize("name", LIGHT)
def test_naming_things_loads_neither_jax_nor_matplotlib(name):
    module = f"counterplay{name}"
    if not (ROOT / name.lstrip(".")).is_dir() and not (ROOT / f"{name[1:]}.py").exists():
        pytest.fail(f"{module} does not exist")
    program = (
        f"import sys, {module}\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'jax', 'jaxlib', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]", f"import {module} loads {done.stdout.strip()}"


def test_version_is_that_of_the_package():
    from importlib.metadata import version

    assert version("counterplay") == counterplay.__version__


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        counterplay.lode  # noqa: B018
    assert "load" in dir(counterplay)


SAMPLES = (
    ("import counterplay.runs", {"runs"}),
    ("from counterplay import runs, load", {"runs", "__init__"}),
    ("from counterplay.envs.matrix import Matrix", {"envs"}),
    ("from ..algos import ppo", {"algos"}),
    ("from . import matrix", {"envs"}),
    ("class A:\n    import counterplay.cli", {"cli"}),
    ("def f():\n    import counterplay.cli", set()),
    ("if TYPE_CHECKING:\n    import counterplay.cli", set()),
    ("import jax", set()),
)


@pytest.mark.parametrize(("text", "layers"), SAMPLES)
def test_the_reader_of_imports(text, layers):
    assert set(layers_used(ROOT / "envs" / "sample.py", ast.parse(text))) == layers
