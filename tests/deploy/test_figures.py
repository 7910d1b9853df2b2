"""The API's alerts and dashboard: they speak of figures that there are, and of all of them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from worker.api.errors import STATUS
from worker.api.figures import SECONDS, Figures
from worker.settings import ApiSettings

ROOT: Final = Path(__file__).parents[2]
ALERTS: Final = ROOT / "deploy" / "alerts" / "api.yaml"
DASHBOARD: Final = ROOT / "deploy" / "dashboards" / "api.json"
TRIED: Final = Path(__file__).parent / "alerts_api.yaml"
CALLS: Final = {"analyze", "suggestscore", "score"}
WIDTH: Final = 24  # of a dashboard, in Grafana's columns


def rules() -> list[dict[str, Any]]:
    """Return the alerting rules."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def asked_by_panels() -> list[str]:
    """Return the queries of the dashboard, its own variables filled in."""
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [q.replace("$__rate_interval", "5m").replace("$job", ".*") for q in queries]


def asked_by_alerts() -> list[str]:
    """Return the queries of the alerts."""
    return [rule["expr"] for rule in rules()]


def figures() -> dict[str, set[str]]:
    """Return the names under which Prometheus stores each figure of the API."""
    endings = {
        "counter": ("_total",),
        "gauge": ("",),
        "histogram": ("_bucket", "_count", "_sum"),
    }
    return {
        family.name: {f"{family.name}{end}" for end in endings[family.type]}
        for family in Figures().registry.collect()
    }


def named(queries: list[str]) -> set[str]:
    """Return the names of figures in queries."""
    return {name for query in queries for name in re.findall(r"\btidegate_\w+", query)}


def values(queries: list[str], label: str) -> set[str]:
    """Return the values of a label that queries ask for."""
    found = [re.findall(rf'\b{label}=~?"([^"]*)"', query) for query in queries]
    return {value for values in found for each in values for value in each.split("|")}


@pytest.mark.parametrize("ask", [asked_by_alerts, asked_by_panels])
def test_queries_name_figures_labels_and_buckets_that_there_are(ask: Any) -> None:
    """A query of a name that is gone is no error to Prometheus: it is silent for ever."""
    queries = ask()

    assert named(queries) <= set().union(*figures().values())
    assert values(queries, "call") <= CALLS
    assert values(queries, "code") <= {str(code) for code in STATUS}
    assert {float(le) for le in values(queries, "le")} <= set(SECONDS)


def test_the_dashboard_shows_every_figure_of_the_api() -> None:
    """One that nobody sees need not be counted."""
    shown = named(asked_by_panels())

    assert [name for name, stored in figures().items() if not stored & shown] == []


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


def test_every_alert_says_what_is_wrong_and_has_its_line_in_the_runbook() -> None:
    """Whoever is woken by it finds what to do."""
    runbook = (ROOT / "docs" / "api.md").read_text().partition("\n## Runbook\n")[2]
    lines = re.findall(r"^\| `(Tidegate\w+)`", runbook.partition("\n## ")[0], re.MULTILINE)

    assert lines == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["runbook"] == "docs/api.md#runbook"
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_the_alert_on_the_wait_comes_well_before_requests_are_turned_away() -> None:
    """At a quarter of the deadline; at half of it the desk says 429."""
    (full,) = [rule["expr"] for rule in rules() if rule["alert"] == "TidegateApiNearlyFull"]
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


def test_prometheus_takes_the_alerts(promtool: Any) -> None:
    """Queries, durations and templates."""
    done = promtool(["promtool", "check", "rules", str(ALERTS)])

    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_ring_when_they_should_and_not_on_a_quiet_day(promtool: Any) -> None:
    """Over figures that are made up, minute by minute."""
    done = promtool(["promtool", "test", "rules", str(TRIED)])

    assert done.returncode == 0, done.stdout + done.stderr
    assert {rule["alert"] for rule in rules()} <= set(re.findall(r"Tidegate\w+", TRIED.read_text()))


def test_prometheus_takes_the_queries_of_the_dashboard(promtool: Any, tmp_path: Path) -> None:
    """Written as rules, which it can check."""
    written = [{"record": f"panel:{n}", "expr": q} for n, q in enumerate(asked_by_panels())]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": written}]}))

    done = promtool(["promtool", "check", "rules", str(file)])

    assert done.returncode == 0, done.stdout + done.stderr
