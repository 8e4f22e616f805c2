"""Every command in the README runs, and prints what the README shows."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def console_blocks():
    """(command, lines shown below it) for each `$ command` of the console blocks, in order."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(line):
    """A line without what depends on the processor: numbers, how many trials are listed, the winner's values."""
    if re.match(r"  \w+  ", line):
        return line.split()[0]
    return re.sub(r"#(, #)+", "#", re.sub(r"\d[\d.e-]*(,\d+)*", "#", line)).strip()


def depends_on_the_winner(line):
    """Whether a line is there for some winners only; which network wins depends on the processor."""
    some = ("the winner's ", "  not told apart from it: ", "what limits the best trials: ")
    votes = (
        r"(  )?\d+ networks( that)? vote|  no other networks vote|  in the end|training (the winner|\d+ networks) on"
    )
    return line.startswith(some) or bool(re.match(votes, line))


def test_the_readme_opens_with_the_two_commands():
    commands = [command for command, _ in console_blocks()]
    assert commands[:2] == ["./scripts/quickstart.sh", "./scripts/test.sh"]
    for command in commands[:2]:
        assert os.access(ROOT / command, os.X_OK)


@pytest.fixture
def background():
    """A function that starts a command, which is killed at the end with all that it has started."""
    started = []

    def start(words, **options):
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen(words, start_new_session=True, **silent, **options))

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_every_command_prints_what_the_readme_shows(tmp_path, churn_csv, background):
    (tmp_path / "my.csv").write_bytes(churn_csv.read_bytes())
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    plain = {**os.environ, "PATH": path, "HPSEARCH_OUT": str(tmp_path / "runs/digits-random")}
    plain.pop("VIRTUAL_ENV", None)
    short = {**os.environ, "PATH": path, "HPSEARCH_EPOCHS": "3"}
    for command, shown in console_blocks():
        if command == "./scripts/test.sh":
            continue  # it is what runs this
        if command.endswith(" &"):
            background(shlex.split(command)[:-1], cwd=tmp_path, env=short)
            continue
        script = command.startswith("./")
        whole = script or "random digits" in command
        environment = plain if script else {**short, "HPSEARCH_EPOCHS": "100"} if whole else short
        done = subprocess.run(
            command,
            shell=True,
            cwd=ROOT if script else tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        printed = [shape(line.replace(str(tmp_path) + "/", "")) for line in (done.stdout + done.stderr).splitlines()]
        missing = [line for line in shown if shape(line) not in printed and not depends_on_the_winner(line)]
        assert not missing, f"{command}\n{done.stderr}\n{done.stdout}"


def test_every_command_and_flag_of_the_readme_exists():
    known = {command.name for command in app.registered_commands}
    named = {shlex.split(command)[1] for command, _ in console_blocks() if command.startswith("hpsearch ")}
    assert named == known, "every command has an example"
    helps = [
        subprocess.run([sys.executable, "-m", "hpsearch", name, "--help"], capture_output=True, text=True, check=True)
        for name in ("random", "report", "evaluate")
    ]
    flags = set(re.findall(r"`(--[a-z-]+)", README)) - {"--help"}
    assert {flag for flag in flags if not any(flag in said.stdout for said in helps)} == set()


@pytest.mark.parametrize("name", re.findall(r"\]\(([^)h][^)]*)\)", README))
def test_links_lead_to_files(name):
    assert (ROOT / name).exists()
