"""Numbers as weights of bins: worked by hand, and back again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay.models import twohot

ONES = twohot.bins(3, float(np.log(2)))
"""-1, 0 and 1."""


def test_symlog_and_its_inverse():
    x = jnp.array([-1000.0, -1.0, 0.0, 0.5, np.e - 1])
    np.testing.assert_allclose(
        twohot.symlog(x)[jnp.array([1, 2, 4])], [-np.log(2), 0, 1], rtol=1e-6
    )
    np.testing.assert_allclose(twohot.symexp(twohot.symlog(x)), x, rtol=1e-5)


def test_bins_are_symmetric_and_hold_zero():
    np.testing.assert_allclose(ONES, [-1, 0, 1], rtol=1e-6)
    many = np.asarray(twohot.bins())
    assert many.shape == (255,) and many[127] == 0 and np.array_equal(many, -many[::-1])
    np.testing.assert_allclose(many[-1], np.expm1(20.0), rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "weights"),
    [
        (0.25, [0, 0.75, 0.25]),
        (-0.5, [0.5, 0.5, 0]),
        (0.0, [0, 1, 0]),
        (1.0, [0, 0, 1]),
        (-1.0, [1, 0, 0]),
        (7.0, [0, 0, 1]),
        (-7.0, [1, 0, 0]),
    ],
)
def test_two_hot_by_hand(x, weights):
    np.testing.assert_allclose(twohot.two_hot(jnp.float32(x), ONES), weights, atol=1e-6)


def test_the_mean_of_the_two_bins_is_the_number():
    bins = twohot.bins(41, 5.0)
    x = jnp.linspace(-140, 140, 401)
    weights = jax.vmap(lambda x: twohot.two_hot(x, bins))(x)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert (weights >= 0).all() and ((weights > 0).sum(-1) <= 2).all()
    back = twohot.expected(jnp.log(weights + 1e-30), bins)
    np.testing.assert_allclose(back, x, rtol=1e-4, atol=1e-4)


def test_expected_by_hand():
    logits = jnp.log(jnp.array([0.2, 0.3, 0.5]))
    np.testing.assert_allclose(twohot.expected(logits, ONES), 0.3, rtol=1e-5)
    assert twohot.expected(jnp.zeros(255), twohot.bins()) == 0, "however far the bins reach"


def test_loss_by_hand():
    logits = jnp.log(jnp.array([0.25, 0.25, 0.5]))
    loss = twohot.two_hot_loss(logits, jnp.float32(0.5), ONES)
    np.testing.assert_allclose(loss, 0.5 * np.log(4) + 0.5 * np.log(2), rtol=1e-6)


@pytest.mark.parametrize(("count", "reach"), [(4, 5.0), (1, 5.0), (5, 0.0), (5, float("nan"))])
def test_bins_that_cannot_be_are_refused(count, reach):
    with pytest.raises(ValueError, match=r"bins: .* found"):
        twohot.bins(count, reach)
