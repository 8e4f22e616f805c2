"""The page: whole, alone, and deaf to what names of columns and classes try to say."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from hpsearch.report.charts import MOST_POINTS, best_so_far
from hpsearch.run_directory.record import RunRecord

HOSTILE = "<script>document.title='pwned'</script>"
CLASSES = ("<b>one</b>", "&amp;two", "\"three'", "</script>")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=5000",
    "--enable-logging=stderr",
)  # fmt: skip


class Elements(HTMLParser):
    """Counts elements, and collects texts and what attributes point to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]

    def handle_data(self, data):
        self.texts.append(data)


def report_of(folder):
    done = subprocess.run(
        [sys.executable, "-m", "hpsearch", "report", str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout, (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    """A finished run in a folder, on a table and with classes whose names are markup."""
    base = tmp_path_factory.mktemp("hostile")
    chance = np.random.default_rng(0)
    rows = [
        f'{x!r},{y!r},"{CLASSES[int(2 * (x > 0) + (y > 0))].replace(chr(34), chr(34) * 2)}"'
        for x, y in chance.normal(size=(200, 2)).tolist()
    ]
    table = base / "table <i>.csv"
    table.write_text("\n".join([f"x,{HOSTILE},<u>target</u>", *rows]) + "\n", encoding="utf-8")
    folder = base / "a <img src=x onerror=alert(1)>"
    command = ["random", str(table), "-n", "14", "--epochs", "8", "-q", "-o", str(folder)]
    subprocess.run([sys.executable, "-m", "hpsearch", *command], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def report(hostile_run):
    return report_of(hostile_run)


def test_nothing_that_a_user_wrote_is_markup(report):
    _, text = report
    page = Elements(text)
    assert page.tags.count("script") == 3, "the library, the data and the few lines that draw"
    assert not {"i", "u", "img"} & set(page.tags), "only our own elements"
    assert not page.links, "the page loads nothing"
    assert "pwned" not in re.sub(r"&lt;script&gt;.*?&lt;/script&gt;", "", _without_library(text))


def _without_library(text):
    """The page without the plotting library, whose text is its own."""
    scripts = re.findall(r"<script>.*?</script>", text, flags=re.DOTALL)
    return text.replace(max(scripts, key=len), "")


def test_the_data_of_the_pictures_are_whole(report):
    _, text = report
    charts = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)[1])
    page = Elements(text)
    assert len(charts) >= 12
    assert page.tags.count("section") >= 12
    for chart in charts.values():
        assert chart["data"]
        assert all(len(trace["x"]) == len(trace["y"]) for trace in chart["data"] if trace["type"] == "scatter")


def test_what_the_search_has_taught_is_there(report):
    out, text = report
    told = [line.strip() for line in out.splitlines() if line.startswith("  ")]
    texts = [" ".join(found.split()) for found in Elements(text).texts]
    for line in told:
        words, _, command = " ".join(line.split()).partition(": hpsearch ")
        assert words in texts or f"{words}:" in texts, line
        assert not command or f"hpsearch {command}" in texts


def test_a_second_report_trains_nothing_and_is_the_same(hostile_run, report):
    journal = (hostile_run / "journal.jsonl").read_bytes()
    assert report_of(hostile_run) == report
    assert (hostile_run / "journal.jsonl").read_bytes() == journal
    assert journal.count(b'"event":"examination"') == 1


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_draws_every_picture(hostile_run, report, tmp_path, width):
    _, text = report
    shutil.copy(hostile_run / "report.html", tmp_path / "report.html")
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},3000", "--dump-dom",
         (tmp_path / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not said
    drawn = Elements(done.stdout)
    wanted = len(re.findall(r'class="chart"', text))
    assert len(re.findall(r'class="chart js-plotly-plot"', done.stdout)) == wanted
    assert drawn.tags.count("script") == 3
    assert "<title>pwned" not in done.stdout


def test_the_page_of_a_long_run_stays_small(study_facts, make_result):
    """Of very many trials the best and some of the others are drawn."""
    chance = np.random.default_rng(0)
    scores = chance.random(8000).tolist()
    record = RunRecord.of(*study_facts, [make_result(n, s, curves={}) for n, s in enumerate(scores)])
    chart = best_so_far(record)
    drawn = [x for trace in chart["data"] if trace["mode"] == "markers" for x in trace["x"]]
    assert int(np.argmin(scores)) in drawn
    assert len(drawn) <= MOST_POINTS
    assert max(drawn) > 7900
