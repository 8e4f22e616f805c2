"""A folder whose every change is noted, and what a power cut would leave of it.

The model is strict: until a file is synced, each of its writes may be lost, cut short, or be zeros; until a folder is
synced, of what was made, renamed and removed in it only a beginning may have happened.
"""

import os
from pathlib import Path

CALLS = ("open", "close", "write", "ftruncate", "fsync", "fdatasync", "replace", "unlink", "mkdir")


class Recorder:
    """While patched in, notes what is done below `root`: `changes` as (kind, path, ...) in their order."""

    def __init__(self, root, patch):
        self.changes = []
        self._root = str(root)
        self._paths = {}  # of open descriptors
        self._real = {name: getattr(os, name) for name in CALLS}
        for name in CALLS:
            patch.setattr(os, name, getattr(self, name))
        usual = Path.open

        def opened(path, mode="r", *arguments, **options):
            return Written(path) if mode == "wb" else usual(path, mode, *arguments, **options)

        patch.setattr(Path, "open", opened)

    def _note(self, kind, path, *what):
        if os.fspath(path).startswith(self._root):
            self.changes.append((kind, os.path.relpath(path, self._root), *what))

    def open(self, path, flags, mode=0o777, **options):
        there = Path(path).exists()
        descriptor = self._real["open"](path, flags, mode, **options)
        if isinstance(path, str | os.PathLike):
            self._paths[descriptor] = path
            if not there:
                self._note("make", path)
            elif flags & os.O_TRUNC:
                self._note("cut", path, 0)
        return descriptor

    def close(self, descriptor):
        self._paths.pop(descriptor, None)
        self._real["close"](descriptor)

    def write(self, descriptor, content):
        written = self._real["write"](descriptor, content)
        if descriptor in self._paths:
            offset = os.fstat(descriptor).st_size - written
            self._note("write", self._paths[descriptor], offset, bytes(content[:written]))
        return written

    def ftruncate(self, descriptor, size):
        self._real["ftruncate"](descriptor, size)
        self._note("cut", self._paths[descriptor], size)

    def fsync(self, descriptor):
        if descriptor in self._paths:
            self._note("sync", self._paths[descriptor])

    fdatasync = fsync

    def replace(self, source, target, **options):
        self._real["replace"](source, target, **options)
        self._note("rename", source, os.path.relpath(target, self._root))

    def unlink(self, path, **options):
        self._real["unlink"](path, **options)
        self._note("remove", path)

    def mkdir(self, path, mode=0o777, **options):
        self._real["mkdir"](path, mode, **options)
        self._note("make folder", path)


class Written:
    """A file that is written without a buffer, so that each write is seen."""

    def __init__(self, path):
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._descriptor)

    def write(self, content):
        return os.write(self._descriptor, content)

    def flush(self):
        """There is nothing to flush."""

    def fileno(self):
        return self._descriptor


class Content:
    """Of a file: what surely is on the disk, and what was done since the last sync."""

    def __init__(self):
        self.synced = b""
        self.since = []

    def after_a_cut(self, chance):
        """What the disk may hold: of the changes since, some; the last of them in part or as zeros."""
        content = self.synced
        count = chance.choice((0, len(self.since), chance.randint(0, len(self.since))))
        changes = self.since[:count]
        if count and changes[-1][0] == "write" and chance.random() < 0.5:
            kind, offset, written = changes[-1]
            kept = written[: chance.randint(0, len(written))]
            changes[-1] = kind, offset, chance.choice((kept, kept.ljust(len(written), b"\0")))
        for change in changes:
            content = applied(content, change)
        return content


def applied(content, change):
    kind, offset, *written = change
    content = content[:offset].ljust(offset, b"\0") if kind == "cut" else content.ljust(offset, b"\0")
    return content if kind == "cut" else content[:offset] + written[0] + content[offset + len(written[0]) :]


class Disk:
    """What is on the disk after the changes that were given to `change` one after the other."""

    def __init__(self):
        self._now = {}  # path: Content, None for a folder
        self._safe = {}  # the same, as far as it was synced
        self._pending = {}  # folder: what happened in it since it was synced, as (path, Content or None or REMOVED)

    def change(self, kind, path, *what):
        """Take in one change."""
        if kind in ("write", "cut"):
            self._now[path].since.append((kind, *what))
        elif kind == "make":
            self._enter(path, Content())
        elif kind == "make folder":
            self._enter(path, None)
        elif kind == "rename":
            self._enter(what[0], self._now[path])
            self._enter(path, REMOVED)
        elif kind == "remove":
            self._enter(path, REMOVED)
        elif self._now.get(path) is not None:
            content = self._now[path]
            for change in content.since:
                content.synced = applied(content.synced, change)
            content.since = []
        else:
            for entry in self._pending.pop(path, []):
                enter(self._safe, *entry)

    def _enter(self, path, what):
        enter(self._now, path, what)
        self._pending.setdefault(str(Path(path).parent), []).append((path, what))

    def after_a_cut(self, folder, chance):
        """Write what a power cut may have left into `folder`, which is empty."""
        entries = dict(self._safe)
        for changes in self._pending.values():
            for entry in changes[: chance.choice((0, len(changes), chance.randint(0, len(changes))))]:
                enter(entries, *entry)
        for path, content in sorted(entries.items()):
            place = folder / path
            if not place.parent.is_dir():
                continue  # the folder was lost, and all that was in it
            if content is None:
                place.mkdir()
            else:
                place.write_bytes(content.after_a_cut(chance))


REMOVED = object()


def enter(entries, path, what):
    if what is REMOVED:
        entries.pop(path, None)
    else:
        entries[path] = what
