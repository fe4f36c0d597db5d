"""A file is whole and right under its name, or not there: against a server on 127.0.0.1 that truncates, stalls,
redirects, corrupts, refuses and forgets."""

import resource
import threading
import time

import pytest

from minigan.data.download import DownloadError, Patience, fetch
from minigan.torture.web import DATA, redirect, right, serving

QUICK = Patience(tries=3, timeout=0.4, pause=0.01)


@pytest.fixture
def server():
    with serving() as server:
        yield server


def get(tmp_path, *urls, most=1 << 20, patience=QUICK, check=right):
    path = fetch("file.bin", urls, tmp_path, check, most, patience)
    assert path == tmp_path / "file.bin" and path.read_bytes() == DATA
    assert not [p for p in tmp_path.iterdir() if p.suffix in (".part", ".json")]
    return path


def refused(tmp_path, *urls, most=1 << 20, check=right) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch("file.bin", urls, tmp_path, check, most, QUICK)
    assert not (tmp_path / "file.bin").exists()
    return str(caught.value)


def test_a_file_is_fetched_once(tmp_path, server):
    url = server.url("a", lambda h: h.reply(DATA))
    get(tmp_path, url)
    get(tmp_path, url)
    assert server.requests == [("/a", 0)]


def test_a_cut_transfer_goes_on_where_it_ended(tmp_path, server):
    """Each answer brings 100,000 bytes: more cuts than tries, but each brings something."""
    get(tmp_path, server.url("a", lambda h: h.reply(DATA, send=100_000)))
    assert [first for _, first in server.requests] == [0, 100_000, 200_000, 300_000, 400_000, 500_000]


def test_a_server_without_ranges_is_asked_again(tmp_path, server):
    """It answers 200 to a range: the file is begun anew, not appended to."""
    lengths = iter([200_000, None])
    get(tmp_path, server.url("a", lambda h: h.reply(DATA, send=next(lengths), ranges=False)))
    assert len(server.requests) == 2


def test_a_stopped_download_is_resumed_by_the_next_call(tmp_path, server):
    url = server.url("a", lambda h: h.reply(DATA, send=70_000 if h.first == 0 else 0))
    refused(tmp_path, url)
    server.url("a", lambda h: h.reply(DATA))
    server.requests.clear()
    get(tmp_path, url)
    assert server.requests == [("/a", 70_000)]


def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path, server):
    """If-Range with the old version: the server sends the new file whole."""
    versions = iter(['"old"', '"new"'])

    def answer(h):
        tag = next(versions)
        h.reply(DATA if tag == '"new"' else bytes(len(DATA)), send=90_000 if tag == '"old"' else None, tag=tag)

    get(tmp_path, server.url("a", answer))
    assert server.requests == [("/a", 0), ("/a", 90_000)]


def test_a_wrong_beginning_is_not_kept(tmp_path, server):
    """A part of other content, resumed without a version, makes a wrong file: once more from the first byte."""
    (tmp_path / ".file.bin.part").write_bytes(b"x" * 1000)
    url = server.url("a", lambda h: h.reply(DATA))
    (tmp_path / ".file.bin.json").write_text(f'{{"url": "{url}"}}')
    get(tmp_path, url)
    assert server.requests == [("/a", 1000), ("/a", 0)]


def test_stalls_end(tmp_path, server):
    """Silence and a trickle both count as stalled; the next try goes on."""

    def silent(h):
        h.reply(DATA, send=50_000 if h.first == 0 else None)
        if h.first == 0:
            h.wfile.flush()
            time.sleep(20)

    start = time.monotonic()
    get(tmp_path, server.url("silent", silent))
    assert time.monotonic() - start < 15 and server.requests[1] == ("/silent", 50_000)

    def trickle(h):
        h.send_response(200)
        h.send_header("Content-Length", str(len(DATA)))
        h.end_headers()
        for _ in range(40):
            time.sleep(0.1)
            h.wfile.write(b"x")

    (tmp_path / "b").mkdir()
    patience = Patience(tries=1, timeout=0.4, pause=0.01)
    with pytest.raises(DownloadError, match="stalled"):
        fetch("file.bin", [server.url("trickle", trickle)], tmp_path / "b", right, 1 << 20, patience)


def test_errors_that_pass_are_tried_again(tmp_path, server):
    answers = iter([503, 429, 500, 0])

    def answer(h):
        code = next(answers)
        return h.send_error(code) if code else h.reply(DATA)

    url = server.url("a", answer)
    get(tmp_path, url, patience=Patience(tries=4, timeout=1, pause=0.01))
    assert len(server.requests) == 4


def test_the_next_mirror_is_asked(tmp_path, server):
    """Absent, corrupt, then right; a refused mirror is not asked twice, and its part is not appended to."""
    absent = server.url("absent", lambda h: h.send_error(404))
    corrupt = server.url("corrupt", lambda h: h.reply(b"!" + DATA[1:]))
    get(tmp_path, absent, corrupt, server.url("right", lambda h: h.reply(DATA)))
    assert server.requests == [("/absent", 0), ("/corrupt", 0), ("/right", 0)]


def test_every_mirrors_reason_is_told(tmp_path, server):
    text = refused(
        tmp_path,
        server.url("absent", lambda h: h.send_error(404)),
        server.url("corrupt", lambda h: h.reply(b"!" + DATA[1:])),
        "http://127.0.0.1:9/closed",
    )
    assert "absent: HTTP 404" in text and "corrupt:" in text and "sha256" in text and "refused" in text
    assert "--path" in text


def test_redirects(tmp_path, server):
    """Followed over http; not to a file of this machine or another protocol; not in a circle."""
    right_url = server.url("right", lambda h: h.reply(DATA))
    get(tmp_path, server.url("go", lambda h: redirect(h, right_url)))
    (tmp_path / "b").mkdir()
    secret = tmp_path / "b" / "secret"
    secret.write_bytes(DATA)
    assert "not allowed" in refused(tmp_path / "b", server.url("file", lambda h: redirect(h, secret.as_uri())))
    assert "not followed" in refused(tmp_path / "b", server.url("ftp", lambda h: redirect(h, "ftp://127.0.0.1/x")))
    assert "infinite loop" in refused(tmp_path / "b", server.url("round", lambda h: redirect(h, "/round")))
    assert "only http" in refused(tmp_path / "b", secret.as_uri())


ADDRESSES = [
    *("http://[::1", "http://[v1.x]/a", "http://127.0.0.1:x/a", "http://127.0.0.1:99999/a", "http://127.0.0.1:-1/a"),
    *(
        "http://a..b/c",
        f"http://{'a' * 70}.example/",
        "http:///a",
        "http://",
        "http:a",
        "//",
        "http://\u00b2/",
        "http://%zz/",
    ),
    *(
        "http://user:pass@[/",
        "http://127.0.0.1 /x",
        "http://127.0.0.1:9/a\tb",
        "",
        "http://\xff\xfe/",
        "javascript:alert(1)",
    ),
]
HEADERS = [
    {"Content-Length": value}
    for value in ("\xb2", "-1", "+5", "1e9", "0x10", "9" * 5000, "9" * 30, "nan", "", "5, 5", "\x1b[31m5", "512000.0")
] + [{"Content-Range": value} for value in ("bytes 0-1/\xb2", "bytes */*", "bytes " + "9" * 5000 + "-1/1", "x", "")]
WAITS = ["\xb2", "9" * 500, "-1", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", "1e400", "0.01"]


def say(h, code: int, headers: dict[str, str], body: bytes = b"", words: str = "words") -> None:
    """An answer as the bytes that it is: the library's own server would refuse some headers."""
    lines = [f"HTTP/1.1 {code} {words}", *(f"{k}: {v}" for k, v in headers.items()), "Connection: close", "", ""]
    h.close_connection = True
    h.wfile.write("\r\n".join(lines).encode("latin-1", "replace") + body)


def test_a_mirror_that_makes_no_sense_is_passed_over(tmp_path, server, monkeypatch):
    """Addresses that a redirect names, lengths, ranges and waits: each ends at the next mirror, or is borne with."""
    naps = []
    monkeypatch.setattr("minigan.data.download.time.sleep", naps.append)
    good = server.url("good", lambda h: h.reply(DATA))
    bad = [lambda h, a=a: say(h, 302, {"Location": a}) for a in ADDRESSES]
    bad += [lambda h, x=x: say(h, 200, x, DATA) for x in HEADERS]
    bad += [lambda h, x=x: say(h, 206, x, DATA) for x in HEADERS]
    bad += [lambda h, w=w: say(h, 503, {"Retry-After": w}) for w in WAITS]
    bad += [lambda h: h.wfile.write(b"\x1b[31m\0\xff" * 100), lambda h: say(h, 999, {}), lambda h: say(h, 99, {})]
    patience = Patience(tries=2, timeout=1, pause=0.0)
    for k, answer in enumerate(bad):
        (tmp_path / str(k)).mkdir()
        get(tmp_path / str(k), server.url(f"bad{k}", answer), good, patience=patience)
    assert all(0 <= nap <= 60 for nap in naps)


def test_a_servers_words_are_escaped(tmp_path, server):
    """They could clear the screen, or write over a line."""
    url = server.url("a", lambda h: say(h, 404, {}, words="\x1b[2J\x07gone"))
    text = refused(tmp_path, url, server.url("b", lambda h: say(h, 302, {"Location": "ftp://\x1b]0;x\x07/"})))
    assert "\\x1b[2J\\x07gone" in text and text.isprintable()


def test_a_full_disk_names_the_file_and_the_way_out(tmp_path, server):
    """A limit on the size of files stands for a full disk; no other mirror is asked, and the part goes on later."""
    urls = [server.url(name, lambda h: h.reply(DATA)) for name in ("a", "b")]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(OSError, match=r"cannot write .*file\.bin\.part: .*; free some space, or .*MINIGAN_CACHE"):
            fetch("file.bin", urls, tmp_path, right, 1 << 20, QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path for path, _ in server.requests} == {"/a"}
    get(tmp_path, *urls)


def test_too_long_is_refused(tmp_path, server):
    """Announced or not; nothing beyond the limit is kept."""
    assert "more than the 1,000" in refused(tmp_path, server.url("a", lambda h: h.reply(DATA)), most=1000)

    def endless(h):
        h.send_response(200)
        h.end_headers()
        h.wfile.write(DATA)

    assert "more than the 100,000" in refused(tmp_path, server.url("b", endless), most=100_000)
    assert not list(tmp_path.glob(".*.part"))


def test_a_damaged_file_is_fetched_again(tmp_path, server):
    (tmp_path / "file.bin").write_bytes(b"half")
    get(tmp_path, server.url("a", lambda h: h.reply(DATA)))


def test_two_at_once_download_once(tmp_path, server):
    def slow(h):
        time.sleep(0.1)
        h.reply(DATA)

    url = server.url("a", slow)
    threads = [threading.Thread(target=get, args=(tmp_path, url)) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert server.requests == [("/a", 0)] and (tmp_path / "file.bin").read_bytes() == DATA
