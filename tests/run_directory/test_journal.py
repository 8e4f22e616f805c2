"""The journal: what a crash, a full disk or a rotten bit may do to it, and what not."""

import errno
import json
import os
import resource
from contextlib import contextmanager
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.errors import JournalError, StorageError
from hpsearch.run_directory import journal as journal_module
from hpsearch.run_directory.journal import FORMAT, Journal, encode, parse, read

STUDY = {"event": "study", "format": FORMAT, "study": {"metric": "rmse"}, "data": {}, "run": {}}
EVENTS = [
    STUDY,
    {"event": "start", "trial": 0, "config": {"learning_rate": 1e-3}},
    {"event": "curve", "trial": 0, "curves": {"train_loss": [0.5, 1 / 3, None]}},
    {"event": "trial", "trial": 0, "metrics": {"dev_rmse": 0.1}, "error": 'a "quoted"\n\u00fc\0'},
    {"event": "end", "reason": "done", "counted": 1},
]
RESERVED = ("seq", "crc")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
EVENT = st.dictionaries(st.text().filter(lambda key: key not in RESERVED), JSON, max_size=5)


def lines_of(events, first=0):
    return [encode(first + i, event) for i, event in enumerate(events)]


def told(lines):
    """Events as the caller gave them."""
    return [line.event() for line in lines]


def read_all(path):
    return list(read(path))


def writer(path, take=lambda _: None):
    """A journal as a run opens it."""
    journal = Journal(path, take)
    journal.cut_tail()
    return journal


def reopened(path):
    found = []
    writer(path, found.append).close()
    return told(found)


def tail_of(path):
    return path.with_name(f"{path.name}.damaged-tail")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def refused(path, how):
    before = path.read_bytes()
    with pytest.raises(JournalError) as caught:
        how(path)
    message = str(caught.value)
    assert message.startswith(f"{path}")
    assert "\n" not in message
    assert path.read_bytes() == before
    return message


# --- One line ---


@given(st.integers(0, 2**40), EVENT)
def test_a_line_gives_its_event_back(number, event):
    line = encode(number, event)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    found = parse(7, line[:-1])
    assert (found.offset, found.seq) == (7, number)
    assert found.event() == event


def test_a_name_that_is_no_text_comes_back():
    event = {"source": "not utf-8: \udcff.csv", "rows": 2**64 - 1}
    assert parse(0, encode(0, event)[:-1]).event() == event


@given(EVENT)
def test_a_line_is_plain_json_in_ascii(event):
    line = encode(3, event).decode("ascii")
    found = json.loads(line)
    assert found["seq"] == 3
    assert {key: found[key] for key in event} == event


@given(EVENT, st.data())
def test_a_line_cut_or_changed_anywhere_is_not_whole(event, data):
    line = encode(0, event)[:-1]
    place = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[place]))
    assert parse(0, line[:place]) is None
    assert parse(0, line[:place] + bytes([other]) + line[place + 1 :]) is None


@given(st.binary(max_size=80))
def test_noise_is_no_line(noise):
    assert parse(0, noise) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_does_not_have_is_refused_and_the_file_stays(path, value):
    journal = writer(path)
    journal.append(EVENTS[:2])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        journal.append([{"event": "start", "trial": 1}, {"event": "trial", "metrics": {"dev_rmse": value}}])
    assert path.read_bytes() == before
    journal.append(EVENTS[2:3])
    journal.close()
    assert told(read(path)) == EVENTS[:3]


# --- A file ---


def test_events_come_back_in_order_with_their_offsets(path):
    journal = writer(path)
    offsets = [line.offset for event in EVENTS for line in journal.append([event])]
    more = journal.append([{"event": "a"}, {"event": "b"}])
    journal.close()
    content = path.read_bytes()
    found = list(read(path))
    assert told(found) == [*EVENTS, {"event": "a"}, {"event": "b"}]
    assert [line.offset for line in found] == offsets + [line.offset for line in more]
    for line in found:
        assert parse(line.offset, content[line.offset :].partition(b"\n")[0]) == line


def test_a_second_writer_goes_on_with_the_next_number(path):
    for event in EVENTS:
        journal = writer(path)
        journal.append([event])
        journal.close()
    assert [line.seq for line in read(path)] == list(range(len(EVENTS)))
    assert not tail_of(path).exists()


def test_cut_at_every_byte_of_the_last_three_records(path):
    lines = lines_of(EVENTS)
    content = b"".join(lines)
    for cut in range(sum(map(len, lines[:2])), len(content) + 1):
        whole = content[:cut].count(b"\n")
        kept = b"".join(lines[:whole])
        tail_of(path).unlink(missing_ok=True)
        path.write_bytes(content[:cut])

        assert told(read(path)) == EVENTS[:whole]
        assert path.read_bytes() == content[:cut], "a reader changes nothing"

        found = []
        journal = writer(path, found.append)
        assert told(found) == EVENTS[:whole]
        assert path.read_bytes() == kept
        if cut == len(kept):
            assert not tail_of(path).exists()
        else:
            assert tail_of(path).read_bytes() == content[len(kept) : cut]
        journal.append([{"event": "next"}])
        journal.close()
        assert told(read(path)) == [*EVENTS[:whole], {"event": "next"}]


def test_every_bit_flipped_is_recovered_or_refused(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    events = [{"event": "study", "format": FORMAT}, {"event": "start", "trial": 0}, {"counted": 12}]
    lines = lines_of(events)
    content = b"".join(lines)
    last = len(content) - len(lines[-1])
    for bit in range(8 * len(content)):
        place = bit // 8
        changed = bytearray(content)
        changed[place] ^= 1 << bit % 8
        tail_of(path).unlink(missing_ok=True)
        path.write_bytes(changed)
        if place < last - 1:
            damaged = 1 if place < len(lines[0]) else 2
            for how in (Journal, read_all):
                assert f"line {damaged}: damaged" in refused(path, how)
            assert not tail_of(path).exists()
            continue
        # The last record, or the newline that divides it from the one before.
        whole = events[: 2 if place >= last else 1]
        assert told(read(path)) == whole
        assert reopened(path) == whole
        assert path.read_bytes() + tail_of(path).read_bytes() == changed, "nothing is thrown away"


@given(st.data())
@settings(deadline=None)
def test_any_bytes_written_over_the_file_never_change_an_event(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    content = b"".join(lines_of(EVENTS))
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    noise = data.draw(st.binary(max_size=40) | st.just(bytes(stop - start)))
    path.write_bytes(content[:start] + noise + content[stop:])
    try:
        seen = reopened(path)
    except JournalError:
        refused(path, read_all)
    else:
        assert seen == EVENTS[: len(seen)]


@pytest.mark.parametrize("hole", [1, 100, 4096])
def test_zeros_at_the_end_are_a_damaged_tail(path, hole):
    content = b"".join(lines_of(EVENTS))
    path.write_bytes(content + bytes(hole))
    assert told(read(path)) == EVENTS
    assert reopened(path) == EVENTS
    assert path.read_bytes() == content
    assert tail_of(path).read_bytes() == bytes(hole)


def test_zeros_inside_the_last_record_cost_that_record(path):
    *lines, last = lines_of(EVENTS)
    for size in range(1, len(last)):
        path.write_bytes(b"".join(lines) + bytes(size) + last[size:])
        assert reopened(path) == EVENTS[:-1]


def test_a_journal_torn_at_birth_begins_anew(path):
    line = encode(0, STUDY)
    for size in (*range(9, len(line), 7), len(line) - 1):
        path.write_bytes(line[:size])
        assert told(read(path)) == []
        assert reopened(path) == []
        assert path.read_bytes() == b""
        assert tail_of(path).read_bytes() == line[:size]


def test_an_empty_file_is_an_empty_journal(path):
    path.touch()
    assert list(read(path)) == []
    assert reopened(path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"trial,state\n0,COMPLETE\n",
        b"\n",
        b"{}\n",
        b"[]\n" * 3,
        b'{"event": "study"}\n{"event": "trial"}\n',
        b"\x80\x04\x95\n.",
        b"\xff" * 100,
        "täglich\n".encode("utf-16"),
        b"".join(lines_of(EVENTS)).replace(b"\n", b"\r\n"),
    ],
    ids=["csv", "newline", "object", "lists", "json-lines", "pickle", "binary", "utf-16", "crlf"],
)
def test_a_foreign_file_is_refused_and_stays(path, content):
    path.write_bytes(content)
    assert "not a journal" in refused(path, Journal)
    assert "not a journal" in refused(path, read_all)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("other", [FORMAT + 1, None, "1"])
def test_another_format_is_refused(path, other):
    path.write_bytes(b"".join(lines_of([STUDY | {"format": other}, *EVENTS[1:]])))
    message = refused(path, Journal)
    assert f"format {other!r}" in message
    assert f"format {FORMAT}" in message


def test_a_record_that_stands_twice_is_refused_with_its_line(path):
    lines = lines_of(EVENTS)
    path.write_bytes(b"".join([*lines[:3], lines[2], *lines[3:]]))
    assert "line 4" in refused(path, Journal)


def test_a_missing_record_is_refused_with_its_line(path):
    lines = lines_of(EVENTS)
    for missing in range(1, len(lines) - 1):
        path.write_bytes(b"".join([*lines[:missing], *lines[missing + 1 :]]))
        for how in (Journal, read_all):
            assert f"line {missing + 1}: event {missing + 1} where {missing} should stand" in refused(path, how)


def test_zeros_before_a_whole_record_are_refused_with_their_line(path):
    lines = lines_of(EVENTS)
    path.write_bytes(b"".join([*lines[:2], bytes(len(lines[2]) - 1), b"\n", *lines[3:]]))
    for how in (Journal, read_all):
        assert "line 3: damaged" in refused(path, how)


# --- A disk that fails ---


def failing(error_number):
    def fail(*arguments):
        raise OSError(error_number, os.strerror(error_number))

    return fail


def half(then):
    """A write that takes half of the bytes, as a full disk does, and goes on as `then` says."""
    write = os.write

    def short(descriptor, content):
        written = write(descriptor, content[: len(content) // 2])
        return then(descriptor, content) if then else written

    return short


@pytest.mark.parametrize(
    ("call", "replacement"),
    [
        ("write", half(None)),
        ("write", half(failing(errno.ENOSPC))),
        ("write", failing(errno.ENOSPC)),
        ("write", failing(errno.EIO)),
        ("fdatasync", failing(errno.EIO)),
        ("fdatasync", failing(errno.EDQUOT)),
    ],
    ids=["short", "short-then-full", "full", "broken", "sync-broken", "sync-over-quota"],
)
def test_a_failed_append_leaves_the_file_valid(path, monkeypatch, call, replacement):
    journal = writer(path)
    journal.append(EVENTS[:3])
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, call, replacement)
        with pytest.raises(StorageError) as caught:
            journal.append(EVENTS[3:])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert told(journal.append(EVENTS[3:])) == EVENTS[3:]
    journal.close()
    assert told(read(path)) == EVENTS


@contextmanager
def largest_file(size):
    """The kernel itself refuses to let a file grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_write_that_the_kernel_cuts_short_is_taken_back(path, room):
    journal = writer(path)
    journal.append(EVENTS[:3])
    before = path.read_bytes()
    with largest_file(len(before) + room), pytest.raises(StorageError, match=r"journal\.jsonl"):
        journal.append(EVENTS[3:])
    assert path.read_bytes() == before
    journal.append(EVENTS[3:])
    journal.close()
    assert told(read(path)) == EVENTS


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="nowhere"):
        Journal(tmp_path / "nowhere" / "journal.jsonl")
    with pytest.raises(StorageError, match="nowhere"):
        read_all(tmp_path / "nowhere" / "journal.jsonl")


def test_without_sync_an_event_is_in_the_file_but_not_forced_to_the_disk(path, monkeypatch):
    journal = writer(path)
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "fdatasync", failing(errno.EIO))
        journal.append(EVENTS[:1], sync=False)
    assert told(read(path)) == EVENTS[:1]
    journal.close()


def test_a_line_that_is_being_written_is_the_end_of_what_is_read():
    """The writer goes on between two looks of a reader, whose iterator then gives the rest of the line."""
    first, second, third = lines_of(EVENTS[:3])
    growing = mock.MagicMock()
    growing.open.return_value.__enter__.return_value = iter([first, second[:9], second[9:], third])
    assert [line.seq for line in read(growing)] == [0]
