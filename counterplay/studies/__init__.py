"""``counterplay study``: questions that are answered by programs; every claim is a command."""

from collections.abc import Callable
from importlib import import_module

from counterplay.names import unknown

STUDIES: dict[str, tuple[str, str]] = {
    "buffer": (
        "counterplay.studies.buffer:main",
        "padded episodes, patched transitions or one store: what each costs a learner",
    ),
}


def main(args: list[str]) -> int:
    """Runs one study."""
    if not args or args[0] in ("-h", "--help"):
        lines = "\n".join(f"  {name:<10}{about}" for name, (_, about) in STUDIES.items())
        print(f"usage: counterplay study NAME [settings]\n\n{lines}")
        return 0 if args else 2
    name, *rest = args
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    module, function = STUDIES[name][0].split(":")
    run: Callable[[list[str]], int] = getattr(import_module(module), function)
    return run(rest)
