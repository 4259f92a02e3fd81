"""A lab for one run of the tests: no other run has it at the same time, and what a killed run left in it is removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from towline.lab.docker import lab_folder
from towline.lab.host import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def spare_lab(checkout_name: str) -> Iterator[Lab]:
    """The first lab of this checkout that nobody uses, empty; nothing of it is left at the end."""
    with _spare_slot(checkout_name) as number:
        folder = lab_folder(os.environ) / "tests" / f"{checkout_name}-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        with Lab(os.environ, folder) as lab:
            lab.down()
            try:
                yield lab
            finally:
                lab.down()


@contextlib.contextmanager
def _spare_slot(checkout_name: str) -> Iterator[int]:
    slots = lab_folder(os.environ) / "tests"
    slots.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        with (slots / f"{checkout_name}-{number}.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                number += 1
                continue
            yield number
            return
