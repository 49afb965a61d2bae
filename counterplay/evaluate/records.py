"""What policies told in a chunk of a rollout, kind by kind, as one array by lanes."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from counterplay.seats import Seating


def recorded(
    seating: Seating, records: tuple[dict[str, Array], ...], name: str, chairs: np.ndarray
) -> Array | None:
    """What the policies on these chairs told, [L, T, chairs, ...]; None where nobody does.

    NaN where one of them did not, or told something of another shape.
    """
    n = seating.num_seats
    wanted = np.arange(seating.lanes)[:, None] * n + chairs
    sits = [np.isin(places, wanted).any() for places in seating.places]
    told = [r[name].shape for r, s in zip(records, sits, strict=True) if s and name in r]
    if not told:
        return None
    _, _, slots, *shape = told[0]

    def part(record: dict[str, Array], places: np.ndarray) -> Array:
        if name in record and list(record[name].shape[3:]) == shape:
            return record[name].astype(jnp.float32)
        return jnp.full((*places.shape, slots, *shape), jnp.nan, jnp.float32)

    parts = [part(r, p) for r, p in zip(records, seating.places, strict=True)]
    each = seating.put(parts)  # [L, N, T, ...]
    return jnp.moveaxis(each[np.arange(seating.lanes)[:, None], chairs], 1, 2)
