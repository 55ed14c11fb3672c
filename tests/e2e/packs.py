"""What the tests of packs share: texts, their vectors by the simulated server's formula, and what its log
says of the calls for embeddings.
"""
import collections
import contextlib
import http.server
import json
import pathlib
import shutil
import sqlite3
import tempfile
import zlib

from harness import EndToEnd
from scripted_server import url_of


def vector(text, dimensions=8):
    """The vector that the simulated server gives (tests/simllm/answer.hpp)."""
    crc = zlib.crc32(text.encode())
    twice = crc << 32 | crc
    return [(twice >> (32 - k % 32) & 0xFFFF) / 65535.0 for k in range(dimensions)]


class Packs(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"

    def documents(self, count, text=lambda n: f"document {n}"):
        with open(self.source, "w", encoding="utf-8") as file:
            for n in range(count):
                file.write(json.dumps({"id": f"doc-{n}", "text": text(n)}) + "\n")

    def pool(self, *endpoints):
        """A configuration whose only pool has these endpoints, each the lines of one."""
        path = self.directory / "gristmill.toml"
        path.write_text('[[pool]]\nmodel = "sim-small"\n' +
                        "".join(f"[[pool.endpoint]]\n{lines}\n" for lines in endpoints))
        return path

    def embed_command(self, *arguments, output=None):
        return ["run", self.source, "--task", "embed", "-m", "sim-small", "-o",
                output or self.output, *arguments]

    def embed(self, *arguments, output=None, check=0):
        return self.gristmill(*self.embed_command(*arguments, output=output), check=check)

    def lines(self, output=None):
        with open(output or self.output, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    @staticmethod
    def vector_of(line):
        (entry,) = line["response"]["body"]["data"]
        return entry["embedding"]

    def check_vectors(self, count, text=lambda n: f"document {n}", failed=(), output=None, dimensions=8):
        """Each item once, in input order, as if it had been asked for alone."""
        found = 0
        for n, line in enumerate(self.lines(output)):
            found += 1
            if line["custom_id"] != f"doc-{n}":  # an assertion for each of 100,000 takes a while
                self.fail(f"line {n + 1}: {line}")
            if n in failed:
                self.assertNotEqual((line["response"] or {}).get("status_code"), 200, line)
                continue
            if line["error"] or line["response"]["status_code"] != 200:
                self.fail(f"item {n} failed: {line}")
            (entry,) = line["response"]["body"]["data"]
            if entry["index"] != 0 or entry["embedding"] != vector(text(n), dimensions):
                self.fail(f"item {n} has not its own vector: {line}")
        self.assertEqual(found, count)

    # ---- by the server's log -------------------------------------------------------------------

    def sizes(self, server, status=200):
        """How many inputs each call had that was so answered, in the order of their arrival."""
        return [call["inputs"] for call in self.calls(server) if call["status"] == status]

    def refused(self, server):
        return [call["inputs"] for call in self.calls(server) if call["status"] in (400, 413, 422)]

    def asked(self, server):
        """How often each text was sent; the server logs bodies."""
        texts = collections.Counter()
        for call in self.calls(server):
            given = json.loads(call["body"])["input"]
            texts.update([given] if isinstance(given, str) else given)
        return texts

    def recorded(self, state):
        """Terminal items in the raw journal, of which a copy is read."""
        copy = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
        for file in state.glob("journal.db*"):
            shutil.copy(file, copy)
        with contextlib.closing(sqlite3.connect(copy / "journal.db")) as journal:
            return journal.execute("SELECT coalesce(sum(completed + failed), 0) FROM commits").fetchone()[0]


class Particular:
    """A server that refuses lists of more than `most` inputs with a status and a body of its own."""

    def __init__(self, case, most, status, refusal):
        particular = self
        self.taken, self.refused = [], []  # how many inputs

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                given = json.loads(self.rfile.read(int(self.headers["content-length"])))["input"]
                texts = [given] if isinstance(given, str) else given
                if len(texts) > most:
                    particular.refused.append(len(texts))
                    return self.answer(status, refusal)
                particular.taken.append(len(texts))
                data = [{"object": "embedding", "index": n, "embedding": vector(text)}
                        for n, text in enumerate(texts)]
                return self.answer(200, json.dumps({"object": "list", "data": data, "model": "m", "usage": {
                    "prompt_tokens": len(texts), "total_tokens": len(texts)}}))

            def answer(self, code, text):
                self.send_response(code)
                self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

        self.url = url_of(case, Handler)
