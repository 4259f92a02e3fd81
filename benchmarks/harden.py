"""What hardening a bare host costs: `towline provision` against the same list in ansible-core.

Fresh lab hosts of one kind, in turn, each side with a new one every round: a host that has nothing of it, then the same
host again. Both install the same packages in one transaction, and both prove nothing but what they prove by themselves:
Towline asks every item, logs in twice from outside and keeps a way back; the playbook asks what its modules ask.
Pipelining is on for ansible, and python3-apt is there before the time is taken: its module would install it first.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Goals, machine, spread, table
from towline.drivers.host.harden.fragments import fragments
from towline.lab.docker import lab_folder
from towline.lab.host import Lab

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.lab.host import LabHost

ANSIBLE = "ansible-core==2.19.14"
ROUNDS = 3
SIDES = Path(__file__).parent / "harden_sides"
PACKAGES = "ca-certificates,docker.io,fail2ban,iptables,python3-systemd,sudo,ufw,unattended-upgrades"


def ansible(folder: Path) -> Path | None:
    """ansible-playbook in an environment of its own, made once; None where it cannot be had."""
    home = folder / ANSIBLE
    program = home / "bin" / "ansible-playbook"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        got = subprocess.run([home / "bin" / "pip", "install", "--quiet", ANSIBLE], check=False)
        if got.returncode != 0:
            return None
    return program


def files(folder: Path, host: LabHost) -> None:
    """What the playbook copies: the same contents as Towline's, printed by its own fragments."""
    ours = {
        "jail": ("ban-settings", "wanted_jails"), "filter": ("ban-settings", "wanted_filter"),
        "upgrades": ("upgrades", "wanted"), "sshd": ("ssh", "wanted"), "clean-up": ("clean-up", "wanted_script"),
        "clean-up.service": ("clean-up", "wanted_service"), "clean-up.timer": ("clean-up", "wanted_timer"),
        "after": ("firewall", "block ufw-user-forward"), "after6": ("firewall", "block ufw6-user-forward"),
        "sysctl": ("kernel", "settings"),
    }  # fmt: skip
    settings = "PORTS=22 TRIES=3 IPV6=yes IGNORED='' USER=deploy\n"
    for name, (item, call) in ours.items():
        program = settings + fragments(item).shared + call + "\n"
        text = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True).stdout
        if name == "sysctl":
            has = host.inside("cd /proc/sys && find net -type f -writable").stdout.split()
            text = "".join(line + "\n" for line in text.splitlines() if line.split("=")[0].replace(".", "/") in has)
        folder.joinpath(name).write_text(text)
    folder.joinpath("clean-up.service").write_text(
        folder.joinpath("clean-up.service")
        .read_text()
        .replace("/usr/local/lib/towline/clean-up", "/usr/local/lib/towline-clean-up")
    )


def fresh(host: LabHost) -> LabHost:
    """A new machine of the same name, with what ansible's apt module would install before everything else."""
    new = host.reset(suite="bookworm", docker=False)
    done = new.inside("apt-get -qq update && apt-get -qq install -y --no-install-recommends python3-apt", within=300)
    if done.status != 0:
        raise SystemExit(f"the host is not ready: {done.stderr}")
    # As it comes from a seller: no lists, and old enough for a module that goes by the age of their folder.
    new.inside(
        "rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/lib/apt/periodic/*\n"
        "touch -d 2020-01-01 /var/lib/apt/lists"
    )
    return new


def timed(argv: list[str], env: Mapping[str, str] | None = None) -> float:
    """Seconds until a command has ended well."""
    began = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        raise SystemExit(f"{argv[0]} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return time.monotonic() - began


def towline(lab: Lab, host: LabHost, folder: Path) -> tuple[float, float]:
    """The first run and the second."""
    del folder
    argv = [
        sys.executable, "-m", "towline.cli.main", "provision", f"root@{host.name}", "--yes", "--swap", "0",
        "--ssh-config", str(lab.ssh_config), "--key", f"{host.key}.pub",
    ]  # fmt: skip
    # As it is installed: its modules are compiled once, not at every start.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return timed(argv, env), timed(argv, env)


def playbook(program: Path, lab: Lab, host: LabHost, folder: Path) -> tuple[float, float]:
    """The first run as root and the second as the deployer."""
    files(folder, host)
    ssh = f"-F {lab.ssh_config} -o ControlMaster=auto -o ControlPersist=60s -o ControlPath={folder}/%C"
    env = {
        **os.environ, "ANSIBLE_PIPELINING": "1", "ANSIBLE_HOST_KEY_CHECKING": "1", "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_SSH_ARGS": ssh, "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
    }  # fmt: skip
    key = Path(f"{host.key}.pub").read_text().strip()
    values = {"files": str(folder), "key": key, "packages": PACKAGES.split(",")}
    folder.joinpath("values.json").write_text(json.dumps(values))
    argv = [str(program), "-i", f"{host.name},", "-e", f"@{folder}/values.json", str(SIDES / "playbook.yml")]
    return timed([*argv, "-u", "root"], env), timed([*argv, "-u", "deploy", "--become"], env)


def main() -> int:
    """Measure both in turn, and print the ratio."""
    machine(ansible=ANSIBLE)
    program = ansible(lab_folder(os.environ) / "bench")
    times: dict[str, list[tuple[float, float]]] = {"towline provision": [], "ansible-core": []}
    with (
        tempfile.TemporaryDirectory(prefix="towline-bench-") as name,
        Lab(os.environ, Path(name)) as lab,
    ):
        try:
            host = lab.up(1)[0]
            for number in range(ROUNDS):
                folder = Path(name) / f"round{number}"
                folder.mkdir()
                times["towline provision"].append(towline(lab, fresh(host), folder))
                if program is not None:
                    times["ansible-core"].append(playbook(program, lab, fresh(host), folder))
        finally:
            lab.down()
    rows = [
        (side, spread([first for first, _ in seconds]), spread([second for _, second in seconds]))
        for side, seconds in times.items()
        if seconds
    ]
    table((f"{ROUNDS} rounds", "a fresh host", "again"), rows)
    return judged(times)


def judged(times: Mapping[str, list[tuple[float, float]]]) -> int:
    """The goals; a peer that is missing is a fail."""
    goals = Goals("harden")
    for place, word in ((0, "fresh"), (1, "again")):
        ours, theirs = ([pair[place] for pair in seconds] for seconds in times.values())
        ratio = statistics.median(ours) / statistics.median(theirs) if theirs else None
        goals.at_most(f"{word}_against_ansible", ratio, "ratio", 0.5)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
