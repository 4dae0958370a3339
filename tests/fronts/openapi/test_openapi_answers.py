"""Requests made up from the description, by schemathesis, and answers judged by it."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext, suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import (
    CheckFunction,
    not_a_server_error,
)
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from coverslip.fronts.dialogue import front as dialogue
from coverslip.fronts.openapi.document import FRONTS, document
from offered import Offered

TAGS = sorted({tag for front in FRONTS.values() for tag in front.TAGS})
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("COVERSLIP_FUZZ_EXAMPLES", "2"))
CALLED = {"hdf_file": "file", "hdf_folder": "/hsds/domains domain"}
IDS = ("v", "source_id", "array_id", "network_id", "dataset", "domain", "hdf_folder", "hdf_file", "group_id",
       "dataset_id", "datatype_id")  # fmt: skip


def narrowed(offered: Offered) -> dict[str, Any]:
    """The description with what there is in place of any text: else nearly everything asked for is not there."""
    made = json.loads(json.dumps(document("test", notebook=True)))
    shared = made["components"]["parameters"]
    for id in IDS:
        shared[id]["schema"] = {
            "enum": [offered.values[{"hdf_file": "file", "hdf_folder": "/hsds/domains domain"}.get(id, id)]]
        }
    shared["hdf_path"]["schema"] = {"enum": ["/", "/a", "/rows", "/none"]}
    for template, methods in made["paths"].items():
        for one in methods.values():
            for parameter in one.get("parameters", ()):
                _narrow(template, parameter, offered.values)
    return made


def _narrow(template: str, parameter: dict[str, Any], values: dict[str, Any]) -> None:
    name = parameter.get("name")
    known = values.get(f"{template} {name}", values.get(str(name), parameter.get("example")))
    if "$ref" in parameter:
        own = f"{template} {parameter['$ref'].rpartition('/')[2]}"
        if own in values:
            known = values[own]
            parameter.clear()
            parameter |= {"name": own.rpartition(" ")[2], "in": "path", "required": True, "schema": {"enum": [known]}}
        return
    if parameter["schema"].get("type") == "string" and known is not None:
        parameter["schema"] = {"anyOf": [{"enum": [known]}, parameter["schema"]]}
    elif parameter["in"] == "path" and parameter["schema"].get("type") == "integer":
        parameter["schema"] = {"type": "integer", "minimum": 0, "maximum": 9}
    elif name == "parent_id":
        parameter["schema"] = {"enum": [values["group_id"]]}


@pytest.fixture(scope="module")
def schema(offered: Offered) -> Any:
    loaded = schemathesis.openapi.from_dict(narrowed(offered))
    loaded.config.update(base_url="http://127.0.0.1:8765")
    return loaded


@pytest.mark.parametrize("mode", ["as described", "not as described"])
@pytest.mark.parametrize("tag", TAGS)
def test_answers_are_as_described(
    offered: Offered, schema: Any, tag: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue, "HOLD_S", 0.01)
    wrong = mode == "not as described"
    plain = settings(
        max_examples=max(1, EXAMPLES // 2) if wrong else EXAMPLES, derandomize=True, database=None, deadline=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    for result in schema.get_all_operations():
        operation = result.ok()
        said = operation.definition.raw
        takes = "requestBody" in said or any(one.get("in") == "query" for one in said.get("parameters", ()))
        if tag not in operation.tags or "x-same-as" in said or (wrong and not takes):
            continue
        cases = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE if wrong else GenerationMode.POSITIVE)
        with suppress(Unsatisfiable) if wrong else nullcontext():  # what takes nothing can be asked in one way only
            plain(given(case=cases)(lambda case: judged(offered, case)))()


def judged(offered: Offered, case: Any) -> None:
    """Send one request, and compare the answer with the description."""
    sent = case.as_transport_kwargs(base_url="http://127.0.0.1:8765")
    known = {name: sent[name] for name in ("params", "headers", "json") if sent.get(name) is not None}
    if "data" in sent:
        known["content"] = sent["data"]
    response = offered.client.request(sent["method"], sent["url"], **known)
    case.validate_response(response, checks=CHECKS)
