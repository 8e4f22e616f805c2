"""Messages come out whole and in order, however the bytes arrive."""

import multiprocessing
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.executors import messages
from hpsearch.executors.messages import Inbox


def sent(message):
    """The bytes that Connection.send makes of a message."""
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        ours.send(message)
        return os.read(theirs.fileno(), 1 << 20)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.text(), st.binary(max_size=40_000), st.none())), st.data())
def test_any_messages_cut_anywhere(given_messages, data):
    stream = b"".join(map(sent, given_messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        inbox, found = Inbox(ours), []
        for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            if start < stop:
                os.write(theirs.fileno(), stream[start:stop])
                found += inbox.read()
        assert found == given_messages
        theirs.close()
        with pytest.raises(EOFError):
            inbox.read()


def test_a_message_longer_than_an_int_can_say():
    """Two gigabytes are too many for a test, so the long form is made by hand."""
    content = sent("long")[messages.SHORT.size :]
    stream = messages.SHORT.pack(-1) + messages.LONG.pack(len(content)) + content
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        inbox = Inbox(ours)
        for byte in stream[:-1]:
            os.write(theirs.fileno(), bytes([byte]))
            assert inbox.read() == []
        os.write(theirs.fileno(), stream[-1:])
        assert inbox.read() == ["long"]
