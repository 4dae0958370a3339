"""What Prometheus asks for, as OpenAPI describes it."""

from __future__ import annotations

from coverslip.fronts.openapi.words import PLAIN, TEXT, Paths, content, operation, told

METRICS = "Metrics"
TAGS = {METRICS: "What the server has done and holds."}


def paths() -> Paths:
    """The one operation."""
    return {
        "/metrics": {
            "get": operation(METRICS, "Metrics for Prometheus", told("Metrics", content(PLAIN, TEXT)), refuses=())
        }
    }
