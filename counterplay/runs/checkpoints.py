"""Checkpoints: folders of arrays under a manifest that tells every bit of them from damage.

``checkpoints/000004005888/`` holds policy.safetensors (networks, for play), state.safetensors
(all that the next iteration starts from), where a learner keeps episodes buffer.safetensors, and
manifest.json: size and SHA-256 of each file, run, iteration, steps, versions, platform and
population width. Resuming is bit-identical where the last three are the same.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as unpack
from safetensors.numpy import save as pack

from counterplay.runs.disk import remove_folder, write_folder

FOLDER, MANIFEST = "checkpoints", "manifest.json"
POLICY, STATE, BUFFER = "policy.safetensors", "state.safetensors", "buffer.safetensors"
Arrays = dict[str, np.ndarray]


class Checkpoint(NamedTuple):
    """One that is whole as far as it was looked at."""

    path: Path
    about: dict[str, Any]
    """What the manifest says."""

    @property
    def steps(self) -> int:
        return self.about["steps"]


def named(tree: Any) -> Arrays:
    """Leaves by their place in a tree, as NumPy; keys as the numbers they are made of."""
    data = [(name, jr_data(leaf)) for name, leaf in named_leaves(tree)]
    return {name: np.asarray(leaf) for name, leaf in jax.device_get(data)}


def named_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[str, Any]]:
    """Leaves as they are, each with its place."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_leaf)
    return [(_name(path), leaf) for path, leaf in leaves]


def jr_data(leaf: Any) -> Any:
    """The numbers of a key, or the leaf itself."""
    return jax.random.key_data(leaf) if is_key(leaf) else leaf


def is_key(leaf: Any) -> bool:
    return jnp.issubdtype(getattr(leaf, "dtype", np.dtype(np.int32)), jax.dtypes.prng_key)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def filled(shapes: Any, arrays: Mapping[str, np.ndarray], where: str) -> Any:
    """The tree of these shapes with the arrays of these names; ValueError where they do not fit."""

    def leaf(path, shape):
        name = _name(path)
        wanted = jax.eval_shape(jax.random.key_data, shape) if is_key(shape) else shape
        found = arrays.get(name)
        had = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
        if found is None or (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(
                f"{where}: {name} should be {wanted.dtype}{list(wanted.shape)}, found {had}"
            )
        return jax.random.wrap_key_data(jnp.asarray(found)) if is_key(shape) else found

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes of all arrays, in the order of their names."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        whole.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        whole.update(array.tobytes())  # in the order of C, however it lies in memory
    return whole.hexdigest()


def folder_of(run: Path, steps: int) -> Path:
    return run / FOLDER / f"{steps:012d}"


def save(
    run: Path, policy: Arrays, state: Arrays, about: dict[str, Any], buffer: Arrays | None = None
) -> Checkpoint:
    """Writes a checkpoint, whole or not at all; SaveError where the disk will not take it."""
    sums: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] = {}

    def packed(name: str, arrays: Arrays) -> Callable[[], bytes]:
        def make() -> bytes:
            data = pack({k: np.asarray(x, order="C") for k, x in arrays.items()})  # else jumbled
            sums[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            return data

        return make

    def sealed() -> bytes:
        manifest.update(about | {"files": sums, "state_sha256": digest(state)})
        return _sealed(manifest)

    path = folder_of(run, about["steps"])
    if path.exists():  # of this step, and damaged: else nobody would have played it again
        remove_folder(path)
    files = {POLICY: packed(POLICY, policy), STATE: packed(STATE, state)}
    files |= {} if buffer is None else {BUFFER: packed(BUFFER, buffer)}
    files |= {MANIFEST: sealed}
    write_folder(path, files, f"the checkpoint of step {about['steps']:,}")
    return Checkpoint(path, manifest)


def _sealed(body: dict[str, Any]) -> bytes:
    """A manifest with the SHA-256 of all the rest of it."""
    text = json.dumps(body, sort_keys=True)
    seal = hashlib.sha256(text.encode()).hexdigest()
    return (
        json.dumps({"manifest": body, "sha256": seal}, sort_keys=True, indent=1) + "\n"
    ).encode()


def open_checkpoint(path: Path, run_id: str | None, files: tuple[str, ...]) -> Checkpoint:
    """Checks the manifest and these files to the last bit; ValueError says what is wrong.

    Where a learner keeps no episodes there is no file of them, and none is missed.
    """
    try:
        data = (path / MANIFEST).read_bytes()
        body = json.loads(data)["manifest"]
        if data != _sealed(body):
            raise ValueError("it is not what was written")
        steps = body["steps"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise ValueError(f"{path / MANIFEST} is damaged or missing: {said}") from error
    if path.name != f"{steps:012d}" or (run_id is not None and body["run_id"] != run_id):
        raise ValueError(
            f"{path} is of step {steps} of the run {body['run_id']}, and was moved here from "
            f"there; expected a checkpoint of {run_id}"
        )
    for name in files:
        if name != BUFFER or BUFFER in body["files"]:
            contents(Checkpoint(path, body), name)
    return Checkpoint(path, body)


def contents(checkpoint: Checkpoint, name: str) -> bytes:
    """The bytes of a file, once they are known to be those that were written."""
    path, wanted = checkpoint.path / name, checkpoint.about["files"][name]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    if len(data) != wanted["bytes"]:
        raise ValueError(f"{path} is damaged: {wanted['bytes']} bytes written, {len(data)} there")
    if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
        raise ValueError(f"{path} is damaged: its SHA-256 is not that of the manifest")
    return data


def arrays_of(checkpoint: Checkpoint, name: str) -> Arrays:
    """The arrays of a file, checked."""
    try:
        return unpack(contents(checkpoint, name))
    except SafetensorError as error:
        raise ValueError(f"cannot read {checkpoint.path / name}: {error}") from error


def steps_of(run: Path) -> list[int]:
    """Steps of which there are checkpoints, damaged or not, the latest first."""
    found = (run / FOLDER).glob("[0-9]*") if (run / FOLDER).is_dir() else ()
    return sorted((int(path.name) for path in found if path.name.isdigit()), reverse=True)


def latest(
    run: Path,
    run_id: str | None,
    files: tuple[str, ...],
    say: Callable[[str], None],
) -> Checkpoint | None:
    """The latest whole checkpoint, None where there was none; ``say`` hears of damaged ones.

    ValueError where there are some and all are damaged.
    """
    damaged = []
    for steps in steps_of(run):
        try:
            checkpoint = open_checkpoint(folder_of(run, steps), run_id, files)
        except ValueError as error:
            damaged.append(str(error))
            continue
        if damaged:
            say(f"{'; '.join(damaged)}: using the checkpoint of step {steps:,} instead")
        return checkpoint
    if damaged:
        raise ValueError(f"{run} has no whole checkpoint: {'; '.join(damaged)}")
    return None


def at_step(run: Path, run_id: str | None, steps: int, files: tuple[str, ...]) -> Checkpoint:
    """The checkpoint of a given step."""
    if steps not in (there := steps_of(run)):
        known = ", ".join(map(str, sorted(there))) or "none"
        raise ValueError(f"{run} has no checkpoint of step {steps}; there are: {known}")
    return open_checkpoint(folder_of(run, steps), run_id, files)


def prune(run: Path, keep: int, every: int | None = None, newest: int | None = None) -> None:
    """Removes all but the latest ``keep``, and of the others those that pass no ``every`` steps.

    Of the others, the first at or after each multiple of ``every`` stays for good. Those after
    ``newest`` do not count and stay: they are damaged, and replaced when their step is played.
    """
    marks: set[int] = set()
    there = [steps for steps in steps_of(run) if newest is None or steps <= newest]
    for place, steps in reversed(list(enumerate(there))):
        mark = steps // every if every else 0
        lasting = every is not None and mark > 0 and mark not in marks
        marks.add(mark)
        if place >= keep and not lasting:
            remove_folder(folder_of(run, steps))
