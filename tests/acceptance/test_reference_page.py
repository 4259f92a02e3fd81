"""Cooly in a real browser: from logging in to logging out, with the live connection there, cut or missing."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.lab.reference_lab import SECRET, Lab, answers, lab, new_address, own_database
from tests.real_servers import free_port, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from tests.lab.reference_lab import Program
    from tests.real_servers import Bucket, Postgres, Valkey

pytestmark = pytest.mark.needs("chromium")

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PROMPT = "peaks above the clouds, early in the morning"
OTHERS = ("gen", "relay", "capture", "sweeper")


@pytest.fixture(scope="module")
def cooly(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, valkey: Valkey, bucket: Bucket
) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("page"), postgres, own_database(valkey, 11), bucket) as made:
        made.environ["GENERATOR_SECONDS"] = "2"
        yield made


@pytest.fixture(scope="module")
def url(cooly: Lab) -> Iterator[str]:
    with cooly.api(*OTHERS) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        launched = play.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
        yield launched
        launched.close()


class Screen:
    """One browser window of one person; `complaints` is what the console says is wrong."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(url)

    def log_in(self, email: str, password: str = SECRET) -> None:
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def ask(self, prompt: str) -> None:
        self.page.get_by_label("What would you like to see?").fill(prompt)
        self.page.get_by_role("button", name="Generate").click()

    def state(self) -> str:
        return str(self.page.locator("#stage").get_attribute("data-state"))

    def reached(self, state: str) -> None:
        until(lambda: self.state() == state, f"the stage is {state}")

    def shows(self, prompt: str) -> str:
        """The address of the large picture, once it has been loaded whole."""
        picture = self.page.get_by_role("figure").get_by_role("img", name=prompt, exact=True)
        picture.wait_for(timeout=60_000)
        until(
            lambda: picture.evaluate("image => image.complete && image.naturalWidth === 1024"), "the picture is loaded"
        )
        return str(picture.get_attribute("src"))

    def credits(self, text: str) -> None:
        shown = self.page.locator("#credits-text")
        until(lambda: " ".join(shown.inner_text().split()) == text, f"`{text}`, not `{shown.inner_text()}`")


@pytest.fixture
def window(browser: Browser, url: str) -> Iterator[Callable[..., Screen]]:
    """Opens windows of people at different addresses; closes them at the end."""
    opened = []

    def open_one(address: str = url, prepare: Callable[[Page], None] | None = None, **options: Any) -> Screen:
        usual: dict[str, Any] = {
            "viewport": {"width": 1280, "height": 860},
            "extra_http_headers": {"X-Forwarded-For": new_address()},
        }
        context = browser.new_context(**(usual | options))
        opened.append(context)
        page = context.new_page()
        if prepare is not None:
            prepare(page)
        return Screen(page, address)

    yield open_one
    for context in opened:
        context.close()


def test_from_log_in_to_log_out(cooly: Lab, window: Callable[..., Screen], tmp_path: Path) -> None:
    """The bar moves, the picture loads from the bucket as a JPEG, a reload keeps it, logging out hides it."""
    email = cooly.account()
    screen = window()
    page = screen.page
    screen.log_in(email, "not this one")
    until(lambda: "do not go together" in page.locator("#login-problem").inner_text(), "a wrong password is refused")
    assert [one for one in screen.complaints if "401" not in one] == []
    screen.complaints.clear()
    screen.log_in(email)
    page.get_by_text("Your first picture will hang here.").wait_for()
    screen.credits("10 credits")
    page.screenshot(path=tmp_path / "1-empty.png")

    with page.expect_response(lambda one: ".jpg" in one.url and ".small." not in one.url, timeout=60_000) as loaded:
        screen.ask(PROMPT)
        screen.credits("9 credits + 1 reserved")
        moved: set[float] = set()

        def moves() -> bool:
            moved.add(float(page.locator("#done").evaluate("bar => bar.value")))
            return len(moved) > 3

        until(moves, "the bar moves")
        assert page.locator("#note").inner_text()
        page.screenshot(path=tmp_path / "2-working.png")
        address = screen.shows(PROMPT)
    assert loaded.value.headers["content-type"] == "image/jpeg"
    assert address.startswith(cooly.environ["S3_ENDPOINT"])
    screen.credits("9 credits")
    page.screenshot(path=tmp_path / "3-done.png")

    page.reload()
    screen.shows(PROMPT)
    page.get_by_role("button", name=PROMPT, exact=True).wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()
    assert page.get_by_text(PROMPT).count() == 0, "nothing of it is left in the page"
    page.reload()
    page.get_by_role("button", name="Log in").wait_for()
    assert screen.complaints == []


def test_demo_account_is_offered(cooly: Lab, window: Callable[..., Screen]) -> None:
    """In development the login page has an account to try; in production it has none."""
    offer = window().page.get_by_text("This account is there to try")
    offer.wait_for()
    with cooly.api(APP_ENV="production") as address:
        page = window(address).page
        page.get_by_role("button", name="Log in").wait_for()
        assert not page.get_by_text("This account is there to try").is_visible()


def test_failure_and_the_last_credit(cooly: Lab, window: Callable[..., Screen], tmp_path: Path) -> None:
    """What went wrong is shown, the credit comes back; with the last one spent the page says so."""
    screen = window()
    screen.log_in(cooly.account(1))
    screen.ask("fail! in the hills")
    screen.reached("failed")
    screen.page.get_by_text("The generator was asked to fail, and did.").wait_for()
    screen.page.get_by_text("Your credit is back.").wait_for()
    screen.credits("1 credit")
    screen.page.screenshot(path=tmp_path / "failed.png")
    screen.ask("a storm at sea")
    screen.shows("a storm at sea")
    screen.credits("0 credits")
    screen.ask("one more")
    screen.page.get_by_role("alert").get_by_text("You have no credits left.").wait_for()
    screen.ask("  ")
    screen.page.get_by_role("alert").get_by_text("Please describe what you would like to see.").wait_for()


def test_two_people_see_their_own(cooly: Lab, window: Callable[..., Screen]) -> None:
    """Both watch their pictures appear at the same time, and neither sees the other's."""
    screens = {prompt: window() for prompt in ("aurora over a fjord", "desert dunes")}
    for prompt, screen in screens.items():
        screen.log_in(cooly.account())
        screen.ask(prompt)
    for screen in screens.values():
        screen.reached("working")
    for prompt, screen in screens.items():
        screen.shows(prompt)
        assert screen.page.locator("#gallery li").count() == 1
        assert screen.complaints == []


def test_second_window_follows(cooly: Lab, window: Callable[..., Screen]) -> None:
    """What is asked for in one window appears in the same person's other one without a reload."""
    email = cooly.account()
    one, other = window(), window()
    for screen in (one, other):
        screen.log_in(email)
    other.page.get_by_text("Your first picture will hang here.").wait_for()
    one.ask("misty forest by the lake")
    other.shows("misty forest by the lake")
    other.credits("9 credits")


@pytest.mark.parametrize("streams", [True, False], ids=["streams", "asking"])
def test_without_websocket(cooly: Lab, window: Callable[..., Screen], *, streams: bool) -> None:
    """Where no WebSocket gets through, streams tell; where those do not either, the page asks."""
    seen: list[str] = []

    def prepare(page: Page) -> None:
        page.route_web_socket(re.compile("/ws$"), lambda socket: socket.close())
        if not streams:
            page.route(re.compile("/events$"), lambda route: route.fulfill(status=502))
        page.on("request", lambda asked: seen.append(asked.url))

    screen = window(prepare=prepare)
    screen.log_in(cooly.account())
    screen.ask("sunset, birds in the air")
    screen.shows("sunset, birds in the air")
    screen.credits("9 credits")
    assert any(one.endswith("/events") for one in seen)
    assert any(re.search(r"/api/generations/[0-9a-f-]{36}$", one) for one in seen) is not streams


def test_api_restarted_under_the_page(cooly: Lab, window: Callable[..., Screen]) -> None:
    """The API is killed while a picture is made and comes back: the page shows the picture without a reload."""
    port = free_port()

    @contextmanager
    def serving() -> Iterator[Program]:
        with cooly.roles("api", PORT=str(port)) as program:
            until(lambda: answers(program, f"http://localhost:{port}/livez"), "the API")
            yield program

    with serving() as first:
        screen = window(f"http://localhost:{port}")
        screen.log_in(cooly.account())
        screen.ask("a lake at night")
        screen.reached("working")
        first.end(signal.SIGKILL)
    with serving():
        screen.shows("a lake at night")
        screen.credits("9 credits")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_screens(cooly: Lab, window: Callable[..., Screen], tmp_path: Path, scheme: str) -> None:
    """On a narrow phone nothing sticks out, and everything can be reached by keyboard, with a name."""
    screen = window(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page = screen.page
    page.get_by_role("button", name="Log in").wait_for()

    def sticks_out() -> bool:
        return bool(page.evaluate("document.scrollingElement.scrollWidth > innerWidth"))

    assert not sticks_out()
    page.screenshot(path=tmp_path / f"login-{scheme}.png")
    screen.log_in(cooly.account())
    screen.ask("snowy peaks above a very long prompt that goes on and on, as people like to write them")
    screen.reached("done")
    assert not sticks_out()
    page.screenshot(path=tmp_path / f"studio-{scheme}.png", full_page=True)
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, a, input, textarea')].filter((one) => one.checkVisibility() &&"
        " !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length)).length"
    )
    assert nameless == 0
