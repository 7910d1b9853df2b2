"""The API's kustomize base, its overlay and components: what is checked without a cluster."""

import os
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from rig.api_server import api_server
from rig.kustomize import built, lines_of, load, manifests, resource
from worker.api.keys import Keys
from worker.settings import PREFIX, Settings, setting_names

DOCS: Final = Path(__file__).parents[2] / "docs"
KUBERNETES: Final = Path(__file__).parents[2] / "deploy" / "kubernetes"
BASE: Final = KUBERNETES / "api"
OVERLAY: Final = KUBERNETES / "api-overlay"
AUTOSCALING: Final = KUBERNETES / "api-autoscaling"
JOINED: Final = KUBERNETES / "api-kafka"
WORKERS: Final = KUBERNETES / "base"
KEYS: Final = f"{PREFIX}API__KEYS"

SettingsOf = Callable[[Mapping[str, str]], Settings]


def api(kind: str) -> dict[str, Any]:
    """Return the base's one resource of a kind."""
    return resource(BASE, kind)


def pod() -> dict[str, Any]:
    """Return the pod's specification."""
    found: dict[str, Any] = api("Deployment")["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    """Return the pod's one container."""
    (found,) = pod()["containers"]
    return dict(found)


@pytest.fixture
def settings(settings_of: SettingsOf, keys_file: Path) -> Settings:
    """The settings of the pod; the Secret's file lies somewhere else."""
    return settings_of(lines_of(BASE / "settings.env") | {KEYS: str(keys_file)})


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    """A file of keys as the Secret holds it."""
    file = tmp_path / "keys"
    file.write_text(f"coral {sha256(b'wave').hexdigest()} 20\n")
    return file


def with_component(folder: Path, component: Path) -> dict[str, dict[str, Any]]:
    """Return what kustomize makes of the base and a component."""
    base, added = (os.path.relpath(path, folder.resolve()) for path in (BASE, component))
    text = yaml.safe_dump({"resources": [base], "components": [added]})
    (folder / "kustomization.yaml").write_text(text)
    return built(folder)


# -- beside workers


def test_it_lives_beside_workers_in_one_namespace() -> None:
    """No name is taken twice, and no selector of one finds a pod of the other."""
    ours, theirs = ([load(path) for path in manifests(folder)] for folder in (BASE, WORKERS))
    names = [(each["kind"], each["metadata"]["name"]) for each in ours + theirs]
    labels = api("Deployment")["spec"]["template"]["metadata"]["labels"]
    workers = resource(WORKERS, "StatefulSet")["spec"]["selector"]["matchLabels"]

    assert len(set(names)) == len(names)
    assert workers["app.kubernetes.io/component"] != labels["app.kubernetes.io/component"]


# -- settings


def test_the_config_map_holds_settings(settings: Settings) -> None:
    """Each is known and of the right kind; the pods ask for the map that is generated."""
    (reference,) = container()["envFrom"]
    (generated,) = load(BASE / "kustomization.yaml")["configMapGenerator"]

    assert settings.log.format == "json"
    assert reference["configMapRef"]["name"] == generated["name"]


def test_a_server_starts_with_these_settings_and_asks_for_a_key(
    keys_file: Path, tmp_path: Path
) -> None:
    """As the pod gets them, but for ports and the place of the keys."""
    taken = {"TIDEGATE_API__PORT": "0", "TIDEGATE_HEALTH__PORT": "0", KEYS: str(keys_file)}

    with api_server(tmp_path, **lines_of(BASE / "settings.env") | taken) as server:
        (started,) = server.events("api started")

    assert started["keys"] == "needed"
    assert started["host"] == "0.0.0.0"  # noqa: S104 - a pod's own network


def test_a_change_of_settings_rolls_the_pods() -> None:
    """The ConfigMap's name holds a hash of its contents, and the pods ask for that name."""
    found = built(BASE)
    name = found["ConfigMap"]["metadata"]["name"]
    (one,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]

    assert name.startswith("tidegate-api-")
    assert one["envFrom"] == [{"configMapRef": {"name": name}}]


def test_the_overlays_settings_are_settings(settings_of: SettingsOf, keys_file: Path) -> None:
    """Over those of the base: clients are told the address that the gateway serves."""
    found = built(OVERLAY)["ConfigMap"]["data"]

    overlaid = settings_of(found | {KEYS: str(keys_file)}).api

    assert overlaid.public_url == "https://example.org/moderation"
    assert overlaid.port == int(lines_of(BASE / "settings.env")["TIDEGATE_API__PORT"])


def test_the_container_runs_the_api_of_the_workers_image() -> None:
    """One image for both, so one to build, to scan and to name."""
    (theirs,) = resource(WORKERS, "StatefulSet")["spec"]["template"]["spec"]["containers"]

    assert container()["args"] == ["api"]
    assert "command" not in container()
    assert container()["image"] == theirs["image"]


def test_kubernetes_puts_no_variables_of_its_own_into_the_environment() -> None:
    """Of the Service it would make TIDEGATE_API_PORT and more, which are unknown settings."""
    made = f"{api('Service')['metadata']['name'].upper().replace('-', '_')}_PORT"

    assert made.startswith(PREFIX)
    assert made not in set(setting_names())
    assert pod()["enableServiceLinks"] is False


# -- keys


def test_keys_come_from_a_secret_and_nobody_asks_without_one(
    settings: Settings, keys_file: Path
) -> None:
    """Its file is where the setting says; without the Secret no pod starts."""
    said = Path(lines_of(BASE / "settings.env")[KEYS])
    (secret,) = [volume for volume in pod()["volumes"] if "secret" in volume]
    (mount,) = [m for m in container()["volumeMounts"] if m["name"] == secret["name"]]

    assert (said.name, str(said.parent)) == (keys_file.name, mount["mountPath"])
    assert mount["readOnly"] is True
    assert secret["secret"] == {"secretName": "tidegate-api-keys", "defaultMode": 0o440}
    assert settings.api.keys is not None
    assert Keys(settings.api.keys).are_needed


# -- ports and ways


def test_calls_and_probes_have_their_ports_everywhere(settings: Settings) -> None:
    """In settings, container, Service, annotations and NetworkPolicy."""
    calls, health = settings.api, settings.health
    probes = {name: probe for name, probe in container().items() if name.endswith("Probe")}

    assert container()["ports"] == [
        {"name": "http", "containerPort": calls.port},
        {"name": "health", "containerPort": health.port},
    ]
    assert calls.host == health.host == "0.0.0.0"  # noqa: S104 - a pod's own network
    assert {name: probe["httpGet"] for name, probe in probes.items()} == {
        "startupProbe": {"path": "/livez", "port": "health"},
        "livenessProbe": {"path": "/livez", "port": "health"},
        "readinessProbe": {"path": "/readyz", "port": "health"},
    }
    (port,) = api("Service")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")
    annotations = api("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(health.port)


def test_figures_are_not_in_the_service() -> None:
    """What a gateway publishes is calls, and no figures."""
    assert [port["name"] for port in api("Service")["spec"]["ports"]] == ["http"]


def test_the_way_in_leads_to_two_ports_and_the_way_out_nowhere(settings: Settings) -> None:
    """It asks nobody anything: what it is sent cannot leave."""
    policy = api("NetworkPolicy")["spec"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [way["ports"] for way in policy["ingress"]] == [
        [{"port": port, "protocol": "TCP"}] for port in (settings.api.port, settings.health.port)
    ]
    assert all(way["from"] for way in policy["ingress"])
    assert policy["egress"] == []


def test_the_overlay_lets_calls_in_from_the_gateway_alone() -> None:
    """And figures from everywhere in the cluster, as before."""
    calls, figures = built(OVERLAY)["NetworkPolicy"]["spec"]["ingress"]

    (gateway,) = calls["from"]
    assert gateway["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "gateway"}
    assert figures == api("NetworkPolicy")["spec"]["ingress"][1]


def test_the_route_of_the_documentation_leads_to_the_service() -> None:
    """By its name and port; from the path of the overlay's public address, which is taken away."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "api.md").read_text(), re.DOTALL)
    route, service = yaml.safe_load(text), api("Service")
    literals = load(OVERLAY / "kustomization.yaml")["configMapGenerator"][0]["literals"]
    (public,) = [line for line in literals if "PUBLIC_URL" in line]
    prefix = urlsplit(public.partition("=")[2]).path
    stream, rest = route["spec"]["rules"]

    assert [stream["backendRefs"], rest["backendRefs"]] == 2 * [
        [{"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}]
    ]
    assert stream["matches"][0]["path"]["value"] == f"{prefix}/v1/score"
    assert rest["matches"][0]["path"]["value"] == prefix
    assert route["metadata"]["namespace"] == load(OVERLAY / "kustomization.yaml")["namespace"]


def test_everything_finds_the_pods() -> None:
    """Selectors of Deployment, Service, budget, policy and spreading are the pods' labels."""
    spec = api("Deployment")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    selectors = [
        spec["selector"]["matchLabels"],
        api("Service")["spec"]["selector"],
        api("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        api("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod()["topologySpreadConstraints"]),
    ]

    assert selectors == [labels] * 6


# -- beginning and end


def test_a_start_may_take_as_long_as_a_model_needs() -> None:
    """The startup probe waits two minutes at least; until then liveness does not count."""
    probe = container()["startupProbe"]

    assert probe["periodSeconds"] * probe["failureThreshold"] >= 120


def test_a_pod_answers_until_its_address_is_out_of_the_gateways(settings: Settings) -> None:
    """SIGTERM comes after a while; then what was accepted is answered before it is killed."""
    waits_s = container()["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert waits_s >= 5
    assert pod()["terminationGracePeriodSeconds"] >= waits_s + settings.publish.drain_s + 5
    assert settings.publish.drain_s > settings.api.deadline_s


def test_a_rollout_and_a_drain_of_nodes_leave_enough_pods() -> None:
    """A new one is ready before an old one goes; nodes take one at a time."""
    spec = api("Deployment")["spec"]

    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert api("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert api("PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


# -- rights and resources


def test_the_pod_has_no_more_than_a_workers() -> None:
    """The same user, the same closed root: the worker's tests say rule by rule why."""
    theirs = resource(WORKERS, "StatefulSet")["spec"]["template"]["spec"]

    assert pod()["securityContext"] == theirs["securityContext"]
    assert container()["securityContext"] == theirs["containers"][0]["securityContext"]
    assert {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod().keys() == set()
    assert pod()["automountServiceAccountToken"] is False
    assert api("ServiceAccount")["automountServiceAccountToken"] is False
    assert pod()["serviceAccountName"] == api("ServiceAccount")["metadata"]["name"]


def test_scratch_is_the_one_place_to_write() -> None:
    """The image's home and caches are under it; it is bounded, and gone with the pod."""
    writable = [m for m in container()["volumeMounts"] if not m.get("readOnly")]
    (scratch,) = [volume["emptyDir"] for volume in pod()["volumes"] if "emptyDir" in volume]

    assert writable == [{"name": "scratch", "mountPath": "/scratch"}]
    assert scratch["sizeLimit"]


def test_threads_are_as_many_as_cores(settings: Settings) -> None:
    """The process sees the node's cores, not its share: unset, it would start one thread each."""
    resources = container()["resources"]

    assert resources["requests"] == resources["limits"]
    assert settings.scoring.threads == int(resources["limits"]["cpu"])
    assert resources["limits"]["memory"] == "1Gi"


# -- as many as are needed


def test_the_autoscaler_alone_says_how_many_pods_there_are(tmp_path: Path) -> None:
    """A number in the Deployment would take back, at each apply, what was scaled."""
    found = with_component(tmp_path, AUTOSCALING)
    scaler = found["HorizontalPodAutoscaler"]["spec"]

    assert "replicas" not in found["Deployment"]["spec"]
    assert scaler["scaleTargetRef"] == {
        "apiVersion": found["Deployment"]["apiVersion"],
        "kind": "Deployment",
        "name": found["Deployment"]["metadata"]["name"],
    }
    assert api("Deployment")["spec"]["replicas"] <= scaler["minReplicas"] < scaler["maxReplicas"]


def test_the_autoscaler_goes_by_a_share_of_what_the_pods_ask_for() -> None:
    """CPU, of which the container requests some, and less than all of it."""
    (metric,) = resource(AUTOSCALING, "HorizontalPodAutoscaler")["spec"]["metrics"]

    assert metric["resource"]["name"] in container()["resources"]["requests"]
    assert metric["resource"]["target"]["averageUtilization"] < 100


# -- joined to Kafka


def test_a_joined_api_has_a_slot_of_its_own_and_the_way_of_a_worker(
    tmp_path: Path, settings_of: SettingsOf, keys_file: Path
) -> None:
    """Two pods with one slot would fence each other; brokers are where workers find them."""
    found = with_component(tmp_path, JOINED)
    (one,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    (theirs,) = resource(WORKERS, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    workers = lines_of(WORKERS / "settings.env")

    joined = settings_of(found["ConfigMap"]["data"] | {KEYS: str(keys_file)})

    assert joined.api.publish == "before-answer"
    assert joined.kafka.bootstrap_servers == workers["TIDEGATE_KAFKA__BOOTSTRAP_SERVERS"]
    assert joined.kafka.group_id == workers["TIDEGATE_KAFKA__GROUP_ID"]
    assert one["env"] == theirs["env"]
    way_out = resource(WORKERS, "NetworkPolicy")["spec"]["egress"]
    assert found["NetworkPolicy"]["spec"]["egress"] == way_out


def test_a_joined_api_reads_the_workers_secret_of_kafka(tmp_path: Path) -> None:
    """The same volume at the same place, beside its keys."""
    spec = with_component(tmp_path, JOINED)["Deployment"]["spec"]["template"]["spec"]
    theirs = resource(WORKERS, "StatefulSet")["spec"]["template"]["spec"]

    def named(things: list[dict[str, Any]]) -> dict[str, Any]:
        return {each["name"]: each for each in things}

    ours = named(spec["volumes"]), named(spec["containers"][0]["volumeMounts"])
    workers = named(theirs["volumes"]), named(theirs["containers"][0]["volumeMounts"])
    assert [each["kafka-client"] for each in ours] == [each["kafka-client"] for each in workers]
    assert "keys" in ours[0]
