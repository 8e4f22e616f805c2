"""Arrays at the edge of their pages: whoever leaves them, even to read, is stopped by the processor.

As a program, call the product with one row too many, and see that nothing comes of it.
"""

import ctypes
import mmap
import sys

import numpy as np

from hpsearch.engine import cache
from hpsearch.engine.network import start_engine

PAGE = mmap.PAGESIZE
NO_ACCESS = 0  # PROT_NONE
SIDES = ("end", "start")


class Fenced:
    """The engine, but every array is copied between two pages that nobody may touch, close to one, and back."""

    def __init__(self, engine, side):
        self.engine, self.side = engine, side
        self.rooms = {}

    def __getattr__(self, name):
        function = getattr(self.engine, name)

        def call(*arguments):
            copies = {}
            inside = [self.copy(item, copies) if isinstance(item, np.ndarray) else item for item in arguments]
            result = function(*inside)
            for array, copied in copies.values():
                array[...] = copied
            return result

        return call

    def copy(self, array, copies):
        """The one copy of this array; the same array may be given twice."""
        place = (array.ctypes.data, array.nbytes)
        if place not in copies:
            pages = -(-array.nbytes // PAGE)
            room = self.room(pages, len(copies))
            start = 0 if self.side == "start" else room.size - array.nbytes
            copied = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
            copied[...] = array
            copies[place] = array, copied
        return copies[place][1]

    def room(self, pages, number):
        """So many bytes of whole pages, with a fence before and behind them."""
        key = pages, number
        if key not in self.rooms:
            memory = mmap.mmap(-1, (pages + 2) * PAGE)
            address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            library = ctypes.CDLL(None, use_errno=True)
            for fence in (address, address + (pages + 1) * PAGE):
                if library.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(PAGE), NO_ACCESS) != 0:
                    raise OSError(ctypes.get_errno(), "mprotect")
            self.rooms[key] = memory
        return np.frombuffer(self.rooms[key], np.uint8)[PAGE : (pages + 1) * PAGE]


def fence(side):
    """From now on this process's engine works between fences."""
    cache._loaded["kernels"] = Fenced(start_engine(), side)


if __name__ == "__main__":
    side, rows = sys.argv[1], int(sys.argv[2])
    fence(side)
    a, b, c = np.ones((4, 8), np.float32), np.ones((8, 8), np.float32), np.zeros((4, 8), np.float32)
    # beyond the end with a row too many; before the start of A with a negative step from its first row to the next
    step = 8 if side == "end" else -8
    started = False
    start_engine().product(rows, 8, 8, a, step, 1, b, c, 8, c, 8, started)
    sys.stdout.write("null")
