"""Our objects -> their Jobs: an allow-list of fields, under the restricted Pod Security Standard. Pure."""

from wattmark.manifests.pod import Owner, Runner
from wattmark.manifests.run import Asked, order, run_job
from wattmark.manifests.trace import question, trace_job, trace_order

__all__ = ["Asked", "Owner", "Runner", "order", "question", "run_job", "trace_job", "trace_order"]
