"""How many processes there is room for."""

import os

import pytest

from hpsearch.executors.base import available_cpus


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """A function that lays out the files of a control group on a machine of eight processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))

    def make(files):
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
        return tmp_path

    return make


def v1(quota, period="100000\n"):
    return {"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "200001 100000\n"}, 3),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "25000 50000\n"}, 1),
        ({"cpu.max": "1000 100000\n"}, 1),
        (v1("-1\n"), 8),
        (v1("400000\n"), 4),
        (v1("250000\n"), 3),
        (v1("50000\n"), 1),
        ({"cpu.max": ""} | v1("400000\n"), 4),
        ({"cpu.max": "300000 100000\n"} | v1("100000\n"), 3),
        ({"cpu/cpu.cfs_quota_us": "100000\n"}, 8),
    ],
)
def test_the_quota_of_the_control_group_is_respected(cgroup, files, cpus):
    found = available_cpus(cgroup(files))
    assert found == cpus
    assert type(found) is int


def test_the_affinity_is_respected(cgroup, monkeypatch):
    folder = cgroup({"cpu.max": "400000 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5})
    assert available_cpus(folder) == 1


def test_without_affinity_all_processors_count(cgroup, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cpus(cgroup({})) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus(cgroup({})) == 1


def test_here_and_now():
    assert 1 <= available_cpus() <= os.cpu_count()
