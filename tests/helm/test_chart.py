"""The Helm chart, rendered as Helm does it, and decoded by the API's own types."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from annals.services import installed

ROOT = Path(__file__).parents[2]
CHART = ROOT / "infra/helm/annals"
NGINX = ROOT / "infra/gateway/nginx.conf"
ALERTS = ROOT / "infra/prometheus/alerts.yml"
ENVIRONMENT = {*re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)}
EVERYTHING = {
    "env": {"ANNALS_LOG_LEVEL": "warning"},
    "image": {"tag": "1.2.3", "pullSecrets": [{"name": "registry"}]},
    "network": {"monitoring": {"team": "sre"}},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "gateway": {"addresses": {"chain": "elsewhere:8000"}, "service": {"annotations": {"of": "a cloud"}}},
    "services": {name: {"scaling": {"enabled": True}} for name in ("chain", "rewards")},
    "console": {"enabled": True},
    "backup": {
        "servers": {name: {"secret": f"backup-{name}", "claim": f"backups-{name}"} for name in ("logs", "keys")},
        "env": {"ANNALS_BACKUP_KEEP_DAYS": "14"},
    },
}
FOLLOWING = {"annals-backup-logs", "annals-backup-keys"}
Object = Mapping[str, Any]
Render = Callable[..., "Rendered"]


class Refused(Exception):
    """What the chart, or the API, says against it."""


class Rendered:
    """The objects of a release."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = {(one["kind"], one["metadata"]["name"]): one for one in objects}

    def of(self, *kinds: str) -> list[Object]:
        return [one for (kind, _), one in self.objects.items() if kind in kinds]

    def pods(self) -> dict[str, Object]:
        templates = {one["metadata"]["name"]: one["spec"] for one in self.of("Deployment", "StatefulSet", "Job")}
        templates |= {one["metadata"]["name"]: one["spec"]["jobTemplate"]["spec"] for one in self.of("CronJob")}
        return {name: one["template"]["spec"] for name, one in templates.items()}


def container(pod: Object) -> Object:
    (only,) = pod["containers"]
    return only  # type: ignore[no-any-return]


def variables(pod: Object) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(pod)["env"]}


def secrets(pod: Object) -> set[str]:
    return {one["secretRef"]["name"] for one in container(pod).get("envFrom", ())}


@pytest.fixture
def render(annals_chart: Path, tmp_path: Path) -> Render:
    def rendered(values: Mapping[str, Any] | None = None, chart: Path = CHART) -> Rendered:
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps(values or {}))
        done = subprocess.run([annals_chart, chart, file], capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise Refused(done.stderr)
        return Rendered(json.loads(done.stdout))

    return rendered


def test_all_services_run_behind_a_gateway_and_are_migrated_before(render: Render) -> None:
    found = render()
    names = {f"annals-{name}" for name in installed()}
    assert {one["metadata"]["name"] for one in found.of("Deployment")} == {*names, "annals-gateway"}
    assert {one["metadata"]["name"] for one in found.of("Job")} == {f"{name}-migrations" for name in names}
    for job in found.of("Job"):
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
        assert {one["metadata"]["name"] for one in found.of(kind)} == {*names, "annals-gateway"}, kind


@pytest.mark.parametrize("name", sorted(installed()))
def test_each_service_is_a_release_of_its_own_where_others_are_left_out(render: Render, name: str) -> None:
    others = {other: {"enabled": False} for other in installed() if other != name}
    found = render({"services": others, "gateway": {"enabled": False}})
    assert {one["metadata"]["name"] for one in found.of("Deployment", "Job", "Service")} == {
        f"annals-{name}",
        f"annals-{name}-migrations",
    }


def test_all_that_can_be_switched_on_is_understood(render: Render) -> None:
    found = render(EVERYTHING)
    assert {one["metadata"]["name"] for one in found.of("HorizontalPodAutoscaler")} == {
        "annals-chain",
        "annals-rewards",
    }
    assert "replicas" not in found.objects["Deployment", "annals-chain"]["spec"]  # the autoscaler's
    assert found.of("ServiceMonitor")
    (rules,) = found.of("PrometheusRule")
    assert rules["spec"] == yaml.safe_load(ALERTS.read_text())
    chain = found.pods()["annals-chain"]
    assert container(chain)["image"] == "annals/chain:1.2.3"
    assert variables(chain)["ANNALS_LOG_LEVEL"] == "warning"
    assert variables(found.pods()["annals-gateway"])["GATEWAY_CHAIN"] == "elsewhere:8000 elsewhere:8000"


def test_a_services_own_variable_wins(render: Render) -> None:
    chain = {"env": {"ANNALS_LOG_LEVEL": "debug", "ANNALS_ENVIRONMENT": "local"}}
    pods = render({"env": {"ANNALS_LOG_LEVEL": "warning"}, "services": {"chain": chain}}).pods()
    assert variables(pods["annals-chain"])["ANNALS_LOG_LEVEL"] == "debug"
    assert variables(pods["annals-chain"])["ANNALS_ENVIRONMENT"] == "local"
    assert variables(pods["annals-rewards"])["ANNALS_LOG_LEVEL"] == "warning"


def test_services_are_given_only_variables_that_there_are(render: Render) -> None:
    for name, pod in render(EVERYTHING).pods().items():
        if name != "annals-gateway":
            hosts = {f"{service.upper()}_HTTP_HOST" for service in (*installed(), "console")}
            assert variables(pod).keys() - ENVIRONMENT <= {"FORWARDED_ALLOW_IPS", *hosts}, name


def test_compliance_knows_where_the_others_are(render: Render) -> None:
    pods = render({"services": {"royalties": {"enabled": False}}}).pods()
    given = variables(pods["annals-compliance"])["COMPLIANCE_PEERS"]
    others = [name for name in installed() if name not in ("compliance", "royalties")]
    assert given == ",".join(f"{name}=http://annals-{name}:8000" for name in others)
    assert "COMPLIANCE_PEERS" not in variables(pods["annals-chain"])


def test_the_console_knows_where_the_services_are_and_has_no_keys(render: Render) -> None:
    found = render({"console": {"enabled": True}})
    console = found.pods()["annals-console"]
    assert container(console)["image"].startswith("annals/tools:")
    assert container(console)["command"] == ["annals", "console"]
    assert secrets(console) == {"annals-console", "annals-kafka"}
    given = variables(console)
    for name in installed():
        assert ("Service", given[f"{name.upper()}_HTTP_HOST"]) in found.objects
    assert ("Service", "annals-console") in found.objects
    assert ("NetworkPolicy", "annals-console") in found.objects


@pytest.mark.parametrize("server", ["logs", "keys"])
def test_each_server_is_followed_by_a_process_of_its_own_and_verified_daily(render: Render, server: str) -> None:
    found = render(EVERYTHING)
    following, verifying = (found.pods()[f"annals-backup-{server}{part}"] for part in ("", "-verification"))
    assert container(following)["command"] == ["annals", "backup", "run"]
    assert container(verifying)["command"] == ["annals", "backup", "verify"]
    for pod in (following, verifying):
        assert secrets(pod) == {f"backup-{server}"}
        assert variables(pod)["ANNALS_BACKUP_KEEP_DAYS"] == "14"
        assert variables(pod)["ANNALS_ENVIRONMENT"] == "production"
        mounts = {one["name"]: one["mountPath"] for one in container(pod)["volumeMounts"]}
        assert variables(pod)["ANNALS_BACKUP_STORE"] == mounts["store"]
        claims = [one["persistentVolumeClaim"] for one in pod["volumes"] if one["name"] == "store"]
        assert claims == [{"claimName": f"backups-{server}"}]
    (spool,) = found.objects["StatefulSet", f"annals-backup-{server}"]["spec"]["volumeClaimTemplates"]
    mounts = {one["name"]: one["mountPath"] for one in container(following)["volumeMounts"]}
    assert variables(following)["ANNALS_BACKUP_SPOOL"].startswith(mounts[spool["metadata"]["name"]])


def test_nothing_is_backed_up_and_no_console_runs_unless_asked_for(render: Render) -> None:
    assert not [name for name in render().pods() if "backup" in name or "console" in name]


def test_only_migrations_are_given_the_owners_secrets(render: Render) -> None:
    for name, pod in render().pods().items():
        owners = {secret for secret in secrets(pod) if secret.endswith("-owner")}
        assert len(owners) == name.endswith("-migrations"), name


def test_containers_have_no_rights_and_write_nowhere_but_in_tmp(render: Render) -> None:
    for name, pod in render(EVERYTHING).pods().items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"], name
        assert container(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        writable = {one["mountPath"] for one in container(pod)["volumeMounts"] if not one.get("readOnly")}
        stays = {"/var/lib/annals/store", "/var/lib/annals/spool"} if name in FOLLOWING else set()
        assert writable == {"/tmp", *stays}, name  # noqa: S108 - a volume


def test_a_process_is_not_killed_before_it_may_stop(render: Render) -> None:
    for name, pod in render({"shutdownSeconds": 60}).pods().items():
        if not name.endswith("-migrations"):
            pause = container(pod)["lifecycle"]["preStop"]["sleep"]["seconds"]
            needed = int(variables(pod).get("ANNALS_SHUTDOWN_SECONDS", 25)) + pause
            assert pod["terminationGracePeriodSeconds"] > needed, name


def test_the_gateway_is_the_one_of_the_repository_and_knows_every_service(render: Render) -> None:
    found = render()
    assert found.objects["ConfigMap", "annals-gateway"]["data"]["nginx.conf"] == NGINX.read_text()
    given = variables(found.pods()["annals-gateway"])
    for name in installed():
        (port,) = found.objects["Service", f"annals-{name}"]["spec"]["ports"]
        assert given[f"GATEWAY_{name.upper()}"] == " ".join([f"annals-{name}:{port['port']}"] * 2)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"servcies": {}}, "servcies"),
        ({"services": {"chain": {"replicas": 0}}}, "replicas"),
        ({"env": {"ANNALS_POOL_MAX": 20}}, "ANNALS_POOL_MAX"),
        ({"kafka": {"bootstrap": "kafka"}}, "bootstrap"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(render: Render, values: Mapping[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        render(values)


def test_a_field_that_kubernetes_does_not_know_is_found(render: Render, tmp_path: Path) -> None:
    spoilt = tmp_path / "chart"
    shutil.copytree(CHART, spoilt)
    template = spoilt / "templates/services.yaml"
    template.write_text(template.read_text().replace("readinessProbe", "readynessProbe"))
    with pytest.raises(Refused, match="readynessProbe"):
        render(chart=spoilt)
