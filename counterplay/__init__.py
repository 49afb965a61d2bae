"""Know who you are playing against, and plan with it.

Agents that infer the others' goals, predict their moves and plan with both, and the rivals to
compare them with. Start at ``counterplay.types``; ``load`` opens a finished run as a policy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterplay.runs import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Fetches ``load`` when first asked for, so that ``import counterplay`` starts no JAX."""
    if name == "load":
        from counterplay.runs import load

        return load
    raise AttributeError(f"module 'counterplay' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
