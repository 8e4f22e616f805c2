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
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

KERNELS = "hpsearch.engine.kernels"
MANIFEST = "manifest.json"
WITHOUT_EFFECT = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")
KEPT_VERSIONS = 8
INHERITED = "HPSEARCH_ENGINE_CACHE"  # tells worker processes which folder their parent uses


def load_kernels(announce: Callable[[str], None] = lambda _: None) -> ModuleType:
    """The kernels, from the cache if it is whole; `announce` is told before a compilation, which takes seconds.

    A process of its own compiles: loaded code then is the same in every process, while a process that uses what it has
    just compiled may link other copies of inlined functions, and differ in last digits.
    """
    if KERNELS not in sys.modules:
        ensure_compiled(announce)
    return importlib.import_module(KERNELS)


def is_compiled() -> bool:
    """Whether the kernels can be loaded without compiling."""
    return _is_whole(cache_folder())


def ensure_compiled(announce: Callable[[str], None]) -> None:
    """Compile if that was not done yet; a process that does not train itself need not load the kernels."""
    folder = cache_folder()
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0" or _is_whole(folder):
        return
    announce("Compiling the engine for this machine, once: about 15 seconds ...")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_whole(folder):  # else another process has compiled it while we waited
            _clear(folder)
            _compile()
            _write_manifest(folder)
            _remove_old(folder.parent)


def _compile() -> None:
    """Import the kernels in a child process, which ends with this one because its input then ends."""
    code = (
        "import os, sys, threading, importlib;"
        "threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start();"
        f"sys.path[:] = {sys.path!r}; importlib.import_module({KERNELS!r}); sys.stderr.flush(); os._exit(0)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:  # noqa: S603 - our own code
        try:
            error = child.stderr.read().decode(errors="replace")
            if child.wait() != 0:
                raise RuntimeError(f"the engine cannot be compiled: {error.strip()[-2000:]}")
        finally:
            child.kill()


def cache_folder() -> Path:
    """The folder for this version of the engine on this kind of machine; a temporary one where none can be kept."""
    key = _key()
    inherited = os.environ.get(INHERITED)
    if inherited and inherited.endswith(key) and _is_private(Path(inherited)):
        return Path(inherited)
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
        folder = base / "hpsearch" / key
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "lock").touch(mode=0o600)
        private = _is_private(folder)
    except (OSError, RuntimeError):
        private = False
    if not private:
        base = Path(tempfile.mkdtemp(prefix="hpsearch-"))
        atexit.register(_remove_if_owner, base, os.getpid())
        folder = base / key
        folder.mkdir(mode=0o700)
    os.environ[INHERITED] = str(folder)
    return folder


def _remove_if_owner(folder: Path, owner: int) -> None:
    """Delete a temporary folder, but not at the end of a forked worker."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_old(base: Path) -> None:
    """Keep the machine code of the latest few versions; each takes about a megabyte."""
    folders = sorted((path for path in base.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for folder in folders[:-KEPT_VERSIONS]:
        shutil.rmtree(folder, ignore_errors=True)


def _key() -> str:
    """A digest of all that the machine code depends on: sources, versions, processor."""
    here = Path(__file__).parent
    source = here / "kernels.py"
    status = source.stat()  # Numba looks at place and time of the file, not at its content
    parts = [str(source), str(status.st_mtime_ns), source.read_bytes(), (here / "layout.py").read_bytes()]
    parts += [(here / "hyperparameters.py").read_bytes(), sys.version, _processor()]
    parts += [importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy", "scipy")]
    switches = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}
    parts += [f"{name}={switches[name]}" for name in sorted(switches) if name not in WITHOUT_EFFECT]
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
