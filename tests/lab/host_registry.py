"""A registry on the loopback of a lab host, to pull from: an image with Python that it has, served by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.real_servers import until

if TYPE_CHECKING:
    from towline.lab.host import LabHost

PORT = 5055
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

PROGRAM = r"""
import hashlib, http.server, json, pathlib, sys
blobs, tags = {}, {}
def keep(content):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    blobs[digest] = content
    return {"digest": digest, "size": len(content)}
for folder in sorted(pathlib.Path("/images").iterdir()):
    told = json.loads((folder / "manifest.json").read_text())[0]
    config = keep((folder / told["Config"]).read_bytes())
    config["mediaType"] = "application/vnd.docker.container.image.v1+json"
    tar = "application/vnd.docker.image.rootfs.diff.tar"
    layers = [keep((folder / one).read_bytes()) | {"mediaType": tar} for one in told["Layers"]]
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    plain = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}
    tags[folder.name] = keep(json.dumps(plain).encode())["digest"]
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        kind, reference = self.path.rstrip("/").split("/")[-2:]
        digest = tags.get(reference, reference)
        found = b"{}" if self.path == "/v2/" else blobs.get(digest)
        if self.path == "/tags":
            found = json.dumps(tags).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(found or b"")))
        self.send_header("Docker-Content-Digest", digest)
        octets = "application/octet-stream"
        self.send_header("Content-Type", "KIND" if kind == "manifests" else octets)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(found or b"")
    do_HEAD = do_GET
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Answer).serve_forever()
""".replace("KIND", MANIFEST).replace("PORT", str(PORT))


def registry_on(host: LabHost, image: str) -> dict[str, str]:
    """Digests by tag: `1` is `image`, `2` is one that differs by a label; both at `127.0.0.1:PORT/NAME`."""
    made = host.ssh(
        f"""set -e
        rm -rf /srv/images /srv/registry.py; mkdir -p /srv/images/1 /srv/images/2
        docker save {image} | tar -x -C /srv/images/1
        id=$(docker create {image}); other=$(docker commit -c 'LABEL other=yes' "$id"); docker rm "$id" >/dev/null
        docker save "$other" | tar -x -C /srv/images/2
        docker rmi "$other" >/dev/null
        cat >/srv/registry.py <<'PROGRAM'\n{PROGRAM}\nPROGRAM
        docker rm -f registry >/dev/null 2>&1 || :
        docker run -d --name registry --network host -v /srv:/srv:ro -v /srv/images:/images:ro {image} \
            python3 /srv/registry.py
        """,
        within=240,
    )
    assert made.status == 0, made.stderr
    question = 'printf "GET /tags HTTP/1.0\\r\\n\\r\\n" >&3'
    asked = f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{PORT}; {question}; tail -n 1 <&3'"
    until(lambda: host.ssh(asked).stdout.startswith("{"), "the registry", 60)
    found: dict[str, str] = json.loads(host.ssh(asked).stdout)
    return found


def without_registry(host: LabHost) -> None:
    """Take it away."""
    host.ssh("docker rm -f registry >/dev/null 2>&1; rm -rf /srv/images /srv/registry.py")
