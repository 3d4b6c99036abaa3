"""A restart beside a thousand finished objects writes nothing."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.e2e.conftest import OPERATOR_USER
from tests.e2e.reach import Body
from tests.e2e.space import Space, outcome
from tests.faults.operators import Operator
from tests.faults.proxy import Proxy
from tests.faults.runs import standing_in

pytestmark = pytest.mark.slow

FINISHED = 1000
STILL_SECONDS = 10.0


@pytest.fixture(scope="module")
def thousand(space: Space, operator: Operator) -> Body:
    """A run that the operator finished, and as many objects as finished beside it."""
    operator.start()
    space.start("first", standing_in("good"))
    done = space.end("first")
    operator.stop()
    as_operator = space.api.impersonating(OPERATOR_USER)

    def copy(number: int) -> None:
        name = f"finished-{number:04}"
        space.start(name, standing_in("good"))
        as_operator.patch(f"{space.benchmark_path(name)}/status", {"status": done["status"]})

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(copy, range(FINISHED)))
    return done


def test_a_restart_with_a_thousand_finished_objects_writes_nothing(
    space: Space, proxy: Proxy, operator: Operator, thousand: Body
) -> None:
    before, reads = len(proxy.writes), sum(proxy.reads.values())
    ready = operator.start()
    time.sleep(STILL_SECONDS)
    print(
        f"\nready {ready:.1f} s after its start beside {FINISHED} finished objects; "
        f"{sum(proxy.reads.values()) - reads} reads, {len(proxy.writes) - before} writes in {STILL_SECONDS:.0f} s"
    )
    assert proxy.writes[before:] == []
    space.start("last", standing_in("good"))  # it does look
    assert outcome(space.end("last")) == "Measured"
    assert {w.of for w in proxy.writes[before:]} == {"last"}
