"""A proxy that hurts nothing and writes down what passes: how many messages of each tag, which attempts
a worker has reported, and which the coordinator has acknowledged, each with its moment. It reads ZeroMQ's frames and msgpack by
its own few lines; the nodes speak without keys, so that there is something to read.
Invariant: a moment is noted after the bytes arrived here and before they are passed on.
"""
import collections
import struct
import threading
import time

from proxy import FaultProxy

OUTCOMES, BATCH, RECORDED = 4, 35, 38  # tags; protocol/node/wire_fields.hpp
Seen = collections.namedtuple("Seen", "at tag attempts")


def unpack(data, at=0):
    """(value, where the next one begins); msgpack without extensions."""
    tag = data[at]
    at += 1
    if tag < 0x80:
        return tag, at
    if tag >= 0xE0:
        return tag - 256, at
    if tag < 0x90 or tag in (0xDE, 0xDF):
        count, at = (tag & 15, at) if tag < 0x90 else integer(data, at, 2 if tag == 0xDE else 4)
        result = {}
        for _ in range(count):
            key, at = unpack(data, at)
            result[key], at = unpack(data, at)
        return result, at
    if tag < 0xA0 or tag in (0xDC, 0xDD):
        count, at = (tag & 15, at) if tag < 0xA0 else integer(data, at, 2 if tag == 0xDC else 4)
        result = []
        for _ in range(count):
            value, at = unpack(data, at)
            result.append(value)
        return result, at
    if tag < 0xC0 or tag in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB):
        sizes = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
        size, at = (tag & 31, at) if tag < 0xC0 else integer(data, at, sizes[tag])
        return data[at:at + size], at + size
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    if 0xCC <= tag <= 0xCF:
        return integer(data, at, 1 << tag - 0xCC)
    if 0xD0 <= tag <= 0xD3:
        size = 1 << tag - 0xD0
        return int.from_bytes(data[at:at + size], "big", signed=True), at + size
    if tag in (0xCA, 0xCB):
        size = 4 if tag == 0xCA else 8
        return struct.unpack(">f" if size == 4 else ">d", data[at:at + size])[0], at + size
    raise ValueError(f"expected msgpack without extensions, got the byte {tag:#x}")


def integer(data, at, size):
    return int.from_bytes(data[at:at + size], "big"), at + size


def attempt_text(value):
    """EPOCH-BLOCK-N, as the provider is told it."""
    return f"{value >> 48}-{value >> 20 & (1 << 28) - 1}-{value & (1 << 20) - 1}"


def messages(frame):
    """[(tag, body), ...] of [version, tag, epoch, session, seq, ack, body, tag, body, ...]"""
    _, tag, _, _, _, _, *rest = unpack(frame)[0]
    tags = [tag, *rest[1::2]]
    return list(zip(tags, rest[0::2], strict=True))


class Frames:
    """Cuts one direction of a ZMTP 3 connection into messages of one frame."""
    GREETING = 64

    def __init__(self):
        self.data, self.skip = b"", self.GREETING

    def feed(self, piece):
        self.data += piece
        if self.skip:
            if len(self.data) < self.skip:
                return
            self.data, self.skip = self.data[self.skip:], 0
        while len(self.data) >= 2:
            flags = self.data[0]
            size, begin = integer(self.data, 1, 8 if flags & 2 else 1)
            if len(self.data) < begin + size:
                return
            body, self.data = self.data[begin:begin + size], self.data[begin + size:]
            if not flags & 4:  # a command, as a heartbeat of ZeroMQ's own
                yield body


class Witness(FaultProxy):
    def __init__(self, target_port):
        super().__init__(target_port, 0)
        self.seen, self.frames, self.guard = [], {}, threading.Lock()
        self.counts = collections.Counter()  # by tag

    def forward(self, connection, way, piece, sink):
        now = time.time()
        frames = self.frames.setdefault((id(connection), way), Frames())
        for frame in frames.feed(piece):
            for tag, body in messages(frame):
                self.note(now, tag, body)
        super().forward(connection, way, piece, sink)

    def note(self, now, tag, body):
        values = ([outcome[b"a"] for outcome in body.get(b"o", [])] if tag == OUTCOMES else
                  body.get(b"a", []) if tag == RECORDED else [])
        with self.guard:
            self.counts[tag] += 1
            if values:
                self.seen.append(Seen(now, tag, [attempt_text(value) for value in values]))

    def first(self, tag):
        """attempt -> when it passed first, in a message of this tag."""
        with self.guard:
            moments = {}
            for seen in self.seen:
                if seen.tag == tag:
                    for attempt in seen.attempts:
                        moments.setdefault(attempt, seen.at)
            return moments
