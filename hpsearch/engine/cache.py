"""Compiled once on this machine, then loaded: a cache folder of the user's own around Numba's.

Numba's cache is neither crash-safe nor safe to share (a mismatched pair of files gave wrong numbers, and its files are
pickles), so it lives in a folder that only this user can write, named after everything the machine code depends on, and
is used only when each of its files has the checksum that was noted after compiling. Anything else: compiled anew.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

KERNELS = "hpsearch.engine.kernels"
MANIFEST = "manifest.json"
INHERITED = "HPSEARCH_ENGINE_CACHE"  # tells worker processes which folder their parent uses


def load_kernels(announce: Callable[[str], None] = lambda _: None) -> ModuleType:
    """The kernels, from the cache if it is whole; `announce` is told before a compilation, which takes seconds."""
    if KERNELS in sys.modules:
        return sys.modules[KERNELS]
    folder = cache_folder()
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if _is_whole(folder):
        return importlib.import_module(KERNELS)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_whole(folder):
            _clear(folder)
            announce("Compiling the engine for this machine, once: about 15 seconds ...")
            kernels = importlib.import_module(KERNELS)
            _write_manifest(folder)
            return kernels
    return importlib.import_module(KERNELS)


def is_compiled() -> bool:
    """Whether the kernels can be loaded without compiling."""
    return _is_whole(cache_folder())


def ensure_compiled(announce: Callable[[str], None]) -> None:
    """Compile if that was not done yet; a process that does not train itself need not load the kernels."""
    if not is_compiled():
        load_kernels(announce)


def cache_folder() -> Path:
    """The folder for this version of the engine on this kind of machine; a temporary one where none can be kept."""
    inherited = os.environ.get(INHERITED)
    if inherited and _is_private(Path(inherited)):
        return Path(inherited)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folder = base / "hpsearch" / _key()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "lock").touch(mode=0o600)
        private = _is_private(folder)
    except (OSError, RuntimeError):
        private = False
    if not private:
        folder = Path(tempfile.mkdtemp(prefix="hpsearch-engine-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[INHERITED] = str(folder)
    return folder


def _key() -> str:
    """A digest of all that the machine code depends on: sources, versions, processor."""
    here = Path(__file__).parent
    source = here / "kernels.py"
    status = source.stat()  # Numba looks at place and time of the file, not at its content
    parts = [str(source), str(status.st_mtime_ns), source.read_bytes(), (here / "layout.py").read_bytes()]
    parts += [(here / "hyperparameters.py").read_bytes(), sys.version, _processor()]
    parts += [importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy", "scipy")]
    parts += [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_C")]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:24]


def _processor() -> str:
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return platform.processor()
    return "".join(line for line in first.splitlines() if line.startswith(("model name", "flags", "Features")))


def _is_private(folder: Path) -> bool:
    """Whether `folder` is a real folder that belongs to this user and that nobody else can write."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _compiled_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in {".nbi", ".nbc"})


def _is_whole(folder: Path) -> bool:
    try:
        noted = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found = {str(path.relative_to(folder)): _sha256(path) for path in _compiled_files(folder)}
    except (OSError, ValueError):
        return False
    return bool(found) and noted == found


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    (folder / MANIFEST).unlink(missing_ok=True)


def _write_manifest(folder: Path) -> None:
    """Note what was compiled; written last and renamed into place, so a killed compilation leaves no manifest."""
    noted = {str(path.relative_to(folder)): _sha256(path) for path in _compiled_files(folder)}
    draft = folder / f"{MANIFEST}.{os.getpid()}"
    draft.write_text(json.dumps(noted), encoding="utf-8")
    draft.replace(folder / MANIFEST)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
