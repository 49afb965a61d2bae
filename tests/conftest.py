"""One thread a process, shapes verified at every call, and no silent change of rank."""

import os
from pathlib import Path

os.environ.setdefault("NPROC", "1")  # XLA reads it when JAX is first imported
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiling is most of the work here
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")  # and takes half as long

from hypothesis import settings
from jaxtyping import install_import_hook

# the numeric tower: a whole number will do where a number is wanted, as for any type checker
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook("counterplay", CHECKER)

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

MOST_MAPS = 35_000

jax.config.update("jax_numpy_rank_promotion", "raise")

# examples of every property; compiling takes as long as it takes
settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("full", max_examples=500, deadline=None)
settings.load_profile("full" if os.environ.get("COUNTERPLAY_FULL") else "quick")


@pytest.fixture(scope="module", autouse=True)
def programs_freed():
    """Compiled programs hold memory maps; Linux ends a process that asks for too many (65,530)."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > MOST_MAPS:
        jax.clear_caches()


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory):
    """Programs of one shape are compiled once for all trainings of a file."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
