"""What a test needs to use gristmill-simllm: start it, speak to it byte by byte, predict it.

The formulas are written here a second time, from the prose of draw.hpp, latency.hpp and answer.hpp,
so that they check the server instead of repeating it. Standard library only.
"""

import json
import math
import os
import signal
import socket
import subprocess
import time
import zlib

MASK = (1 << 64) - 1
LATENCY_SALT = 1 << 32


def crc(text):
    return zlib.crc32(text.encode())


def answer(text, tokens=8):
    return f"sim {crc(text):08x}" + " grain" * max(0, tokens - 2)


def prompt_tokens(*texts):
    return (sum(len(text.encode()) for text in texts) + 3) // 4 + 4 * len(texts)


def embedding(text, dimensions=8):
    value, result = crc(text), []
    for k in range(dimensions):
        turn = k % 32
        result.append((((value << turn | value >> (32 - turn)) & 0xFFFFFFFF) & 0xFFFF) / 65535.0)
    return result


def mix(z):
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def draw(seed, salt, text, nth=1):
    return (mix(mix(mix(mix(seed) ^ salt) ^ crc(text)) ^ nth) >> 11) * 2.0**-53


def uniform_us(low_us, high_us, seed, text, nth=1):
    return low_us + draw(seed, LATENCY_SALT, text, nth) * (high_us - low_us)


def lognormal_us(median_us, sigma, seed, text, nth=1):
    u = draw(seed, LATENCY_SALT, text, nth)
    v = draw(seed, LATENCY_SALT + 1, text, nth)
    z = math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)
    return median_us * math.exp(sigma * z)


class Server:
    """A running gristmill-simllm on a free port; leaving the block must end it with exit code 0."""

    def __init__(self, binary, *flags, log=None):
        command = [binary, "--listen", "127.0.0.1:0", *flags]
        if log:
            command += ["--log", log]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        ready = json.loads(self.process.stdout.readline())
        assert ready["event"] == "ready"
        self.url = ready["url"]
        self.port = int(self.url.split(":")[2].split("/")[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self.process.stdout.close()
        assert code == 0, f"exit code {code}"

    def connect(self):
        return Client(self.port)

    def call(self, *args, **more):
        with self.connect() as client:
            return client.call(*args, **more)

    def stats(self):
        with self.connect() as client:
            return client.request("GET", "/stats").json()

    def control(self, **settings):
        with self.connect() as client:
            return client.request("POST", "/control", settings)


def server(*flags, log=None):
    """The binary named by the environment variable SIMLLM, started with these flags."""
    return Server(os.environ["SIMLLM"], *flags, log=log)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.json()["choices"][0]["message"]["content"]

    def error(self):
        return self.json()["error"]


class Cut(Exception):
    """The connection ended before the reply was complete; what had come is in `seen`."""

    def __init__(self, seen):
        super().__init__(f"cut after {len(seen)} bytes")
        self.seen = seen


def chat_body(text, **more):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def request_bytes(method, path, body=None, headers=()):
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"{method} {path} HTTP/1.1", "Host: sim", f"Content-Length: {len(data)}"]
    head += [f"{name}: {value}" for name, value in dict(headers).items()]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


class Client:
    """One connection, without any mercy towards replies that are not exactly right."""

    def __init__(self, port, timeout_s=5):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        while b"\r\n\r\n" not in self.pending:
            self._more()
        head, rest = self.pending.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        pairs = (line.split(": ", 1) for line in lines[1:])
        headers = {name.lower(): value for name, value in pairs}
        self.pending = rest
        length = 0 if status == 100 else int(headers["content-length"])
        while len(self.pending) < length:
            self._more()
        body, self.pending = self.pending[:length], self.pending[length:]
        return Response(status, headers, body)

    def _more(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise Cut(self.pending)
        self.pending += data

    def request(self, method, path, body=None, headers=()):
        self.send(request_bytes(method, path, body, headers))
        return self.receive()

    def call(self, text, path="/v1/chat/completions", headers=(), **more):
        return self.request("POST", path, chat_body(text, **more), headers)


def read_log(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def until(condition, timeout_s=5):
    """Waits for a condition by asking, so no test guesses how long something takes."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.002)

