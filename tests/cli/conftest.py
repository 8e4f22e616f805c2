"""Ways to run commands as a shell would."""

import subprocess
import sys

import pytest

from hpsearch.cli.app import main


@pytest.fixture
def hpsearch(tmp_path, monkeypatch, capsys):
    """Run a command line in this process, in an empty folder; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return run


@pytest.fixture
def shell(tmp_path):
    """Start a command line as a process of its own, in an empty folder."""

    def start(*arguments, **options):
        command = [sys.executable, "-m", "hpsearch", *map(str, arguments)]
        options = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        return subprocess.Popen(command, **options)

    return start


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A finished run of five small trials on wine."""
    folder = tmp_path_factory.mktemp("run") / "wine"
    command = ["random", "wine", "-n", "5", "--epochs", "5", "-q", "-o", str(folder)]
    subprocess.run([sys.executable, "-m", "hpsearch", *command], check=True, capture_output=True)
    return folder
