"""How far from even chances the first policy of a training is."""

import jax
import numpy as np
import pytest

from counterplay.algos import ppo
from counterplay.envs.matrix import Matrix


def test_first_policies_are_as_far_from_even_as_asked():
    env = Matrix(horizon=2)
    even, far = (
        ppo.init_learner(ppo.Config(first_policy=scale), env, 1, jax.random.key(0)).net
        for scale in (0.01, 5.0)
    )
    np.testing.assert_allclose(far.policy.weight, 500 * even.policy.weight, rtol=1e-4)
    np.testing.assert_array_equal(far.value.weight, even.value.weight)
    with pytest.raises(ValueError, match="first_policy must be positive, found 0"):
        ppo.Config(first_policy=0)
