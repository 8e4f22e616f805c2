"""The rules of the house: floors, one printer, one file with Numba, no pickle, light commands."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hpsearch

PACKAGE = Path(hpsearch.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# A module imports only from lower floors; files of one folder may see each other. The number is the floor.
FLOORS = {
    "errors": 0, "files": 0.5, "memory": 0.5, "seeds": 0.5, "strict_yaml": 0.5, "threads": 0.5,
    "space": 1, "data": 1, "engine": 1,
    "space_text": 2, "space_checks": 2, "given": 2.3, "config": 2.5,
    "surrogate": 1, "trial": 3, "diagnosis": 3.2, "ensemble": 3.4, "model": 3.5,
    "cost": 4, "export": 4, "strategies": 4, "executors": 4, "run_directory": 4,
    "report": 4.5, "study": 5, "finals": 5.5, "final_model": 5.6,
    "cli": 6, "api": 7, "estimators": 3, "__main__": 7,
}  # fmt: skip


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Names of the project's modules that a file imports, wherever in it; typing-only imports too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hpsearch"):
            inner = node.module.split(".")[1:]
            yield from [inner] if inner else [[alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from [alias.name.split(".")[1:] for alias in node.names if alias.name.startswith("hpsearch.")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    here = room(path)
    if here == "__init__":
        return  # the name of the rest: the next test
    for module in imports(path):
        there = module[0]
        if there not in FLOORS:
            assert there == "__version__", f"{path.name} imports {there}, which has no floor"
            continue
        assert there == here or FLOORS[there] < FLOORS[here], f"{here} (floor {FLOORS[here]}) imports {there}"


def test_the_package_itself_loads_nothing_of_itself():
    code = "import sys, hpsearch; sys.exit(any(name.startswith('hpsearch.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_room_has_a_floor():
    assert {room(path) for path in MODULES} - {"__init__"} <= set(FLOORS)


def code_of(path):
    """The source without comments and docstrings, for searching."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
    return ast.unparse(tree)


@pytest.mark.parametrize(
    ("pattern", "allowed", "why"),
    [
        (r"\bprint\(", "cli/", "only the command line prints"),
        (r"\bsys\.exit\(|\bexit\(", "cli/app.py", "only the command line ends the process"),
        (r"\b(import|from) numba\b", "engine/kernels/", "one folder is compiled"),
        (r"\bassert ", "", "an assertion is no validation: python -O removes it"),
        (
            r"import pickle|pickle\.(load|dump)|allow_pickle=True|\b(eval|exec)\(|shell=True|yaml\.(full|unsafe)_load",
            "",
            "nobody else's code runs",
        ),
        (
            r"np\.random\.(seed|rand|randn|default_rng\(\))|\brandom\.(random|seed|shuffle)\(",
            "",
            "randomness has a seed",
        ),
    ],
)
def test_forbidden_words(pattern, allowed, why):
    guilty = [
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if re.search(pattern, code_of(path)) and not (allowed and str(path.relative_to(PACKAGE)).startswith(allowed))
    ]
    assert not guilty, why


# Not pydantic: Typer itself converts arguments with it.
HEAVY = ("numba", "scipy", "polars", "numpy", "safetensors", "rich")


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A run directory with a few trials of a tiny search."""
    folder = tmp_path_factory.mktemp("house") / "run"
    command = [sys.executable, "-m", "hpsearch", "random", "wine", "-n", "3", "--epochs", "3", "-q", "-o", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    "arguments", [["--help"], ["random", "--help"], ["show", "RUN"], ["best", "RUN", "-f", "json"]]
)
def test_light_commands_load_nothing_heavy(arguments, finished_run):
    # -X importtime would slow the command down; the list of loaded modules says as much
    code = (
        "import sys; from hpsearch.cli.app import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]; assert not heavy, heavy"
    )
    arguments = [str(finished_run) if word == "RUN" else word for word in arguments]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
