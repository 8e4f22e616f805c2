"""Compiled once on this machine, then loaded: one object file in a folder of the user's own.

The kernels are compiled by Numba in a process of its own; what it hands over is machine code alone, which loads in
milliseconds without Numba, and of which nothing is unpickled. The folder is named after everything that the code
depends on, and the file is used only if it has the checksum that stands in front of it. Anything else: compiled anew.
Every process loads the same bytes, so every process computes the same bits.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import importlib
import importlib.metadata
import itertools
import json
import os
import platform
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import StorageError
from hpsearch.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

KERNELS = "hpsearch.engine.kernels"
OBJECT = "engine.o"
WITHOUT_EFFECT = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")
KEPT_VERSIONS = 8
AWAKE_SECONDS = 0.1
INHERITED = "HPSEARCH_ENGINE_CACHE"  # tells worker processes which folder their parent uses
# What C has to bring along: the functions that the code calls or an LLVM may make of what it calls.
C_FUNCTIONS = (
    "exp", "log", "pow", "cos", "sin", "sincos", "exp2", "log2", "floor", "ceil", "fma", "fmaf", "sqrt", "round",
    "memset", "memcpy", "memmove",
)  # fmt: skip
_loaded: dict[str, Any] = {}
_loading = threading.Lock()  # a second machine would free the code of the first, which may be running
PLAIN_KINDS = {
    "none": None,
    "bool": ctypes.c_bool,
    "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64,
    "float64": ctypes.c_double,
}


def load_kernels(announce: Callable[[str], None] = lambda _: None) -> Any:
    """The stages as functions of Python, by name; `announce` is told before a compilation, which takes seconds.

    Where NUMBA_DISABLE_JIT is set, they are the uncompiled sources.
    """
    with _loading:
        if "kernels" not in _loaded:
            _loaded["kernels"] = _uncompiled() if _is_uncompiled() else Machine(*_object_code(announce))
        return _loaded["kernels"]


def is_compiled() -> bool:
    """Whether the kernels can be loaded without compiling."""
    return _read(cache_folder()) is not None


def ensure_compiled(announce: Callable[[str], None]) -> None:
    """Compile if that was not done yet; a process that does not train itself need not load the kernels."""
    if not _is_uncompiled():
        _object_code(announce)


def _is_uncompiled() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"


def _uncompiled() -> Any:
    return importlib.import_module(f"{KERNELS}.training")


class Machine:
    """Machine code in memory; each of its functions is an attribute that takes arrays for pointers."""

    def __init__(self, kinds: Mapping[str, list[str]], code: bytes) -> None:
        from llvmlite import binding  # noqa: PLC0415 - a process that only reads results needs none of it

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        library = ctypes.CDLL(None)
        for name in C_FUNCTIONS:
            if hasattr(library, name):  # else LLVM looks for it
                binding.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)
        target = binding.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target)
        self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        for symbol, (result, *arguments) in kinds.items():
            address = self._engine.get_function_address(symbol)
            made = ctypes.CFUNCTYPE(_kind(result), *map(_kind, arguments))(address)
            setattr(self, symbol.removeprefix("hpsearch_"), _taking_arrays(made))


def _kind(name: str) -> Any:
    return ctypes.c_void_p if name.endswith("*") else PLAIN_KINDS[name]


def _taking_arrays(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return function(*(item.ctypes.data if isinstance(item, np.ndarray) else item for item in arguments))

    return call


def _object_code(announce: Callable[[str], None]) -> tuple[dict[str, list[str]], bytes]:
    """The types of the functions, and their code; compiled now if there is none that can be used."""
    folder = cache_folder()
    found = _read(folder)
    if found is not None:
        return found
    announce("Compiling the engine for this machine, once: about 15 seconds ...")
    with (folder / "lock").open("w") as lock:
        _lock(lock)
        found = _read(folder)  # another process may have compiled it while we waited
        if found is None:
            content = _compile()
            with contextlib.suppress(StorageError):  # of a full disk; the next process will have to compile again
                write_atomically(folder / OBJECT, hashlib.sha256(content).digest() + content)
                _remove_old(folder.parent)
            found = _parts(content)
    return found


def _lock(file: IO[str]) -> None:
    """Wait for the lock, now and then awake: a signal that reaches another thread would not end a waiting call."""
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(AWAKE_SECONDS)


def _compile() -> bytes:
    """What a child process makes of the sources; it ends with this one because its input then ends."""
    code = (
        "import os, sys, threading;"
        "threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start();"
        f"sys.path[:] = {sys.path!r};"
        f"from {KERNELS}.building import write; write(sys.stdout.buffer); sys.stdout.flush(); os._exit(0)"
    )
    command = [sys.executable, "-c", code]
    with (
        tempfile.TemporaryFile() as errors,  # not a pipe, which might be full while nobody reads it
        subprocess.Popen(  # noqa: S603 - our own code
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as child,
    ):
        try:
            content = b"".join(_chunks(child.stdout))
            if child.wait() != 0:
                errors.seek(0)
                error = errors.read().decode(errors="replace")
                raise RuntimeError(f"the engine cannot be compiled: {error.strip()[-2000:]}")
        finally:
            child.kill()
    return content


def _chunks(pipe: IO[bytes]) -> Iterator[bytes]:
    """What comes out of a pipe until its end; awake now and then, as in _lock."""
    while True:
        if select.select([pipe], [], [], AWAKE_SECONDS)[0]:
            chunk = os.read(pipe.fileno(), 1 << 16)
            if not chunk:
                return
            yield chunk


def _read(folder: Path) -> tuple[dict[str, list[str]], bytes] | None:
    """The functions' types and code in the file of this folder; None unless it is whole."""
    try:
        content = (folder / OBJECT).read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    if len(content) <= size or hashlib.sha256(content[size:]).digest() != content[:size]:
        return None
    return _parts(content[size:])


def _parts(content: bytes) -> tuple[dict[str, list[str]], bytes]:
    """The line that says the functions' types, and the code behind it."""
    line, _, code = content.partition(b"\n")
    return json.loads(line), code


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
    compiled = {name: value for name, value in software().items() if name != "network"}
    return _digest([sys.version, *itertools.chain(*compiled.items()), processor()])


def software() -> dict[str, str]:
    """What of the programs here decides the bits of a result, by name; `network` is not compiled."""
    here = Path(__file__).parent
    parts = {
        "engine": ["kernels/*.py", "places/*.py", "layout.py", "hyperparameters.py"],
        "network": ["network.py", "sparse.py"],
    }
    packages = {name: importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy")}
    return {name: _digest(_contents(here, patterns)) for name, patterns in parts.items()} | packages


def _contents(folder: Path, patterns: Iterable[str]) -> Iterator[bytes]:
    for pattern in patterns:
        yield from (file.read_bytes() for file in sorted(folder.glob(pattern)))


def processor() -> str:
    """The processor as the machine code sees it: model, abilities, and what Numba was told of it."""
    switches = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}
    told = "".join(f"\n{name}={switches[name]}" for name in sorted(switches) if name not in WITHOUT_EFFECT)
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return platform.processor() + told
    lines = [line for line in first.splitlines() if line.startswith(("model name", "flags", "Features"))]
    return "\n".join(lines) + told


def _digest(parts: Iterable[str | bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part if isinstance(part, bytes) else part.encode())
        whole.update(b"\0")
    return whole.hexdigest()[:24]


def _is_private(folder: Path) -> bool:
    """Whether `folder` is a real folder that belongs to this user and that nobody else can write."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
