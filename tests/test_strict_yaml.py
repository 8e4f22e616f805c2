"""Scalars stay text, and what could surprise is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hpsearch import strict_yaml
from hpsearch.errors import ConfigError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("text", ["1e-4", "010", "no", "12:30:00", "2020-01-01", "0x1F", "695e0514", "1_000", "yes"])
def test_scalars_keep_their_spelling(text):
    assert strict_yaml.parse(f"a: {text}", "here") == {"a": text}


def test_null_is_none():
    assert strict_yaml.parse("{a: null, b: ~, c: }", "here") == {"a": None, "b": None, "c": None}


def test_the_study_of_a_run_of_a_long_table_is_read():
    config = {f"hyperparameter_{i}": 0.123456789 for i in range(20)}
    study = {"from": [{"trial": number, **config} for number in range(2500)]}
    assert len(strict_yaml.parse(strict_yaml.dump(study), "here")["from"]) == 2500


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (BOMB, "line 2: aliases"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice"),
        ("[" * 2000, "32 levels"),
        ("a: [1, 2", "here"),
        ("? [a, b]\n: 1", "a key must be a word"),
        ("a: !!python/object/apply:os.system [ls]", "here"),
        ("a: \x00", "here"),
        ("a: " + "x" * 10_000_001, "at most 10000000"),
        ("a: 1\n---\nb: 2", "here"),
    ],
)
def test_what_could_surprise_is_one_line(text, named):
    with pytest.raises(ConfigError, match=named) as caught:
        strict_yaml.parse(text, "here")
    assert "\n" not in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        strict_yaml.parse(text, "here")
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both outcomes are right


@given(PLAIN)
@example(["a\x85b", "c\u2028 d"])
def test_plain_data_survive_the_way_out_and_back(value):
    assert strict_yaml.parse_plain(strict_yaml.dump(value).encode(), "here") == value


def test_files_that_cannot_be_read(tmp_path):
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("größe: 1".encode("latin-1"))
    with pytest.raises(ConfigError, match="byte 2 is not UTF-8"):
        strict_yaml.read(latin)
    with pytest.raises(ConfigError, match="No such file"):
        strict_yaml.read(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        strict_yaml.read(tmp_path)


def test_what_stands_twice_is_written_twice(tmp_path):
    shared = {"a": [1.5, "x"]}
    text = strict_yaml.dump({"first": shared, "second": [shared, shared]})
    assert strict_yaml.parse(text, "text") == {
        "first": {"a": ["1.5", "x"]}, "second": [{"a": ["1.5", "x"]}, {"a": ["1.5", "x"]}]
    }  # fmt: skip


def test_half_characters_of_file_names_survive():
    value = {"source": "caf\udce9.csv", "other": ["x\x85y", 1.5]}
    assert strict_yaml.parse(strict_yaml.dump(value), "text") == {"source": "caf\udce9.csv", "other": ["x\x85y", "1.5"]}
