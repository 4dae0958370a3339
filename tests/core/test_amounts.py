"""Amounts as a person reads them."""

import pytest

from coverslip.core.amounts import size


@pytest.mark.parametrize(
    ("n", "told"),
    [
        (0, "0.0 kB"), (999, "1.0 kB"), (11_500_000, "11.5 MB"), (999_949_000, "999.9 MB"), (999_960_000, "1.0 GB"),
        (3.2e9, "3.2 GB"), (7.25e15, "7,250.0 TB"),
    ],
)  # fmt: skip
def test_the_largest_unit_of_which_there_is_one(n: float, told: str) -> None:
    assert size(n) == told
