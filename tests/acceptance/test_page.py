"""Postcards in a real browser: what a person who tries the demo does, from the upload to the next morning."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.acceptance.projects import Project, ask, project
from tests.real_servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
GREETING = "Greetings from a browser"


@pytest.fixture(scope="module")
def postcards(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Project]:
    """A copy of the example, up; where the original is installed already, its installation is used."""
    with project(checkout / "examples/postcards", tmp_path_factory.mktemp("page"), "postcards") as made:
        if (made.path / ".venv").exists():
            page = made.path / "towline.yaml"
            page.write_text(re.sub(r"^ +setup: .*\n", "", page.read_text(), flags=re.MULTILINE))
        made.run("up", "--detach", within=240).must()
        yield made


@pytest.fixture
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        launched = play.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        yield launched
        launched.close()


def loaded(page: Page, greeting: str) -> str:
    """The address of the card with this greeting, once its image has been loaded whole."""
    card = page.get_by_role("img", name=f"Postcard: {greeting}")
    card.wait_for(timeout=30_000)
    until(lambda: card.evaluate("image => image.complete && image.naturalWidth === 1200"), "the image is loaded")
    return str(card.get_attribute("src"))


def write_card(page: Page, photo: Path) -> int:
    """Fill in the form and send it; the status of the answer."""
    page.set_input_files("#photo", photo)
    page.fill("#greeting", GREETING)
    with page.expect_response(lambda one: one.url.endswith("/api/cards") and one.request.method == "POST") as told:
        page.click("#send")
    return int(told.value.status)


def no_public_writing(address: str) -> None:
    """Without a key the public bucket lets nobody write, delete or list; with the wrong Host it knows no better."""
    public = httpx.URL(address)
    bucket = public.path.split("/")[1]
    headers = {"Host": public.netloc.decode()}
    with httpx.Client(base_url=f"http://127.0.0.1:{public.port}", headers=headers, trust_env=False) as client:
        assert client.get(public.path).status_code == 200
        assert client.put(f"/{bucket}/cards/intruder.txt", content=b"x").status_code in (401, 403, 405)
        assert client.put(public.path, content=b"x").status_code in (401, 403, 405)
        assert client.delete(public.path).status_code in (401, 403, 405)
        assert client.get(f"/{bucket}/cards/intruder.txt").status_code in (403, 404)
        assert client.get(public.path).headers["content-type"] == "image/jpeg"


@pytest.mark.needs("chromium")
def test_card_from_upload_to_the_next_morning(postcards: Project, browser: Browser, tmp_path: Path) -> None:
    """A photo becomes a card without a reload, loads from the bucket's own address, and outlives `down` and `up`."""
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    url = postcards.url()
    page.goto(url)
    page.screenshot(path=tmp_path / "1-open.png")
    assert write_card(page, postcards.path / "sample/photo.jpg") == 202
    address = loaded(page, GREETING)
    page.screenshot(path=tmp_path / "2-card.png")
    assert httpx.URL(address).host == "media.postcards.localhost"

    page.reload()
    assert loaded(page, GREETING) == address
    assert complaints == []
    page.get_by_label(f"Original photo of “{GREETING}”").click()
    page.wait_for_load_state()
    assert httpx.URL(page.url).host == "media.postcards.localhost"
    assert "X-Amz-Signature" in page.url
    assert page.evaluate("document.images[0].naturalWidth") > 0
    assert ask(page.url.partition("?")[0]).status_code == 403, "the photo itself is private"
    page.screenshot(path=tmp_path / "3-original.png")
    no_public_writing(address)
    complaints.clear()  # a photo alone in a tab has no icon, which the browser asks its host for

    postcards.run("down").must()
    assert not postcards.processes()
    postcards.run("up", "--detach", within=120).must()
    assert postcards.run("status", "--json").must().json()["addresses"]["api"] == url
    page.goto(url)
    assert loaded(page, GREETING) == address
    page.screenshot(path=tmp_path / "4-next-morning.png", full_page=True)
    assert complaints == []


def test_stores_answer_only_on_this_machine(postcards: Project) -> None:
    """Every socket that any process of the demo listens on is on the loopback address."""
    import psutil

    postcards.run("up", "--detach", within=120).must()  # another test may have ended between `down` and `up`
    ours = set(postcards.processes())
    listening = [one for one in psutil.net_connections("tcp") if one.status == "LISTEN" and one.pid in ours]
    assert len(listening) >= 5
    assert {str(one.laddr[:1]) for one in listening} <= {"('127.0.0.1',)", "('::1',)"}
