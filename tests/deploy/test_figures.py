"""Alerts and the API's dashboard: they speak of figures that there are, and the latter of all."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml
from prometheus_client import CollectorRegistry

from worker.api.errors import STATUS
from worker.api.figures import SECONDS, Figures
from worker.metrics import Metrics
from worker.settings import ApiSettings

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = ROOT / "deploy" / "dashboards" / "api.json"
CALLS: Final = {"analyze", "suggestscore", "score"}
WIDTH: Final = 24  # of a dashboard, in Grafana's columns


class Alerts(NamedTuple):
    """Alerts on one kind of process."""

    process: str
    runbook: str  # the page, and the section on it
    registry: CollectorRegistry

    @property
    def file(self) -> Path:
        """The rules."""
        return ROOT / "deploy" / "alerts" / f"{self.process}.yaml"

    @property
    def tried(self) -> Path:
        """Figures that ring them, for promtool."""
        return Path(__file__).parent / f"alerts_{self.process}.yaml"

    def rules(self) -> list[dict[str, Any]]:
        """Return the alerting rules."""
        (group,) = yaml.safe_load(self.file.read_text())["groups"]
        found: list[dict[str, Any]] = group["rules"]
        return found

    def queries(self) -> list[str]:
        """Return what the rules ask for."""
        return [rule["expr"] for rule in self.rules()]


API: Final = Alerts("api", "docs/api.md#runbook", Figures().registry)
WORKER: Final = Alerts("worker", "docs/runbook.md#alerts", Metrics().registry)
on_each = pytest.mark.parametrize("alerts", [API, WORKER], ids=lambda alerts: alerts.process)


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def asked_by_panels() -> list[str]:
    """Return the queries of the dashboard, its own variables filled in."""
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [q.replace("$__rate_interval", "5m").replace("$job", ".*") for q in queries]


def figures(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Return the names under which Prometheus stores each figure."""
    endings = {
        "counter": ("_total",),
        "gauge": ("",),
        "histogram": ("_bucket", "_count", "_sum"),
    }
    return {
        family.name: {f"{family.name}{end}" for end in endings[family.type]}
        for family in registry.collect()
    }


def named(queries: list[str]) -> set[str]:
    """Return the names of figures in queries."""
    return {name for query in queries for name in re.findall(r"\btidegate_\w+", query)}


def values(queries: list[str], label: str) -> set[str]:
    """Return the values of a label that queries ask for."""
    found = [re.findall(rf'\b{label}=~?"([^"]*)"', query) for query in queries]
    return {value for values in found for each in values for value in each.split("|")}


@on_each
def test_alerts_name_figures_that_there_are(alerts: Alerts) -> None:
    """A query of a name that is gone is no error to Prometheus: it is silent for ever."""
    assert named(alerts.queries()) <= set().union(*figures(alerts.registry).values())


@pytest.mark.parametrize("ask", [API.queries, asked_by_panels])
def test_queries_name_figures_labels_and_buckets_that_there_are(ask: Any) -> None:
    """As above; a value that no figure has is as silent."""
    queries = ask()

    assert named(queries) <= set().union(*figures(API.registry).values())
    assert values(queries, "call") <= CALLS
    assert values(queries, "code") <= {str(code) for code in STATUS}
    assert {float(le) for le in values(queries, "le")} <= set(SECONDS)


def test_the_dashboard_shows_every_figure_of_the_api() -> None:
    """One that nobody sees need not be counted."""
    shown = named(asked_by_panels())

    assert [name for name, stored in figures(API.registry).items() if not stored & shown] == []


def test_every_panel_says_what_it_shows_and_what_a_rise_means() -> None:
    """Title, words, unit, and a number of its own."""
    assert all(panel["title"] and panel["description"].endswith(".") for panel in panels())
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels())
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_panels_lie_side_by_side() -> None:
    """None over another, none beyond the edge."""

    def cells(panel: dict[str, Any]) -> Iterator[tuple[int, int]]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                yield x, y

    taken = [set(cells(panel)) for panel in panels()]
    assert all(one.isdisjoint(other) for one, other in combinations(taken, 2))
    assert max(x for each in taken for x, _ in each) < WIDTH


@on_each
def test_every_alert_says_what_is_wrong_and_has_its_line_in_the_runbook(alerts: Alerts) -> None:
    """Whoever is woken by it finds what to do."""
    page, _, section = alerts.runbook.partition("#")
    runbook = (ROOT / page).read_text().partition(f"\n## {section.capitalize()}\n")[2]
    lines = re.findall(r"^\| `(Tidegate\w+)`", runbook.partition("\n## ")[0], re.MULTILINE)

    assert lines == [rule["alert"] for rule in alerts.rules()]
    for rule in alerts.rules():
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["runbook"] == alerts.runbook
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_the_alert_on_the_wait_comes_well_before_requests_are_turned_away() -> None:
    """At a quarter of the deadline; at half of it the desk says 429."""
    (full,) = [rule["expr"] for rule in API.rules() if rule["alert"] == "TidegateApiNearlyFull"]
    deadline_s = ApiSettings().deadline_s

    assert float(full.rpartition(">")[2]) == pytest.approx(deadline_s / 4)


# -- by Prometheus's own tool


@pytest.fixture
def promtool() -> Any:
    """Give a runner of promtool; Debian has it in the package prometheus."""
    program = shutil.which("promtool")
    if not program:
        pytest.skip("promtool is not on the path: neither queries nor alerts are tried")
    return partial(
        subprocess.run, executable=program, capture_output=True, text=True, check=False, timeout=120
    )


@on_each
def test_prometheus_takes_the_alerts(alerts: Alerts, promtool: Any) -> None:
    """Queries, durations and templates."""
    done = promtool(["promtool", "check", "rules", str(alerts.file)])

    assert done.returncode == 0, done.stdout + done.stderr


@on_each
def test_alerts_ring_when_they_should_and_not_on_a_quiet_day(alerts: Alerts, promtool: Any) -> None:
    """Over figures that are made up, minute by minute."""
    done = promtool(["promtool", "test", "rules", str(alerts.tried)])

    assert done.returncode == 0, done.stdout + done.stderr
    rung = set(re.findall(r"Tidegate\w+", alerts.tried.read_text()))
    assert {rule["alert"] for rule in alerts.rules()} <= rung


def test_prometheus_takes_the_queries_of_the_dashboard(promtool: Any, tmp_path: Path) -> None:
    """Written as rules, which it can check."""
    written = [{"record": f"panel:{n}", "expr": q} for n, q in enumerate(asked_by_panels())]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": written}]}))

    done = promtool(["promtool", "check", "rules", str(file)])

    assert done.returncode == 0, done.stdout + done.stderr
