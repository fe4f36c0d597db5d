"""One Chromium for all tests of the page, and the page as a file; without a Chromium they are skipped."""

import browser as chromium
import pytest

from minigan.lab import page


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if chromium.program() is None:
        pytest.skip(f"no Chromium on the path (looked for {', '.join(chromium.NAMES)})")
    with chromium.browser(tmp_path_factory.mktemp("chromium")) as window:
        window.size(1440, 900)
        yield window


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("lab") / "lab.html"
    path.write_text(page("test"), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def lab(browser, address):
    """A function that opens the page at a hash; the console must have stayed silent at the end."""

    def opened(hash_: str = ""):
        browser.console.clear()
        browser.open(address + hash_)
        return browser

    yield opened
    assert browser.console == []
