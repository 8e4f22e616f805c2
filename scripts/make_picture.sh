#!/usr/bin/env bash
# Draws experiments/digits/search.svg, the README's picture: a finished quickstart as a terminal shows it.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HPSEARCH_OUT=runs/digits-random
repository=$PWD
cd "$folder"
script --quiet --return --command "stty cols 100 rows 40; hpsearch random digits" typescript > /dev/null
python - "$repository/experiments/digits/search.svg" <<'PY'
import re, sys
from rich.console import Console
from rich.text import Text

lines = open("typescript", encoding="utf-8", errors="replace", newline="\n").read().split("\n")[1:-2]
# A terminal shows what follows the last carriage return of a line.
shown = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line.rstrip("\r").rpartition("\r")[2]) for line in lines]
console = Console(record=True, width=100, file=open("/dev/null", "w"))
console.print(Text("$\u00a0hpsearch random digits", style="bold"))
for line in shown:
    if line.strip() or (shown and line == ""):
        console.print(Text(line.replace(" ", "\u00a0")))
svg = console.export_svg(title="hpsearch")
svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # fonts of the reader's machine, nothing from the network
svg = svg.replace("Fira Code", "ui-monospace, Menlo, Consolas").replace("<!-- Generated with Rich https://www.textualize.io -->", "")
open(sys.argv[1], "w", encoding="utf-8").write(svg)
PY
