"""``deploy/hsds`` as far as it can be judged without a cluster: it parses, and its parts fit each other and HSDS."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[1] / "deploy" / "hsds"
HOW_TO = FOLDER.parents[1] / "docs" / "how-to" / "hsds.md"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    found = list(yaml.safe_load_all((FOLDER / "hsds.yaml").read_text()))
    return {document["kind"]: document for document in found}


@pytest.fixture(scope="module")
def pod(documents: dict[str, Document]) -> Document:
    template: Document = documents["Deployment"]["spec"]["template"]
    return template


@pytest.fixture(scope="module")
def override(documents: dict[str, Document]) -> Document:
    parsed: Document = yaml.safe_load(documents["ConfigMap"]["data"]["override.yml"])
    return parsed


def test_every_document_is_one(documents: dict[str, Document]) -> None:
    kinds = {"ConfigMap", "ServiceAccount", "Role", "RoleBinding", "Deployment", "Service", "NetworkPolicy"}
    assert documents.keys() == kinds | {"PodDisruptionBudget"}
    for document in documents.values():
        assert re.fullmatch(r"(apps/|policy/|[a-z.]+\.k8s\.io/)?v1", document["apiVersion"])
        assert document["metadata"]["name"] == "hsds"


def test_selectors_find_the_pods(documents: dict[str, Document], pod: Document, override: Document) -> None:
    labels = pod["metadata"]["labels"]
    assert documents["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert documents["Service"]["spec"]["selector"] == labels
    assert documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert override["k8s_dn_label_selector"] == ",".join(f"{k}={v}" for k, v in labels.items())
    assert documents["RoleBinding"]["subjects"][0]["name"] == pod["spec"]["serviceAccountName"]
    assert documents["RoleBinding"]["roleRef"]["name"] == documents["Role"]["metadata"]["name"]


def test_nobody_but_hsds_reaches_data_nodes(documents: dict[str, Document], pod: Document) -> None:
    ports = {c["name"]: c["ports"][0]["containerPort"] for c in pod["spec"]["containers"]}
    assert ports == {"sn": 5101, "dn": 6101}
    rules = documents["NetworkPolicy"]["spec"]["ingress"]
    open_to = {rule["ports"][0]["port"]: rule["from"][0]["podSelector"] for rule in rules}
    assert open_to == {6101: {"matchLabels": pod["metadata"]["labels"]}, 5101: {}}
    assert [p["port"] for p in documents["Service"]["spec"]["ports"]] == [5101]
    assert documents["Role"]["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]


def test_no_secret_is_written_down(pod: Document, documents: dict[str, Document]) -> None:
    asked = {v["secret"]["secretName"] for v in pod["spec"]["volumes"] if "secret" in v}
    for container in pod["spec"]["containers"]:
        for variable in container["env"]:
            if "AWS" in variable["name"]:
                asked.add(variable["valueFrom"]["secretKeyRef"]["name"])
    text = HOW_TO.read_text()
    for name in asked:
        assert f"create secret generic {name} " in text
    assert "Secret" not in documents


def test_containers_may_do_little(pod: Document) -> None:
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    volumes = {v["name"] for v in pod["spec"]["volumes"]}
    for container in pod["spec"]["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert {m["name"] for m in container["volumeMounts"]} <= volumes
        assert container["image"].endswith(":1.0.2")
    assert f"USER {pod['spec']['securityContext']['runAsUser']}" in (FOLDER / "Dockerfile").read_text()


def test_files_are_where_they_are_looked_for(pod: Document, override: Document) -> None:
    service = next(c for c in pod["spec"]["containers"] if c["name"] == "sn")
    mounts = {m["name"]: m["mountPath"] for m in service["volumeMounts"]}
    assert {"name": "CONFIG_OVERRIDE_PATH", "value": f"{mounts['override']}/override.yml"} in service["env"]
    assert override["password_file"] == f"{mounts['users']}/passwords"
    assert "--from-literal=passwords=" in HOW_TO.read_text()
    assert re.fullmatch(r"[a-zA-Z0-9_.-]+", override["bucket_name"])
    assert override["head_port"] == 0  # null would be passed over
    assert override["cors_domain"] != "*"


def test_the_image_passes_its_linter() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "hadolint", FOLDER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
