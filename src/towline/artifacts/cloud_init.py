"""cloud-init.yaml and server-setup.sh: a bare server of a `host` site made ready, hardened, with Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.rendered import RenderedFile
from towline.artifacts.server_setup import KEY_PLACEHOLDER, Server, setup_script

if TYPE_CHECKING:
    from towline.artifacts.rendered import Material
    from towline.spec.model import Site


def files(material: Material) -> tuple[RenderedFile, ...]:
    """For each `host` site the user data of a new server, and the same as a script for one that runs already."""
    sites = tuple(site for site in material.target.sites if site.kind == "host")
    return tuple(file for site in sites for file in _of_site(material, site, alone=len(sites) == 1))


def _of_site(material: Material, site: Site, *, alone: bool) -> tuple[RenderedFile, ...]:
    server = server_of(material, site)
    infix = "" if alone else f".{site.name}"
    script = setup_script(server)
    what = f"makes the server `{site.name}` ready: account, SSH, firewall, bans, updates, swap, Docker"
    return (
        RenderedFile(f"cloud-init{infix}.yaml", _document(server, script), f"user data of a new server: {what}"),
        RenderedFile(f"server-setup{infix}.sh", script, f"{what}; safe to run again", executable=True),
    )


def server_of(material: Material, site: Site) -> Server:
    """What the setup of one server needs to know."""
    user, _, address = site.options.get("ssh", "").rpartition("@")
    port = site.options.get("port") or (address.rpartition(":")[2] if address.count(":") == 1 else "")
    return Server(
        app=material.app.name,
        target=material.target.name,
        site=site.name,
        # Root's own login is closed: whoever deploys as root so far gets an account.
        user=user if user not in ("", "root") else "deploy",
        ssh_port=int(port) if port.isdigit() else 22,
        queue=any(store.kind == "redis" for store in material.placement.stores_on(site)),
    )


def _document(server: Server, script: str) -> str:
    body = "".join(f"      {line}\n" if line else "\n" for line in script.splitlines())
    return f"""\
#cloud-config
# Rendered by towline from compose.yaml and towline.yaml, target {server.target}
#
# User data of a new server for site `{server.site}`: Debian 13, Ubuntu 22.04 or newer. Put your public SSH key into the
# one line that asks for it, then give this file to whoever makes the server. What it does is in the script below; its
# last line in /var/log/cloud-init-output.log says whether all of it was done.

users:
  - name: {server.user}
    gecos: Deploys {server.app}
    shell: /bin/bash
    lock_passwd: true
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    ssh_authorized_keys:
      - "{KEY_PLACEHOLDER}"

write_files:
  - path: /usr/local/sbin/{server.app}-setup
    owner: root:root
    permissions: "0755"
    content: |
{body}
runcmd:
  - [/usr/local/sbin/{server.app}-setup]

# A kernel or a library that was updated on the way is in use from the start.
power_state:
  mode: reboot
  delay: now
  message: updated on the first boot
  condition: test -f /run/reboot-required
"""
