"""Disks that are full, files that may not grow, folders that cannot be written: the run goes on where there is room."""

import resource
import subprocess

import pytest
from faults.processes import STUDY, command, finish, start, views

from hpsearch.run_directory.record import RunRecord

TRIALS = 12
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    """A folder with a study, its command, and the run of it that nothing disturbed."""
    base = tmp_path_factory.mktemp("disks")
    (base / "tiny.yaml").write_text(STUDY)

    def search(out, *flags):
        return command("random", base / "tiny.yaml", "-n", TRIALS, "-o", out, "-q", *flags)

    finish(search(base / "whole"))
    return base, search


def stopped_well(process, folder, errors):
    """Done, or exit 6 with one line that names a file of the run; the journal can be read either way."""
    assert process.returncode in (0, 6), errors
    if process.returncode == 6:
        (line,) = [line for line in errors.splitlines() if line.startswith("hpsearch: error: ")]
        assert str(folder) in line
    assert "Traceback" not in errors
    if (folder / "journal.jsonl").exists() and (folder / "study.yaml").exists():
        RunRecord.load(folder)


def goes_on(base, search, folder):
    """The same command, where there is room now, ends with the files of the run that nothing disturbed."""
    finish(search(folder))
    assert views(folder) == views(base / "whole")


def has_namespaces():
    test = subprocess.run([*NAMESPACE, "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False)
    return test.returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="no user namespace in which a small disk could be mounted")
def test_a_disk_of_any_size_that_is_too_small(searches, tmp_path, often, seen):
    base, search = searches
    full = 0
    sizes = range(4, 257, often(36, 4))
    for size in sizes:
        disk, kept = tmp_path / f"disk-{size}", tmp_path / f"kept-{size}"
        disk.mkdir()
        words = " ".join(map(str, search(disk / "run", "-j", 2)))
        script = f"mount -t tmpfs -o size={size}k tmpfs {disk} && {words}; code=$?; cp -r {disk} {kept}; exit $code"
        process = start([*NAMESPACE, script])
        _, errors = process.communicate(timeout=60)
        full += process.returncode == 6
        folder = kept / "run"
        assert process.returncode in (0, 6), errors
        assert "Traceback" not in errors
        if process.returncode == 6:
            assert f"{disk}/run" in errors
        if folder.exists() and any(folder.iterdir()):
            goes_on(base, search, folder)
    assert full
    seen(
        "tmpfs of 4 to 256 kB",
        f"{len(sizes)} sizes, {full} times exit 6 with the file's name; all went on to the same files",
    )


def test_a_file_that_may_not_grow(searches, tmp_path, often, seen):
    base, search = searches
    sizes = range(1_000, 150_000, often(37_000, 3_000))
    refused = 0
    for size in sizes:
        folder = tmp_path / str(size)

        def limit(size=size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        process = start(search(folder, "--mode", "panda"), preexec_fn=limit)
        _, errors = process.communicate(timeout=60)
        stopped_well(process, folder, errors)
        refused += process.returncode == 6
        goes_on(base, search, folder)
    assert refused
    seen(
        "files that may not grow (EFBIG)", f"{len(sizes)} sizes, {refused} times exit 6; all went on to the same files"
    )


def test_few_open_files(searches, tmp_path, seen):
    base, search = searches

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    finish(search(tmp_path / "run", "-j", 4), preexec_fn=limit)
    assert views(tmp_path / "run") == views(base / "whole")
    seen("ulimit -n 64, four processes", "the same files")


@pytest.mark.skipif(not has_namespaces(), reason="no user namespace in which a small disk could be mounted")
def test_little_shared_memory(searches, tmp_path, seen):
    base, search = searches
    words = " ".join(map(str, search(tmp_path / "run", "-j", 2)))
    finish([*NAMESPACE, f"mount -t tmpfs -o size=1m tmpfs /dev/shm && {words}"])
    assert views(tmp_path / "run") == views(base / "whole")
    seen("/dev/shm of 1 MB", "the same files")
