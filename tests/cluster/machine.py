"""How this machine's package clients reach their index: handed to image builds as secrets, never stored in a layer."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.failure import ClusterError
from tests.cluster.shell import run

# What pip and uv read and an image build can use; options that name local folders would be wrong in there.
PASSED = (
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_INDEX_URL",
    "PIP_PROXY",
    "PIP_TRUSTED_HOST",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_INSECURE_HOST",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
)
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
MOUNTED_BUNDLE = "/run/secrets/ca"
# torch's wheels are large, and one connection in a hundred breaks.
PATIENCE = {"PIP_RETRIES": "10", "UV_HTTP_RETRIES": "10", "UV_HTTP_TIMEOUT": "300"}


def settings(environment: Mapping[str, str], *, with_authorities: bool) -> str:
    """Return a shell file that exports the machine's settings of pip and uv."""
    found = PATIENCE | pip_file() | {name: environment[name] for name in PASSED if environment.get(name)}
    uv_is_told = any(name in found for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"))
    if "PIP_INDEX_URL" in found and not uv_is_told:
        found["UV_DEFAULT_INDEX"] = found["PIP_INDEX_URL"]  # uv does not read pip's settings
    if with_authorities:
        found |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"), MOUNTED_BUNDLE)
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in found.items())


def authorities(environment: Mapping[str, str]) -> Path | None:
    """Return the machine's bundle of certificate authorities, if it names one."""
    named = [environment[name] for name in BUNDLES if environment.get(name)]
    return next((Path(name) for name in named if Path(name).is_file()), None)


def pip_file() -> dict[str, str]:
    """Return the index settings of pip's configuration files under the names of their environment variables."""
    try:
        return parse_pip_config(run([sys.executable, "-m", "pip", "config", "list"]))
    except ClusterError:
        return {}  # no pip on this machine, so no settings of it


def parse_pip_config(listing: str) -> dict[str, str]:
    """Read the output of `pip config list`: one `section.option='value'` a line."""
    found = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        variable = "PIP_" + name.rpartition(".")[2].replace("-", "_").upper()
        if variable in PASSED:
            found[variable] = shlex.split(value)[0].strip()
    return found
