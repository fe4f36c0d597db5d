"""Downloads that survive bad networks: `fetch` leaves a verified file under its name, or nothing.

    mirror 1: receive into .NAME.part -> check the content -> rename to NAME
        cut off, stalled, 5xx, 429: try again after 1, 2, 4 ... s and go on where the part ended
        wrong content after a resumed transfer: once more from the first byte
        404, wrong content, too large: the next mirror, from its first byte

Resuming is a range request (RFC 9110, section 14), tied by If-Range to the same version of the
file where the server names one. Only http and https are spoken, also after redirects. What a server
says can be anything: headers that make no sense count as absent, an address that makes none as a
mirror that will not do, and its words reach a message escaped.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from .._terminal import printable, progress_bar

CHUNK = 1 << 16
LOWEST_RATE = 64  # bytes a second over `timeout` seconds; slower counts as stalled
MOST_TRIES = 100  # of one mirror, however much each of them brings


class DownloadError(OSError):
    """A file could not be had from any mirror; the message gives the reason of each."""


class _Again(Exception):
    """This try failed; another may not. `wait`: seconds the server asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class _Never(Exception):
    """This mirror will not do."""


@dataclass(frozen=True)
class Patience:
    """How long to bear with a mirror: tries without progress, seconds of silence, first pause between tries."""

    tries: int = 5
    timeout: float = 30.0
    pause: float = 1.0


def fetch(
    name: str,
    urls: Sequence[str],
    folder: Path,
    check: Callable[[Path], None],
    most: int = 2 << 30,
    patience: Patience = Patience(),
) -> Path:
    """The path of `folder`/`name`, fetched from the first of `urls` that gives what `check` accepts.

    check raises ValueError for a file whose content is wrong. most: bytes beyond which a download is
    refused. A file that is there is checked, and fetched again where it is damaged. Two processes
    that ask for the same file download it once. Raises DownloadError.
    """
    target, part = folder / name, folder / f".{name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    with _locked(folder / f".{name}.lock"):
        if target.exists():
            try:
                check(target)
                return target
            except ValueError as error:
                reasons.append(f"{target}: {error}")
                target.unlink()
        for url in urls:
            try:
                _from_mirror(url, part, check, most, patience)
                os.replace(part, target)
                return target
            except _Never as error:
                reasons.append(f"{url}: {printable(error)}")
            except OSError as error:  # the network's are among the reasons: this is the disk's
                raise OSError(
                    f"cannot write {part}: {error.strerror or error}; free some space, or name another folder by"
                    " $MINIGAN_CACHE"
                ) from error
            finally:
                if not part.exists():
                    _forget(part)
    raise DownloadError(
        f"cannot download {name}: " + "; ".join(reasons) + f"; put the file into {folder}, or name its folder by --path"
        " or $MINIGAN_DATA"
    )


def _from_mirror(url: str, part: Path, check: Callable[[Path], None], most: int, patience: Patience) -> None:
    """Receive and check `part`, trying again as long as it helps. Raises _Never."""
    note = _read_note(part)
    if note.get("url") != url:
        _forget(part)
    idle, resumed, reason = 0, False, ""
    for _ in range(MOST_TRIES):
        before = part.stat().st_size if part.exists() else 0
        resumed |= before > 0
        try:
            _receive(url, part, most, patience.timeout)
        except _Again as error:
            reason = str(error)
            idle = 0 if part.exists() and part.stat().st_size > before else idle + 1
            if idle >= patience.tries:
                break
            time.sleep(min(max(patience.pause * 2**idle, error.wait), 60.0))
            continue
        except _Never:
            _forget(part)
            raise
        try:
            check(part)
            return
        except ValueError as error:
            _forget(part)
            if not resumed:
                raise _Never(str(error)) from error
            resumed = False
    raise _Never(f"{reason} ({patience.tries} tries without progress)")


def _receive(url: str, part: Path, most: int, timeout: float) -> None:
    """One request: append to `part` what it lacks. Raises _Again, _Never."""
    offset = part.stat().st_size if part.exists() else 0
    note = _read_note(part)
    headers = {"User-Agent": "minigan", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if note.get("version"):
            headers["If-Range"] = note["version"]
    try:
        with _open(url, headers, timeout) as response:
            total = _total(response, offset)
            if response.status != 206 or (offset and note.get("total") not in (None, total)):
                if response.status == 206:  # another file than the one the part began with
                    _forget(part)
                    raise _Again("the file changed on the server")
                offset = 0
            if total is not None and total > most:
                raise _Never(f"{total:,} bytes are more than the {most:,} expected at most")
            if total is not None and total - offset > (free := shutil.disk_usage(part.parent).free):
                raise OSError(f"{total - offset:,} bytes to come, {free:,} free")
            tag = response.headers.get("ETag", "")
            version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
            _note(part).write_text(json.dumps({"url": url, "version": version, "total": total}))
            _store(response, part, offset, total, most, timeout)
    except urllib.error.HTTPError as error:
        _refused(error, part, offset)
    except urllib.error.URLError as error:
        raise _Again(str(error.reason)) from error
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise _Again(str(error) or type(error).__name__) from error


def _store(
    response: http.client.HTTPResponse, part: Path, offset: int, total: int | None, most: int, timeout: float
) -> None:
    """Write the body at `offset`. Raises _Again when it ends early or crawls, _Never when it is too long."""
    since, received = time.monotonic(), 0
    name = part.name.removeprefix(".").removesuffix(".part")
    hidden = not sys.stderr.isatty()
    with (
        open(part, "ab" if offset else "wb") as file,
        progress_bar(desc=name, total=total, initial=offset, unit="B", unit_scale=True, disable=hidden) as bar,
    ):
        while chunk := _received(response):
            offset += len(chunk)
            received += len(chunk)
            if offset > most:
                raise _Never(f"more than the {most:,} bytes expected at most")
            file.write(chunk)
            bar.update(len(chunk))
            seconds = time.monotonic() - since
            if seconds > timeout:
                if received < LOWEST_RATE * seconds:
                    raise _Again(f"stalled: {received} bytes in {seconds:.0f} s")
                since, received = time.monotonic(), 0
        file.flush()
        os.fsync(file.fileno())
    if total is not None and offset < total:
        raise _Again(f"cut off after {offset:,} of {total:,} bytes")
    if total is not None and offset > total:
        raise _Never(f"sent {offset:,} bytes, more than the {total:,} announced")


def _received(response: http.client.HTTPResponse) -> bytes:
    """The next bytes of the body. An OSError here is the network's, not the disk's: _Again."""
    try:
        return response.read1(CHUNK)
    except OSError as error:
        raise _Again(str(error) or type(error).__name__) from error


def _number(text: str) -> int | None:
    """The number that a header gives, or None where it is no plain one."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _total(response: http.client.HTTPResponse, offset: int) -> int | None:
    """The whole length of the file, or None where the server does not say. Raises _Again for a range not asked for."""
    if response.status == 206:
        span = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})", response.headers.get("Content-Range", ""))
        if not span or int(span[1]) != offset:
            raise _Again(f"asked from byte {offset}, sent {response.headers.get('Content-Range')!r}")
        return int(span[2])
    return _number(response.headers.get("Content-Length", ""))


def _refused(error: urllib.error.HTTPError, part: Path, offset: int) -> None:
    """Turn a status into _Again or _Never; 416 for a part that is already whole is neither."""
    with error:
        if error.code == 416:
            if error.headers.get("Content-Range", "") == f"bytes */{offset}":
                return
            _forget(part)
            raise _Again("the part is longer than the file") from error
        reason = f"HTTP {error.code} {error.reason}"
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _Again(reason, _number(error.headers.get("Retry-After", "")) or 0.0) from error
        raise _Never(reason) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in ("http", "https") or (before == "https" and after == "http"):
            raise _Never(f"redirected from {before} to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, headers: dict[str, str], timeout: float) -> http.client.HTTPResponse:
    if urlsplit(url).scheme not in ("http", "https"):
        raise _Never("only http and https are spoken")
    request = urllib.request.Request(url, headers=headers)
    try:
        return urllib.request.build_opener(_Redirects).open(request, timeout=timeout)
    except (OSError, _Never):
        raise
    except Exception as error:  # an address that a redirect names, and a header, can be anything at all
        if isinstance(error, http.client.HTTPException) and not isinstance(error, http.client.InvalidURL):
            raise
        raise _Never(f"its answer makes no sense: {error or type(error).__name__}") from error


def _note(part: Path) -> Path:
    """Beside a part: where it comes from."""
    return part.with_suffix(".json")


def _read_note(part: Path) -> dict:
    try:
        note = json.loads(_note(part).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time, where the system has advisory locks; the lock goes with its process."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
