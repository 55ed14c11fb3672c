"""Any two features work together, or are refused by name before anything is called: which of the two
stands in docs/operations/combinations.md, and is tried here for each pair, under run and in a cluster.
"""
import base64
import hashlib
import itertools
import json
import re
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness import PATIENCE_S, ROOT, EndToEnd, binary

PAGE = ROOT / "docs/operations/combinations.md"
ITEMS, DISTINCT = 24, 6
SCHEMA = {"type": "object", "properties": {"checksum": {"type": "string"}}, "required": ["checksum"]}
# By the name of the feature on the page. `embed` and `classify` are tasks; only one fits a job.
FEATURES = {
    "embeddings": ["--task", "embed"],
    "labels": ["--task", "classify", "--labels", "red,blue"],
    "packs": ["--task", "embed", "--pack", "8"],
    "chunks": ["--chunk-tokens", "30", "--chunk-overlap", "5"],
    "reduce": ["--chunk-tokens", "30", "--reduce-prompt", "One of these: {{answers}}"],
    "several models": ["-m", "a", "-m", "b"],
    "judge": ["-m", "a", "-m", "b", "--judge-model", "j", "--judge-prompt", "{{answer.1}} or {{answer.2}}"],
    "fallback": ["--fallback-model", "f"],
    "schema": ["--json-schema", "schema.json"],
    "dedupe": ["--dedupe"],
    "cache": ["--cache", "CACHE"],
    "preprocessing": ["--normalise", "--where", "lang!=fr", "--drop-empty", "--sample", "60%", "--seed", "7"],
    "limit": ["--limit", "10"],
    "keep": ["--keep", "lang"],
    "tokenizer": ["--tokenizer", "bytes.tiktoken:like-gpt2"],
    "hedge": ["--hedge", "5%"],
    "order": ["--order", "completion"],
    "stream": [],
}
SAME_OPTION = [{"packs", "embeddings"}, {"packs", "labels"}, {"embeddings", "labels"}, {"chunks", "reduce"},
               {"several models", "judge"}]


def text_of(n):
    return "\n\n".join(f"Text {n % DISTINCT}, paragraph {k}: words enough for a chunk of its own." for k in range(3))


def documents():
    return [{"id": f"d-{n}", "text": text_of(n), "lang": ("de", "en", "fr")[n % 3]} for n in range(ITEMS)]


def is_in_sample(line):
    digest = hashlib.sha256(f"7:0:{line}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < 0.6 * 2 ** 64


def expected(features):
    """The documents that are items."""
    items = list(enumerate(documents(), 1))
    if "preprocessing" in features:
        items = [(line, one) for line, one in items if one["lang"] != "fr" and is_in_sample(line)]
    if "limit" in features:
        items = items[:10]
    return {one["id"]: one for _, one in items}


def refused_pairs():
    """{names: (an option, what its sentence says)}"""
    rows = re.findall(r"^\| (\S[^|]*) with (\S[^|]*?) \| `([^`|]*)`", PAGE.read_text(), re.M)
    return {frozenset((a, b)): sentence for a, b, sentence in rows}


class Combinations(EndToEnd):
    def setUp(self):
        super().setUp()
        (self.directory / "docs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents()))
        (self.directory / "schema.json").write_text(json.dumps(SCHEMA))
        (self.directory / "bytes.tiktoken").write_bytes(
            b"".join(base64.b64encode(bytes([byte])) + b" %d\n" % byte for byte in range(256)))
        self.servers = {}

    def server_of(self, features, label):
        answer = "label" if "labels" in features else "json" if "schema" in features else "checksum"
        fault = ["--fault", "context:model=m"] if "fallback" in features else []
        return self.server("--answer", answer, "--log-bodies", *fault, label=label)

    def arguments(self, features, cache):
        words = [word for name in features for word in FEATURES[name]]
        if "-m" not in words:
            words += ["-m", "m"]
        if "--task" not in words:
            words += ["-p", "Read: {{text}}"]
        return [str(cache) if word == "CACHE" else word for word in words]

    def run_of(self, features, server, number, output):
        source = "-" if "stream" in features else "docs.jsonl"
        with open(self.directory / "docs.jsonl") as documents_:
            return subprocess.run(
                [binary("gristmill"), "run", source, *self.arguments(features, f"{number}.cache"), "-q",
                 "--endpoint", server.url, "-o", output], cwd=self.directory, stdin=documents_, text=True,
                capture_output=True, timeout=PATIENCE_S)

    def check_lines(self, features, lines):
        items = expected(features)
        ids = [line["custom_id"] for line in lines]
        self.assertEqual(sorted(ids), sorted(items))
        if "order" not in features:
            self.assertEqual(ids, list(items))
        for line in lines:
            self.assertIsNone(line["error"], line)
            said, body = line["gristmill"], line["response"]["body"]
            if features & {"embeddings", "packs"}:
                self.assertEqual(len(body["data"][0]["embedding"]), 8)
            if "labels" in features:
                self.assertIn(said["label"], ("red", "blue", None))  # null: a tie
            if features & {"chunks", "reduce"}:
                self.assertGreaterEqual(said["chunks"], 2)
            if features & {"several models", "judge"}:
                self.assertEqual([answer["model"] for answer in said["answers"]], ["a", "b"])
            if "judge" in features:
                self.assertIsNone(said["judge"]["error"])
            if "fallback" in features:
                self.assertEqual(said["model"], "f")
            if "schema" in features:
                for answer in body["choices"][0]["message"]["content"].split("\n\n"):
                    self.assertIn("checksum", json.loads(answer))
            if "keep" in features:
                self.assertEqual(said["input"], {"lang": items[line["custom_id"]]["lang"]})

    def check_calls(self, features, calls):
        bodies = [call["body"] for call in calls if call["status"] == 200]
        if "dedupe" in features and "packs" not in features:
            self.assertEqual(len(bodies), len(set(bodies)))
        if "packs" in features:
            self.assertLess(len(bodies), sum(len(json.loads(body)["input"]) for body in bodies))

    def try_pair(self, number, names):
        features = set(names)
        server = self.server_of(features, f"server-{number}")
        done = self.run_of(features, server, number, f"{number}.jsonl")
        refusal = refused_pairs().get(frozenset(names))
        if refusal is not None:
            self.assertEqual((done.returncode, self.calls(server)), (2, []), done.stderr)
            self.assertIn(refusal, done.stderr)
            return
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.directory / f"{number}.jsonl") as lines:
            self.check_lines(features, [json.loads(line) for line in lines])
        calls = self.calls(server)
        self.check_calls(features, calls)
        if "cache" in features:
            again = self.run_of(features, server, number, f"{number}-again.jsonl")
            self.assertEqual(again.returncode, 0, again.stderr)
            if "fallback" not in features:  # whose answers no cache has
                self.assertEqual(len(self.calls(server)), len(calls))
        server.end()

    def ask(self, *arguments):
        return subprocess.run([binary("gristmill"), *map(str, arguments), "--server", self.hub.http],
                              cwd=self.directory, text=True, capture_output=True, timeout=PATIENCE_S,
                              check=True, stdin=subprocess.DEVNULL).stdout.strip()

    def lines_of_open_job(self, words):
        """Half of the documents is appended, and then the other."""
        job = self.ask("submit", "--open", *words)
        lines = (self.directory / "docs.jsonl").read_text().splitlines(keepends=True)
        for part in (lines[:ITEMS // 2], lines[ITEMS // 2:]):
            piece = self.directory / "piece.jsonl"
            piece.write_text("".join(part))
            self.ask("append", job, piece)
        self.ask("close", job)
        self.ask("watch", job)
        output = self.directory / f"{job}.jsonl"
        self.ask("results", job, "-o", output)
        return [json.loads(line) for line in output.read_text().splitlines()]

    def test_each_with_an_open_job(self):
        says_json = self.server("--answer", "json", "--log-bodies", "--fault", "context:model=broken")
        says_label = self.server("--answer", "label", label="labels")
        urls = {"label": says_label.url} | {model: says_json.url for model in ("m", "a", "b", "j", "f", "broken")}
        (self.directory / "pools.toml").write_text("".join(
            f'[[pool]]\nmodel = "{model}"\n[[pool.endpoint]]\nurl = "{url}"\n' for model, url in urls.items()))
        self.hub = self.coordinator("--config", self.directory / "pools.toml", "--cache",
                                    self.directory / "answers.cache")
        self.worker(self.hub, "w0")
        before = 0
        for name in FEATURES:
            # A sample is drawn from each input by itself, and a job that has reached its limit is over.
            if name in ("stream", "preprocessing", "limit"):
                continue
            words = [word for word in self.arguments({name}, "CACHE") if word not in ("--cache", "CACHE")]
            if name in ("labels", "fallback"):
                words[words.index("-m") + 1] = "label" if name == "labels" else "broken"
            with self.subTest(name):
                self.check_lines({name}, self.lines_of_open_job([*words, "--no-cache"]))
                calls = self.calls(says_json)
                self.check_calls({name}, calls[before:])
                before = len(calls)
        for calls in (DISTINCT, 0):
            self.check_lines({"cache"}, self.lines_of_open_job(["-m", "m", "-p", "{{text}}", "--dedupe"]))
            self.assertEqual(len(self.calls(says_json)) - before, calls)
            before += calls

    def test_each_pair_under_run(self):
        pairs = [pair for pair in itertools.combinations(FEATURES, 2) if set(pair) not in SAME_OPTION]
        with ThreadPoolExecutor(4) as pool:
            tried = [(pair, pool.submit(self.try_pair, number, pair)) for number, pair in enumerate(pairs)]
        for pair, future in tried:
            with self.subTest(" with ".join(pair)):
                future.result()


if __name__ == "__main__":
    unittest.main()
