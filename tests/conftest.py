"""One thread a process, shapes verified at every call, and no silent change of rank."""

import os

os.environ.setdefault("NPROC", "1")  # XLA reads it when JAX is first imported
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiling is most of the work here

from jaxtyping import install_import_hook

# the numeric tower: a whole number will do where a number is wanted, as for any type checker
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook("counterplay", CHECKER)

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
