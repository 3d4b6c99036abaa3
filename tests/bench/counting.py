"""How many requests of the operator the API server has answered, by its own count."""

import re
from collections import Counter

from wattmark.api.schema import GROUP
from wattmark.cluster.client import Client
from wattmark.reconcile.writer import COMPONENT

_SAMPLE = re.compile(r"^apiserver_request_total\{(.*)\} ([0-9.e+]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
# The API server does not count by user. These are made by nobody else while a benchmark runs: the Job controller
# writes `jobs/status` only, and nobody reads logs or edits Jobs.
OPERATORS_OWN = {
    ("PATCH", "benchmarkjobs/status"): "status patches",
    ("POST", "jobs"): "Jobs created",
    ("PATCH", "jobs"): "Jobs patched",
    ("DELETE", "jobs"): "Jobs deleted",
    ("GET", "jobs"): "Jobs read",
    ("GET", "benchmarkjobs"): "BenchmarkJobs read",
    ("GET", "pods/log"): "log tails read (progress)",
    ("CONNECT", "pods/log"): "log tails read (progress)",
    ("LIST", "events"): "Events listed",
}
WRITES = ("status patches", "Jobs created", "Jobs patched", "Jobs deleted", "Events posted")


async def counted(client: Client, namespace: str) -> Counter[str]:
    """Requests that are the operator's, by what they are; its watches apart."""
    text = (await client.request("GET", "/metrics")).decode()
    found: Counter[str] = Counter()
    for labels, value in _SAMPLE.findall(text):
        of = dict(_LABEL.findall(labels))
        if of["group"] not in ("", "batch", GROUP):
            continue
        what = of["resource"] + (f"/{of['subresource']}" if of["subresource"] else "")
        if (name := OPERATORS_OWN.get((of["verb"], what))) is not None:
            found[name] += int(float(value))
    found["Events posted"] = await _events(client, namespace)
    return found


async def _events(client: Client, namespace: str) -> int:
    # By the other API group of Events: lists of the one that the operator asks are counted above.
    page = await client.page(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", {})
    return sum(event.get("reportingController") == COMPONENT for event in page["items"])
