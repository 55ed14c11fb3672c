"""A TCP proxy that hurts what passes through it: one per worker, between it and the coordinator.

  pass                  as if it were not there
  delay(ms)             each piece waits up to so long
  trickle(bytes_per_s)  a few bytes at a time
  pause                 nothing passes until healed, then everything does
  blackhole             nothing passes until healed, then the connections are reset
  deaf                  new connections are accepted and lead nowhere; the old ones are cut
  flip                  one bit of the next piece is another
  truncate              half of the next piece, then the connection ends
  rst, cut              all connections are reset, or closed in order, once

`way` is "up" (worker to coordinator), "down" or "both". What is random comes from the seed.
Invariant: without a fault each byte passes once and in order.
"""
import random
import socket
import struct
import threading
import time

TICK_S = 0.05  # how soon a thread that waits for bytes notices that its connection is over
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close sends a reset


class Connection:
    def __init__(self, near, far):
        self.near, self.far = near, far
        self.over = threading.Event()
        self.reset = False
        self.left = 2  # threads that use the sockets
        self.lock = threading.Lock()

    def end(self, reset):
        self.reset |= reset
        self.over.set()

    def leave(self):
        with self.lock:
            self.left -= 1
            if self.left:
                return
        for side in (self.near, self.far):
            if self.reset:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            side.close()


class FaultProxy:
    def __init__(self, target_port, seed):
        self.target = ("127.0.0.1", target_port)
        self.random = random.Random(seed)
        self.connections = set()
        self.lock = threading.Lock()
        self.healed = threading.Event()
        self.kind, self.way, self.amount = "pass", "both", 0
        self.once = threading.Lock()
        self.closing = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.healed.set()
        threading.Thread(target=self.listen, daemon=True).start()

    def hurt(self, kind, way="both", amount=0):
        self.kind, self.way, self.amount = kind, way, amount
        self.healed.clear()
        if kind in ("rst", "cut", "deaf"):
            self.end_all(reset=kind == "rst")

    def heal(self):
        if self.kind == "blackhole":
            self.end_all(reset=True)
        self.kind = "pass"
        self.healed.set()

    def end_all(self, reset):
        with self.lock:
            for connection in self.connections:
                connection.end(reset)

    def close(self):
        self.closing = True
        self.end_all(reset=False)
        self.listener.close()
        self.healed.set()

    def listen(self):
        while not self.closing:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                deaf = self.kind == "deaf"
                far = socket.socketpair()[0] if deaf else socket.create_connection(self.target, timeout=2)
            except OSError:  # the coordinator is down
                near.close()
                continue
            connection = Connection(near, far)
            for side in (near, far):
                side.settimeout(TICK_S)
                if side.family == socket.AF_INET:
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections.add(connection)
            for way, source, sink in (("up", near, far), ("down", far, near)):
                threading.Thread(target=self.pump, args=(connection, way, source, sink),
                                 daemon=True).start()

    def pump(self, connection, way, source, sink):
        try:
            while not connection.over.is_set():
                try:
                    piece = source.recv(65536)
                except TimeoutError:
                    continue
                if not piece:
                    break
                self.forward(connection, way, piece, sink)
        except OSError:
            pass  # one side is gone; so is the connection
        connection.over.set()
        with self.lock:
            self.connections.discard(connection)
        connection.leave()

    def forward(self, connection, way, piece, sink):
        kind = self.kind if self.way in (way, "both") else "pass"
        if kind == "delay":
            time.sleep(self.random.uniform(0, self.amount) / 1000)
        elif kind in ("pause", "blackhole"):
            self.healed.wait()
        elif kind == "flip" and self.once.acquire(blocking=False):
            at = self.random.randrange(len(piece))
            piece = piece[:at] + bytes([piece[at] ^ 1 << self.random.randrange(8)]) + piece[at + 1:]
            self.kind = "pass"
            self.once.release()
        elif kind == "truncate":
            self.kind = "pass"
            self.send(connection, piece[:len(piece) // 2], sink)
            connection.end(reset=False)
            return
        while kind == "trickle" and piece and not self.healed.is_set():
            self.send(connection, piece[:self.amount // 20 + 1], sink)
            piece = piece[self.amount // 20 + 1:]
            self.healed.wait(0.05)
        self.send(connection, piece, sink)

    def send(self, connection, piece, sink):
        while piece and not connection.over.is_set():
            try:
                piece = piece[sink.send(piece):]
            except TimeoutError:
                continue
