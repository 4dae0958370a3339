"""Tails of the normal and of Student's distribution beside scipy; adjusted p-values beside statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from coverslip.domains.tails import Correction, adjusted, log_normal, log_student


def test_normal_also_far_out() -> None:
    z = np.concatenate([np.linspace(-40, 40, 4001), [1e3, -1e8]])
    np.testing.assert_allclose(log_normal(z), np.log(2) + stats.norm.logsf(np.abs(z)), rtol=1e-12, atol=1e-12)
    assert log_normal(np.inf) == -np.inf
    assert np.isnan(log_normal(np.nan))
    assert math.exp(float(log_normal(37.5))) == pytest.approx(2 * stats.norm.sf(37.5), rel=1e-11)  # 1e-307


@pytest.mark.parametrize("df", [0.5, 1, 1.7, 3, 29.9, 99.9, 100.1, 1234.5, 5e5])
def test_student(df: float) -> None:
    t = np.array([-3.0, 0, 1e-9, 1e-3, 0.5, 1, 1.4, 1.8, 2.5, 5, 10, 20, 35, 1e3, 1e8])
    expected = 2 * stats.t.sf(np.abs(t), df)
    seen = expected > 1e-300
    np.testing.assert_allclose(np.exp(log_student(t, df))[seen], expected[seen], rtol=1e-8)


def test_student_where_the_probability_is_less_than_a_number_can_be() -> None:
    """The density is proportional to (1 + t²/df)^(-(df+1)/2), and its tail is nearly a power of t."""
    t = np.array([1e3, 2e3])
    found = log_student(t, 400.0)
    assert np.all(found < -1000)
    slope = (found[1] - found[0]) / math.log(2)
    assert slope == pytest.approx(-400, rel=1e-3)
    near = np.array([30.0, 36.0])
    expected = np.log(2 * stats.t.sf(near, 5e5))
    np.testing.assert_allclose(log_student(near, 5e5), expected, rtol=1e-10)


def test_student_where_there_is_none() -> None:
    np.testing.assert_array_equal(log_student([np.nan, 1, np.inf], [3, -1, 3]), [np.nan, np.nan, -np.inf])
    assert log_student(2.0, np.inf) == pytest.approx(float(log_normal(2.0)))


@pytest.mark.parametrize("how", ["benjamini-hochberg", "bonferroni"])
def test_adjusted(how: Correction) -> None:
    from statsmodels.stats.multitest import multipletests

    p = np.concatenate([np.random.default_rng(0).random(40) ** 4, [0.0, 1.0, 1.0, 1e-300]])
    name = {"benjamini-hochberg": "fdr_bh", "bonferroni": "bonferroni"}[how]
    expected = multipletests(p, method=name)[1]
    with np.errstate(divide="ignore"):
        found = np.exp(adjusted(np.log(p), how))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
