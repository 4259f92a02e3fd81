"""`python -m cooly ROLE...`: api, gen, capture, relay, sweeper, or all.

Exit codes: 0 told to end, and did; 1 the port is taken; 2 wrong arguments or settings.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from cooly.roles import ROLES, PortTaken, roles_of, run
from cooly.settings import Settings
from towline_runtime import logs
from towline_runtime.errors import SettingsInvalid
from towline_runtime.reporting import flush_reports, install_reporting


def main() -> int:
    """Read the settings and run the roles."""
    parser = argparse.ArgumentParser(prog="python -m cooly", description="Run one or more roles of Cooly.")
    parser.add_argument("roles", nargs="+", choices=[*ROLES, "all"], metavar="ROLE", help=", ".join([*ROLES, "all"]))
    named = parser.parse_args().roles
    try:
        settings = Settings.read(os.environ)
    except SettingsInvalid as error:
        sys.stderr.write(f"The settings are not complete:\n{error}\n")
        return 2
    service = settings.runtime.service_name if settings.runtime.service_name != "app" else "-".join(named)
    logs.install(service, settings.runtime.log_level, secrets=settings.secrets)
    install_reporting(settings.runtime)
    try:
        asyncio.run(run(settings, roles_of(settings, named)))
    except PortTaken as error:
        sys.stderr.write(f"{error}\n")
        return 1
    flush_reports()
    return 0


if __name__ == "__main__":
    sys.exit(main())
