"""Machine room, kernels: files of the cache that are whole or not there.

    content | SHA-256 of (the last three parts of the path, content), 32 bytes

Loading compiled code is running it, so a damaged byte would end the process or give other numbers. `read` gives the
content of a file only where the seal at its end fits; a flipped bit, a cut, an empty file, and a file that was copied
over another are all misses. The seal stands at the end, where the loader of shared libraries does not look.
"""

import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path

SIZE = 32


def _seal(path: Path, content: bytes | memoryview) -> bytes:
    digest = hashlib.sha256("/".join(path.parts[-3:]).encode() + b"\0")
    digest.update(content)
    return digest.digest()


def write(path: Path, content: bytes) -> None:
    """Write the content and its seal under another name in the same folder, then rename: never a part. OSError."""
    temporary = path.with_name(f".{uuid.uuid4().hex[:16]}.tmp")
    try:
        temporary.write_bytes(content + _seal(path, content))
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def read(path: Path) -> memoryview | None:
    """The content of a file that `write` left, or None where there is none or it is damaged."""
    try:
        data = memoryview(path.read_bytes())
    except OSError:
        return None
    content, seal = data[:-SIZE], data[-SIZE:]
    return content if len(data) >= SIZE and seal == _seal(path, content) else None
