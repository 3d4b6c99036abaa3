"""Container images from files, without a builder: the pause image and the local base system."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any


def pause_image(program: Path, name: str, target: Path) -> None:
    """Write an image archive that holds one static program and runs it as nobody."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("pause")
        entry.mode, entry.size = 0o755, program.stat().st_size
        with program.open("rb") as content:
            tar.addfile(entry, content)
    path = target.with_suffix(".layer")
    path.write_bytes(layer.getvalue())
    write_image(path, {"Entrypoint": ["/pause"], "User": "65535:65535"}, name, target)
    path.unlink()


def write_image(layer: Path, config: dict[str, Any], name: str, target: Path) -> None:
    """Write an archive, in the format of `docker save`, of one image with one layer, which is a plain tar file."""
    with layer.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    packed = layer.with_suffix(".gz")
    with layer.open("rb") as content, gzip.open(packed, "wb", compresslevel=6) as sink:
        shutil.copyfileobj(content, sink, 1 << 20)
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    described = json.dumps(image).encode()
    config_name = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(target, "w") as tar:
        for file_name, data in ((config_name, described), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(file_name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        tar.add(packed, arcname="layer.tar")
    packed.unlink()
