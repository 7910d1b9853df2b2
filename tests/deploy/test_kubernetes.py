"""The worker's kustomize base: what is checked without a cluster."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from rig.kustomize import built, lines_of, load, resource
from worker.settings import GroupProtocol, Settings

KUBERNETES: Final = Path(__file__).parents[2] / "deploy" / "kubernetes"
BASE: Final = KUBERNETES / "base"
OVERLAY: Final = KUBERNETES / "overlay"
STATIC_MEMBERS: Final = KUBERNETES / "static-members"
# Of settings.env, as the pod gets it.
POD_NAME: Final = "tidegate-worker-0"


def worker(kind: str) -> dict[str, Any]:
    """Return the base's one resource of a kind."""
    return resource(BASE, kind)


def pod() -> dict[str, Any]:
    """Return the pod's specification."""
    found: dict[str, Any] = worker("StatefulSet")["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    """Return the pod's one container."""
    (found,) = pod()["containers"]
    return dict(found)


def variables() -> dict[str, str]:
    """Return the pod's environment: the ConfigMap's lines, and what is the pod's own."""
    own = {each["name"]: POD_NAME for each in container()["env"]}
    return own | lines_of(BASE / "settings.env")


def test_the_config_map_holds_settings(
    settings_of: Callable[[Mapping[str, str]], Settings],
) -> None:
    """Each is known and of the right kind; the pod's name is a slot."""
    settings = settings_of(variables())

    assert settings.slot == POD_NAME
    assert settings.transactional_id == f"tidegate-{POD_NAME}"
    (reference,) = container()["envFrom"]
    (generated,) = load(BASE / "kustomization.yaml")["configMapGenerator"]
    assert reference["configMapRef"]["name"] == generated["name"]


def test_the_overlays_settings_are_settings(
    tmp_path: Path, settings_of: Callable[[Mapping[str, str]], Settings]
) -> None:
    """Its file of secrets lies where the Secret is mounted; with one there, all of it loads."""
    found = built(OVERLAY)["ConfigMap"]["data"]
    named = Path(found["TIDEGATE_KAFKA__CLIENT_FILE"])
    secrets = tmp_path / named.name
    secrets.write_text("sasl.username=tidegate\nsasl.password=wave\n")

    settings = settings_of(found | {"TIDEGATE_KAFKA__CLIENT_FILE": str(secrets)})

    assert settings.kafka.properties() == {
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.password": "wave",
        "sasl.username": "tidegate",
        "security.protocol": "SASL_SSL",
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert str(named.parent) == mounts["kafka-client"]


def test_a_static_member_is_named_like_its_pod(
    tmp_path: Path, settings_of: Callable[[Mapping[str, str]], Settings]
) -> None:
    """So that a successor is the same member; in the only protocol that lets it in at once."""
    here = tmp_path / "kustomization.yaml"
    base, component = (os.path.relpath(path, tmp_path.resolve()) for path in (BASE, STATIC_MEMBERS))
    here.write_text(yaml.safe_dump({"resources": [base], "components": [component]}))
    (one,) = built(tmp_path)["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    slot, protocol, member = one["env"]

    assert slot["valueFrom"] == member["valueFrom"]
    own = {member["name"]: POD_NAME, protocol["name"]: protocol["value"]}
    kafka = settings_of(variables() | own).kafka
    assert kafka.group_protocol is GroupProtocol.CLASSIC
    assert kafka.properties()["group.instance.id"] == POD_NAME


def test_a_change_of_settings_rolls_the_pods() -> None:
    """The ConfigMap's name holds a hash of its contents, and the pods ask for that name."""
    found = built(BASE)
    name = found["ConfigMap"]["metadata"]["name"]
    (one,) = found["StatefulSet"]["spec"]["template"]["spec"]["containers"]

    assert name.startswith("tidegate-worker-")
    assert one["envFrom"] == [{"configMapRef": {"name": name}}]


def test_the_slot_is_the_pods_name() -> None:
    """Stable over restarts, and other than that of a pod of another StatefulSet in the group."""
    (slot,) = container()["env"]

    assert slot == {
        "name": "TIDEGATE_SLOT",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
    }


def test_kubernetes_puts_no_variables_of_its_own_into_the_environment() -> None:
    """A Service named tidegate-… would give names that tidegate refuses as unknown settings."""
    assert pod()["enableServiceLinks"] is False


def test_a_pod_gets_the_time_that_a_drain_takes(
    settings_of: Callable[[Mapping[str, str]], Settings],
) -> None:
    """And 15 s on top to commit and to leave the group, before it is killed."""
    drain_s = settings_of(variables()).publish.drain_s

    assert pod()["terminationGracePeriodSeconds"] >= drain_s + 15
    assert "lifecycle" not in container()


def test_probes_and_prometheus_ask_at_the_health_port(
    settings_of: Callable[[Mapping[str, str]], Settings],
) -> None:
    """One port in settings, container, Service, annotations and NetworkPolicy."""
    health = settings_of(variables()).health
    probes = {name: probe for name, probe in container().items() if name.endswith("Probe")}

    assert container()["ports"] == [{"name": "health", "containerPort": health.port}]
    assert {name: probe["httpGet"] for name, probe in probes.items()} == {
        "startupProbe": {"path": "/livez", "port": "health"},
        "livenessProbe": {"path": "/livez", "port": "health"},
        "readinessProbe": {"path": "/readyz", "port": "health"},
    }
    assert health.host == "0.0.0.0"  # noqa: S104 - the kubelet asks from outside the pod
    (port,) = worker("Service")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (health.port, "health")
    annotations = worker("StatefulSet")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(health.port)
    (way_in,) = worker("NetworkPolicy")["spec"]["ingress"]
    assert way_in["ports"] == [{"port": health.port, "protocol": "TCP"}]


def test_a_start_may_take_as_long_as_kafka_and_a_model_need() -> None:
    """The startup probe waits two minutes at least; until then liveness does not count."""
    probe = container()["startupProbe"]

    assert probe["periodSeconds"] * probe["failureThreshold"] >= 120


def test_the_way_out_leads_to_brokers_and_name_servers_only(
    settings_of: Callable[[Mapping[str, str]], Settings],
) -> None:
    """The port of the bootstrap servers is let through, and that of DNS inside the cluster."""
    policy = worker("NetworkPolicy")["spec"]
    servers = settings_of(variables()).kafka.bootstrap_servers.split(",")
    brokers, names = policy["egress"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert {int(server.rpartition(":")[2]) for server in servers} == {
        each["port"] for each in brokers["ports"]
    }
    assert {(each["port"], each["protocol"]) for each in names["ports"]} == {
        (53, "UDP"),
        (53, "TCP"),
    }
    assert names["to"]


def test_the_pod_passes_the_restricted_pod_security_standard() -> None:
    """Rule by rule, and a read-only root and no token on top."""
    whole, one = pod()["securityContext"], container()["securityContext"]

    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] > 0
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod().keys() == set()
    kinds = {kind for volume in pod()["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "csi", "emptyDir", "projected", "secret"}
    assert pod()["automountServiceAccountToken"] is False
    assert worker("ServiceAccount")["automountServiceAccountToken"] is False
    assert pod()["serviceAccountName"] == worker("ServiceAccount")["metadata"]["name"]


def test_the_user_is_that_of_the_image() -> None:
    """So that files and processes have one owner, with the Secret readable by its group."""
    text = (KUBERNETES.parent / "images" / "worker.Containerfile").read_text()
    (user,) = [line.split()[1] for line in text.splitlines() if line.startswith("USER ")]
    context = pod()["securityContext"]
    (secret,) = [volume["secret"] for volume in pod()["volumes"] if "secret" in volume]

    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["fsGroup"] == context["runAsGroup"]
    assert oct(secret["defaultMode"]) == "0o440"
    assert secret["optional"] is True


def test_what_ended_a_container_is_known_to_the_next() -> None:
    """The record lies on the volume that is the pod's, and is one worker's alone."""
    record = Path(lines_of(BASE / "settings.env")["TIDEGATE_SCORING__CRASH_RECORD"])
    mounts = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}

    assert mounts[str(record.parent)] == "scratch"


def test_scratch_is_the_one_place_to_write() -> None:
    """The image's home and caches are under it; it is bounded, and gone with the pod."""
    mounts = {mount["name"]: mount for mount in container()["volumeMounts"]}

    assert mounts["scratch"] == {"name": "scratch", "mountPath": "/scratch"}
    assert mounts["kafka-client"]["readOnly"] is True
    (scratch,) = [volume["emptyDir"] for volume in pod()["volumes"] if "emptyDir" in volume]
    assert scratch["sizeLimit"]


def test_threads_are_as_many_as_cores_and_memory_holds_the_prefetch(
    settings_of: Callable[[Mapping[str, str]], Settings],
) -> None:
    """The process sees the node's cores, not its share: unset, it would start one thread each."""
    settings, resources = settings_of(variables()), container()["resources"]

    assert resources["requests"] == resources["limits"]
    assert settings.scoring.threads == int(resources["limits"]["cpu"])
    assert resources["limits"]["memory"] == "1Gi"
    assert settings.intake.prefetch_kib <= 64 * 1024


def test_everything_finds_the_pods() -> None:
    """Selectors of set, Service, budget, policy and spreading are the labels of the pods."""
    spec = worker("StatefulSet")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    selectors = [
        spec["selector"]["matchLabels"],
        worker("Service")["spec"]["selector"],
        worker("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        worker("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod()["topologySpreadConstraints"]),
    ]

    assert selectors == [labels] * 6
    assert spec["serviceName"] == worker("Service")["metadata"]["name"]
    assert worker("Service")["spec"]["clusterIP"] == "None"


def test_no_worker_waits_for_another() -> None:
    """Pods start and stop in parallel, and a drain of nodes takes them one at a time."""
    assert worker("StatefulSet")["spec"]["podManagementPolicy"] == "Parallel"
    assert worker("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
