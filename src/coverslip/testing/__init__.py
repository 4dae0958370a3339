"""Conformance suites for those who add a format; they need pytest."""

from coverslip.testing.formats import FormatTests, Golden

__all__ = ["FormatTests", "Golden"]
