"""What people bring along: things by name from Python files and modules that are not ours."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from counterplay.names import unknown


def from_file(path: str, name: str, what: str) -> Any:
    """What a file holds under a name; ``what`` it is wanted for is said when there is no file."""
    return _held(_module(Path(path), what), name, path)


def from_module(place: str, owner: str) -> Any:
    """What ``module:name`` says; errors name the owner, under whose name it was registered."""
    module_name, _, name = place.partition(":")
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ValueError(
            f"{owner} is registered as {place}, but {module_name} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    return _held(module, name, f"{module_name}, where {owner} is registered")


def _held(module: ModuleType, name: str, where: str) -> Any:
    if not hasattr(module, name):
        raise unknown(f"name in {where}", name, [n for n in vars(module) if not n.startswith("_")])
    return getattr(module, name)


def _module(path: Path, what: str) -> ModuleType:
    """Imports a file once, however often it is named."""
    if not path.is_file():
        raise ValueError(f"no file {str(path)!r} to load {what} from (looked in {Path.cwd()})")
    name = f"counterplay_outside:{path.resolve()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: S101  (a .py file has a loader)
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception):
            raise ValueError(
                f"{path} cannot be imported: {type(error).__name__}: {error}"
            ) from error
        raise
    return module
