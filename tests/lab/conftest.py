"""The page as a file, opened in the Chromium of all tests."""

import pytest

from minigan.lab import page


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
