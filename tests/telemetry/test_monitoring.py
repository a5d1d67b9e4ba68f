"""The dashboard and the alerts of ``examples/monitoring`` ask for what a store really exports."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import URL, text

from sessionstore_sql import (
    ConflictError,
    DeserializationError,
    SessionId,
    SessionRecord,
    SQLSessionStore,
    UnknownIdError,
)
from sessionstore_sql.otel import OpenTelemetry
from tests.docs.pages import ROOT
from tests.telemetry.test_failures import locked, trouble

FOLDER = ROOT / "examples" / "monitoring"
RUNBOOKS = ROOT / "docs" / "guides" / "alerts.md"
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
}
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
DURATION = "db_client_operation_duration_seconds"
HOUR = timedelta(hours=1)

_SELECTOR = re.compile(r"\b([a-z]+_[a-z_]*[a-z])(?:\{([^}]*)\})?(?=[\[\s),]|$)")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_BY = re.compile(r"\bby \(([^)]*)\)")
_FUNCTIONS = {"histogram_quantile", "label_values"}


def queries() -> dict[str, str]:
    """Return every query of the alerts and the dashboard, with a name."""
    found = {name: rule["expr"] for name, rule in ALERTS.items()}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']}, {target['refId']}"] = target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            found[f"${variable['name']}"] = variable["query"]
    return found


def selectors_of(query: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric of a query, and the labels that the query needs of it."""
    grouped = {each.strip() for names in _BY.findall(query) for each in names.split(",")}
    without_groups = _BY.sub("", query)
    for name, matchers in _SELECTOR.findall(without_groups):
        if name not in _FUNCTIONS and not name.startswith("db_collection"):
            yield name, set(_LABEL.findall(matchers)) | grouped


@pytest.fixture(scope="module")
def exposed(sqlite_url: URL) -> dict[str, list[dict[str, str]]]:
    """The labels of each time series that Prometheus would read, by metric."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(asyncio.run(_exposition(sqlite_url))):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(dict(sample.labels))
    return found


async def _exposition(url: URL) -> str:
    """Return what a store exports after loads, batches, a purge, sign-ins, a retry and failures."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)])
    async with SQLSessionStore(url, telemetry=OpenTelemetry(meter_provider=provider)) as store:
        ids = [SessionId.generate() for _ in range(20)]
        await asyncio.gather(*(store.create(each, SessionRecord({}, HOUR)) for each in ids))
        await store.create(SessionId.generate(), SessionRecord({}, timedelta(0)))
        await store.delete_expired()
        await _sign_in_and_revoke(store)
        with pytest.raises(UnknownIdError):
            await store.update_ttl(SessionId.generate(), HOUR)
        async with store.engine.connect() as connection:
            await connection.execute(text("UPDATE sessionstore_sessions SET state = x'00'"))
        with pytest.raises(DeserializationError):
            await store.load(ids[0])
        trouble(store, locked())
        await store.delete(ids[1])
        exposition = generate_latest(registry).decode()
    provider.shutdown()
    return exposition


async def _sign_in_and_revoke(store: SQLSessionStore) -> None:
    session_id, record = SessionId.generate(), SessionRecord({}, HOUR)
    await store.sign_in(None, SessionId.generate(), record, subject="alice")
    await store.sign_in(None, session_id, record, subject="alice", max_sessions=1)
    with pytest.raises(ConflictError):
        await store.update_if(session_id, record, 1)
    assert await store.revoke("alice") == 1


@pytest.mark.parametrize("query", queries().values(), ids=queries())
def test_a_query_names_what_is_exported(
    query: str, exposed: dict[str, list[dict[str, str]]]
) -> None:
    """Every metric exists, and has every label that the query mentions."""
    selectors = list(selectors_of(query))

    assert selectors
    for metric, labels in selectors:
        series = exposed.get(metric, [])
        assert series, f"{metric} is not exported"
        assert any(labels <= set(each) for each in series), f"{metric} has no {labels}"


@pytest.mark.parametrize("name", ["DuplicateIdError", "UnknownIdError", "ConflictError"])
def test_a_regular_result_is_no_failure(name: str) -> None:
    """Neither for the alert nor for the share of failures on the dashboard."""
    for query in ("SessionStoreFails", "Failures, A"):
        ignored = re.findall(r'error_type!~"([^"]*)"', queries()[query])
        assert [re.fullmatch(each, name) is not None for each in ignored] == [True]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_leads_to_its_runbook(name: str) -> None:
    """The address ends with the heading of the page that is about this alert."""
    address: str = ALERTS[name]["annotations"]["runbook_url"]
    path, _, anchor = address.partition("#")

    assert path.endswith(RUNBOOKS.relative_to(ROOT).as_posix())
    assert anchor == name.lower()
    assert f"\n## {name}\n" in RUNBOOKS.read_text("utf-8")


def test_every_runbook_has_an_alert() -> None:
    """The page describes no alert that does not exist."""
    headings = re.findall(r"^## (\w+)$", RUNBOOKS.read_text("utf-8"), re.MULTILINE)

    assert headings == list(ALERTS)


@pytest.fixture
def promtool() -> str:
    """The tool of Prometheus that checks rules."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed; Debian's package prometheus has it")
    return found


def test_prometheus_accepts_every_query(promtool: str, tmp_path: Path) -> None:
    """The queries of the dashboard too, with values in place of its variables."""
    rules = [
        {"record": f"query_{number}", "expr": query}
        for number, query in enumerate(
            each.replace("$table", ".+").replace("$__rate_interval", "5m")
            for name, each in queries().items()
            if not name.startswith("$")
        )
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))

    for each in (path, FOLDER / "alerts.yaml"):
        subprocess.run([promtool, "check", "rules", each], check=True, capture_output=True)


SITUATIONS: dict[str, list[tuple[str, dict[str, str], str]]] = {
    "SessionStoreFails": [(f"{DURATION}_count", {"error_type": "40P01"}, "0+60x800")],
    "StoredSessionUnreadable": [
        (f"{DURATION}_count", {"error_type": "DeserializationError"}, "0+1x800")
    ],
    "SessionStoreSlow": [
        (f"{DURATION}_bucket", {"le": "0.5"}, "0+1x800"),
        (f"{DURATION}_bucket", {"le": "5.0"}, "0+60x800"),
        (f"{DURATION}_bucket", {"le": "+Inf"}, "0+60x800"),
    ],
    "SessionStoreOverloaded": [
        ("sessionstore_sql_queue_duration_seconds_bucket", {"le": "0.5"}, "0+1x800"),
        ("sessionstore_sql_queue_duration_seconds_bucket", {"le": "5.0"}, "0+60x800"),
        ("sessionstore_sql_queue_duration_seconds_bucket", {"le": "+Inf"}, "0+60x800"),
    ],
    "SessionPoolExhausted": [
        ("db_client_connection_count", {"db_client_connection_state": "used"}, "5x800"),
        ("db_client_connection_max", {}, "5x800"),
    ],
    "SessionStoreRetries": [("sessionstore_sql_retries_total", {}, "0+120x800")],
    "NoSessionPurged": [(f"{DURATION}_count", {"db_operation_name": "create"}, "0+1x800")],
    "NoSignIn": [
        ("sessionstore_sql_signed_in_total", {}, "5x800"),
        (f"{DURATION}_count", {"db_operation_name": "load"}, "0+1x800"),
    ],
    "ManySignIns": [("sessionstore_sql_signed_in_total", {}, "0x690 0+60x90")],
    "ManySessionsRevoked": [("sessionstore_sql_revoked_total", {}, "0x690 0+60x90")],
    "SessionWriteConflicts": [
        ("sessionstore_sql_conflicts_total", {}, "0+2x800"),
        (f"{DURATION}_count", {"db_operation_name": "update_if"}, "0+10x800"),
    ],
}
"""For each alert, time series with other labels and values, one for each minute."""


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires(
    name: str, promtool: str, exposed: dict[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    """In the situation that it is for, and with the labels that are really exported."""
    series = [
        {"series": _series(metric, {**exposed[metric][0], **labels}), "values": values}
        for metric, labels, values in SITUATIONS[name]
    ]
    firing = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
    assert _evaluated(promtool, series, firing, tmp_path) == 1
    calm = [{**each, "values": "0x800"} for each in series if name != "SessionPoolExhausted"]
    assert _evaluated(promtool, calm, firing, tmp_path) == 0


def _series(metric: str, labels: dict[str, str]) -> str:
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def _evaluated(promtool: str, series: list[Any], query: str, folder: Path) -> int:
    """Return whether the query has the value 1 after twelve hours."""
    test = {
        "rule_files": [str(FOLDER / "alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": query,
                        "eval_time": "12h",
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    }
                ],
            }
        ],
    }
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump(test))
    result = subprocess.run(
        [promtool, "test", "rules", path], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0 or "got:" in result.stdout + result.stderr, result.stderr
    return int(result.returncode == 0)
