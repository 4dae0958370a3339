"""How unlikely a figure is: tails of the normal and of Student's distribution, and p-values of many tests.

Everything is a natural logarithm, which is exact where the probability itself is less than a number can be.

Sources: Abramowitz and Stegun 7.1.23 (the error function far out), 26.7.1 (Student's distribution as an incomplete beta
function); DLMF 8.17.22 (its continued fraction); Benjamini and Hochberg 1995.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Correction = Literal["benjamini-hochberg", "bonferroni"]
FAR = 25.0
"""From here on the asymptotic series of the normal tail is exact to the last digit or two."""
LARGE = 50.0
"""From here on the series of the ratio of gamma functions is."""
MOST_STEPS = 20_000
TINY = 1e-300


def log_normal(z: npt.ArrayLike) -> Floats:
    """``ln P(|Z| > |z|)`` of a standard normal ``Z``; the shape of ``z``."""
    size = np.abs(np.asarray(z, np.float64))
    result = np.empty(size.shape)
    far = size > FAR
    near = (size[~far] / math.sqrt(2)).tolist()
    result[~far] = [math.log(math.erfc(x)) for x in near]
    x = size[far]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = 1 / (x * x)
        series = 1 - inverse * (1 - 3 * inverse * (1 - 5 * inverse * (1 - 7 * inverse * (1 - 9 * inverse))))
        result[far] = -x * x / 2 - np.log(x) + np.log(series) + 0.5 * math.log(2 / math.pi)
    result[np.isinf(size)] = -np.inf
    return result


def log_student(t: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """``ln P(|T| > |t|)`` of Student's distribution with ``df`` degrees of freedom, not necessarily whole.

    Both are broadcast; NaN where either is, or where ``df`` is not above 0.
    """
    size, freedom = np.broadcast_arrays(np.abs(np.asarray(t, np.float64)), np.asarray(df, np.float64))
    result = np.full(size.shape, np.nan)
    usable = (freedom > 0) & ~np.isnan(size)
    normal = usable & np.isinf(freedom)
    result[normal] = log_normal(size[normal])
    result[usable & np.isinf(size)] = -np.inf
    chosen = usable & np.isfinite(size) & np.isfinite(freedom)
    result[chosen] = _log_student(size[chosen], freedom[chosen])
    return result


def _log_student(t: Floats, df: Floats) -> Floats:
    with np.errstate(over="ignore"):
        ratio = t / df * t  # t² / df
    a = df / 2
    x, log_x = 1 / (1 + ratio), -np.log1p(ratio)
    rest = np.where(np.isinf(ratio), 1.0, ratio / (1 + np.where(np.isinf(ratio), 1.0, ratio)))  # 1 - x
    huge = np.isinf(ratio)
    log_x[huge] = np.log(df[huge]) - 2 * np.log(t[huge])
    with np.errstate(divide="ignore"):
        front = a * log_x + 0.5 * np.log(rest) - _log_beta_half(a)
    result = np.zeros(t.shape)
    tail = x < (a + 1) / (a + 2.5)
    result[tail] = front[tail] - np.log(a[tail]) + np.log(_fraction(a[tail], np.full(tail.sum(), 0.5), x[tail]))
    middle = ~tail
    inner = np.exp(front[middle]) * 2 * _fraction(np.full(middle.sum(), 0.5), a[middle], rest[middle])
    result[middle] = np.log1p(-np.minimum(inner, 1.0))
    return result


def _log_beta_half(a: Floats) -> Floats:
    """``ln B(a, 1/2)``, without the difference of two large numbers that it is by definition."""
    result = np.empty(a.shape)
    small = a < LARGE
    result[small] = [math.lgamma(v) + math.lgamma(0.5) - math.lgamma(v + 0.5) for v in a[small].tolist()]
    big = a[~small]
    i = 1 / big
    series = i / 8 - i**3 / 192 + i**5 / 640 - i**7 * 17 / 14336
    result[~small] = 0.5 * math.log(math.pi) - 0.5 * np.log(big) + series
    return result


def _fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    """The continued fraction of the incomplete beta function, by Lentz's method; those that are exact are left."""
    result = np.ones(x.shape)
    left = np.flatnonzero(x > 0)
    a, b, x = a[left], b[left], x[left]
    c = np.ones(x.shape)
    d = 1 / _away(1 - (a + b) * x / (a + 1))
    h = d.copy()
    for m in range(1, MOST_STEPS):
        if not left.size:
            break
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _away(1 + even * d), _away(1 + even / c)
        h *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _away(1 + odd * d), _away(1 + odd / c)
        step = d * c
        h *= step
        going = np.abs(step - 1) > 1e-15
        if m % 8 == 0 or not going.any():
            result[left[~going]] = h[~going]
            left = left[going]
            a, b, x, c, d, h = (v[going] for v in (a, b, x, c, d, h))
    result[left] = h
    return result


def _away(value: Floats) -> Floats:
    """The value, kept from 0."""
    return np.where(np.abs(value) < TINY, TINY, value)


def adjusted(log_p: npt.NDArray[Any], how: Correction) -> Floats:
    """Logarithms of p-values of ``n`` tests, adjusted for their number along the last axis."""
    n = log_p.shape[-1]
    if how == "bonferroni":
        return np.minimum(log_p + math.log(max(n, 1)), 0.0)
    order = np.argsort(log_p, axis=-1)
    ranked = np.take_along_axis(log_p, order, -1) + np.log(n / np.arange(1, n + 1))
    least = np.minimum.accumulate(ranked[..., ::-1], axis=-1)[..., ::-1]
    result = np.empty(log_p.shape)
    np.put_along_axis(result, order, np.minimum(least, 0.0), -1)
    return result
