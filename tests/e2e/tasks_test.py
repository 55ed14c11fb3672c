"""`--task embed` and `--task classify`: what is sent, and what becomes of the answers."""
import array
import ast
import collections
import http.server
import json
import math
import struct
import threading
import unittest
import zlib

from harness import EndToEnd


def embedding(text, dimensions):
    """The vector that the simulated server gives (tests/simllm/answer.hpp)."""
    crc = zlib.crc32(text.encode())
    turned = (((crc << (k % 32)) | (crc >> (32 - k % 32))) & 0xFFFFFFFF for k in range(dimensions))
    return [struct.unpack("<f", struct.pack("<f", (bits & 0xFFFF) / 65535.0))[0] for bits in turned]


def read_npy(path):
    """Rows of a NumPy array, by the words of the format's description."""
    data = path.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    (length,) = struct.unpack("<H", data[8:10])
    assert (10 + length) % 64 == 0 and data[9 + length:10 + length] == b"\n"
    header = ast.literal_eval(data[10:10 + length].decode("latin1"))
    assert header["descr"] == "<f4" and header["fortran_order"] is False, header
    rows, dimensions = header["shape"]
    values = array.array("f", data[10 + length:])
    assert len(values) == rows * dimensions, (len(values), header)
    return [list(values[row * dimensions:(row + 1) * dimensions]) for row in range(rows)]


def write_objects(path, count, text=lambda n: f"document {n}"):
    with open(path, "w", encoding="utf-8") as file:
        for n in range(count):
            file.write(json.dumps({"id": f"doc-{n}", "text": text(n)}) + "\n")


class OddServer(http.server.BaseHTTPRequestHandler):
    """Answers embeddings as its class says; keeps the bodies that it was sent."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append((self.path, body))
        data = self.server.answer(body)
        text = json.dumps({"object": "list", "data": data, "model": "odd",
                           "usage": {"prompt_tokens": 1, "total_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Embed(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source = self.directory / "in.jsonl"
        self.output = self.directory / "out.npy"

    def run_embed(self, url, *arguments, output=None, check=0):
        return self.gristmill("run", self.source, "--task", "embed", "--endpoint", url, "-m",
                              "sim-small", "-o", output or self.output, *arguments, check=check)

    def odd_server(self, answer):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OddServer)
        server.answer, server.bodies = answer, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        server.url = f"http://127.0.0.1:{server.server_port}/v1"
        return server

    def test_rows_are_the_items_value_by_value(self):
        for encoding in ("float", "base64"):
            server = self.server("--dimensions", "24", "--fault", "status:code=400,match=BAD",
                                 "--latency", "uniform:0ms:20ms", label=f"simllm-{encoding}")
            bad = {0, 1, 500, 1_999}
            text = lambda n: f"document {n}" + (" BAD" if n in bad else "")
            write_objects(self.source, 2_000, text)
            output = self.directory / f"{encoding}.npy"
            self.run_embed(server.url, "-p", "query: {{text}}", "--param",
                           f"encoding_format={encoding}", output=output, check=3)
            rows = read_npy(output)
            self.assertEqual(len(rows), 2_000)
            ids = [json.loads(line) for line in
                   (self.directory / f"{encoding}.ids.jsonl").read_text().splitlines()]
            for n, (row, name) in enumerate(zip(rows, ids, strict=True)):
                self.assertEqual((name["row"], name["custom_id"]), (n, f"doc-{n}"))
                self.assertEqual(name["failed"], n in bad)
                if n in bad:
                    self.assertTrue(all(map(math.isnan, row)) and len(row) == 24, row)
                else:
                    self.assertEqual(row, embedding(f"query: {text(n)}", 24), n)
            norms = [math.sqrt(sum(value * value for value in row))
                     for n, row in enumerate(rows) if n not in bad]
            found = self.summary(output)["embeddings"]
            self.assertEqual((found["vectors"], found["dimensions"]), (1_996, 24))
            self.assertAlmostEqual(found["norm"]["mean"], sum(norms) / len(norms), places=5)
            self.assertAlmostEqual(found["norm"]["min"], min(norms), places=5)
            self.assertAlmostEqual(found["norm"]["max"], max(norms), places=5)

    def test_nothing_is_sent_beside_model_and_input(self):
        server = self.odd_server(lambda body: [{"index": 0, "embedding": [1.0]}])
        write_objects(self.source, 1)
        self.run_embed(server.url)
        self.assertEqual(server.bodies, [("/v1/embeddings",
                                          {"model": "sim-small", "input": "document 0"})])
        server.bodies.clear()
        self.run_embed(server.url, "--param", "dimensions=3", "--restart")
        self.assertEqual(server.bodies[0][1], {"model": "sim-small", "input": "document 0",
                                               "dimensions": 3})

    def test_jsonl_is_the_usual_lines(self):
        server = self.server()
        write_objects(self.source, 100)
        output = self.directory / "out.jsonl"
        self.run_embed(server.url, "--param", "dimensions=5", output=output)
        for n, line in enumerate(output.read_text().splitlines()):
            result = json.loads(line)
            self.assertEqual(result["custom_id"], f"doc-{n}")
            vector = result["response"]["body"]["data"][0]["embedding"]
            self.assertEqual([struct.unpack("<f", struct.pack("<f", v))[0] for v in vector],
                             embedding(f"document {n}", 5))
        self.assertEqual(self.summary(output)["embeddings"]["dimensions"], 5)

    def test_a_row_of_another_length_stops_with_a_sentence_and_lines_can_be_had(self):
        def answer(body):
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            return [{"index": n, "embedding": [0.5] * (3 if text.endswith("7") else 2)}
                    for n, text in enumerate(texts)]

        server = self.odd_server(answer)
        write_objects(self.source, 10)
        stopped = self.run_embed(server.url, check=4)
        self.assertIn("in.jsonl:8 (\"doc-7\"): expected one embedding for a row of the array, got "
                      "one of 3, where the first has 2", stopped.stderr)
        self.assertFalse(self.output.exists())
        calls = len(server.bodies)
        lines = self.directory / "out.jsonl"
        self.run_embed(server.url, "--state", f"{self.output}.state", output=lines)
        self.assertEqual(len(lines.read_text().splitlines()), 10)
        self.assertEqual(len(server.bodies), calls, "nothing is paid twice")

    def test_killed_and_resumed_it_is_the_same_array(self):
        write_objects(self.source, 3_000)
        whole = self.directory / "whole.npy"
        self.run_embed(self.server(label="simllm-whole").url, output=whole)
        server = self.server("--latency", "20ms")
        arguments = ["run", self.source, "--task", "embed", "--endpoint", server.url, "-m",
                     "sim-small", "-o", self.output, "--concurrency", "64", "--pack", "3"]
        for kill in (270, 540):
            process = self.start("gristmill", *arguments, label=f"run-{kill}")
            self.until_calls(server, kill)
            process.kill()
        self.gristmill(*arguments)
        self.assertEqual(self.output.read_bytes(), whole.read_bytes())
        self.assertEqual((self.directory / "out.ids.jsonl").read_text(),
                         (self.directory / "whole.ids.jsonl").read_text())

    def test_misuse_is_refused_before_anything_starts(self):
        server = self.server()
        write_objects(self.source, 3)
        for arguments, says in ((["--system", "x"], "--system: expected none with --task embed"),
                                (["--labels", "a,b"], "--labels: expected --task classify"),
                                (["--task", "chat"], "--output: expected --task embed")):
            base = ["run", self.source, "--endpoint", server.url, "-m", "sim-small", "-o",
                    self.output]
            task = [] if "--task" in arguments else ["--task", "embed"]
            self.assertIn(says, self.gristmill(*base, *task, *arguments, check=2).stderr)
        refused = self.run_embed(server.url, output=self.directory / "x.npy.gz", check=2)
        self.assertIn("without compression", refused.stderr)
        self.assertEqual(self.stats(server)["calls"], 0)


class Classify(EndToEnd):
    LABELS = ["spam", "ham", "very spam"]

    def setUp(self):
        super().setUp()
        self.source, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"

    def classify(self, server, *arguments, check=0):
        return self.gristmill("run", self.source, "--task", "classify", "--labels", "spam, ham",
                              "--labels", "very spam", "--endpoint", server.url, "-m", "sim-small",
                              "-o", self.output, *arguments, check=check)

    def label(self, text):
        return self.LABELS[zlib.crc32(text.encode()) % len(self.LABELS)]

    def test_each_item_gets_its_label_and_the_summary_counts_them(self):
        server = self.server("--answer", "label")
        write_objects(self.source, 1_000)
        self.classify(server)
        counts = collections.Counter()
        for n, line in enumerate(self.output.read_text().splitlines()):
            result = json.loads(line)
            self.assertEqual(result["gristmill"]["label"], self.label(f"document {n}"), line)
            counts[result["gristmill"]["label"]] += 1
        found = self.summary(self.output)["classifications"]
        self.assertEqual((found["labelled"], found["unlabelled"]), (1_000, 0))
        self.assertEqual({label: row["count"] for label, row in found["labels"].items()}, counts)
        self.assertEqual(sum(row["share"] for row in found["labels"].values()), 1)

    def test_an_answer_without_a_label_is_tried_again(self):
        server = self.server("--answer", "label", "--fault", "babble:times=1,match=odd")
        text = lambda n: f"document {n}" + (" odd" if n % 50 == 0 else "")
        write_objects(self.source, 200, text)
        self.classify(server)
        lines = [json.loads(line) for line in self.output.read_text().splitlines()]
        for n, line in enumerate(lines):
            self.assertEqual(line["gristmill"]["label"], self.label(text(n)))
            self.assertEqual(line["gristmill"]["attempts"], 2 if n % 50 == 0 else 1)
        self.assertEqual(len(self.calls(server)), 204)

    def test_an_item_that_never_gets_a_label_says_what_came(self):
        server = self.server("--answer", "label", "--fault", "babble:match=odd")
        write_objects(self.source, 20, lambda n: "odd" if n == 3 else f"document {n}")
        self.classify(server, "--retries", "1", check=3)
        line = json.loads(self.output.read_text().splitlines()[3])
        self.assertIsNone(line["response"])
        self.assertEqual(line["error"]["code"], "no_label")
        self.assertEqual(line["error"]["message"],
                         "expected one of the labels spam, ham, very spam, got "
                         f"\"sim {zlib.crc32(b'odd'):08x} grain grain grain grain grain grain\"")
        self.assertEqual(line["gristmill"]["attempts"], 2)
        self.assertNotIn("label", line["gristmill"])
        summary = self.summary(self.output)
        self.assertEqual(summary["classifications"]["unlabelled"], 1)
        self.assertEqual(summary["errors"][0]["code"], "no_label")

    def test_prompt_and_system_keep_the_labels(self):
        server = self.server("--answer", "label")
        write_objects(self.source, 20)
        self.classify(server, "-p", "Is it spam? {{text}}", "--system", "Be strict.")
        for n, line in enumerate(self.output.read_text().splitlines()):
            self.assertEqual(json.loads(line)["gristmill"]["label"],
                             self.label(f"Is it spam? document {n}"))

    def test_labels_are_checked(self):
        server = self.server()
        write_objects(self.source, 3)
        base = ["run", self.source, "--endpoint", server.url, "-m", "sim-small", "-o", self.output,
                "--task", "classify"]
        for labels, says in (([], "--labels: expected 2 to 1000 labels"),
                             (["--labels", "one"], "--labels: expected 2 to 1000 labels"),
                             (["--labels", "a,b,A"], "--labels: expected each label once")):
            self.assertIn(says, self.gristmill(*base, *labels, check=2).stderr)
        self.assertEqual(self.stats(server)["calls"], 0)

    def test_a_batch_line_is_no_document(self):
        server = self.server()
        self.source.write_text(json.dumps({"custom_id": "a", "method": "POST",
                                           "url": "/v1/chat/completions", "body": {
                                               "model": "m", "messages": []}}) + "\n")
        self.classify(server, check=3)
        self.assertIn("expected a document with --task classify",
                      json.loads(self.output.read_text())["error"]["message"])
        self.assertEqual(self.stats(server)["calls"], 0)

    def test_a_cluster_classifies_too(self):
        server = self.server("--answer", "label")
        coordinator = self.coordinator()
        self.worker(coordinator, "w1")
        write_objects(self.source, 300)
        self.gristmill("submit", self.source, "--server", coordinator.http, "--task", "classify",
                       "--labels", ",".join(self.LABELS), "--endpoint", server.url, "-m",
                       "sim-small", "--wait", "-o", self.output)
        for n, line in enumerate(self.output.read_text().splitlines()):
            self.assertEqual(json.loads(line)["gristmill"]["label"], self.label(f"document {n}"))
        self.assertEqual(self.summary(self.output)["classifications"]["labelled"], 300)


if __name__ == "__main__":
    unittest.main(verbosity=2)
