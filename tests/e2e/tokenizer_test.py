"""`--tokenizer`: dry runs, chunks and packs have the tokens that OpenAI's tiktoken counts; which job it makes, over
kills and restarts; and every wrong file by its name.
"""
import base64
import hashlib
import json
import pathlib
import shutil
import urllib.request

import unittest

from chunks_test import book
from harness import EndToEnd
from real_tokenizer_test import judged, rank_file, texts

NOWHERE = "http://127.0.0.1:9/v1"  # nothing listens there
ENCODINGS = ("cl100k_base", "o200k_base")


def counts(encoding, given):
    return [len(line.split()) for line in judged("tiktoken", encoding, given)]


def small_ranks(*tokens):
    """All single bytes, and then these."""
    all_tokens = [bytes([byte]) for byte in range(256)] + [token.encode() for token in tokens]
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(all_tokens))


class Tokenizer(EndToEnd):
    def setUp(self):
        super().setUp()
        self.output = self.directory / "out.jsonl"

    def file(self, name, data):
        path = self.directory / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def documents(self, given, name="in.jsonl"):
        return self.file(name, "".join(json.dumps({"id": f"d-{n}", "text": text}) + "\n"
                                       for n, text in enumerate(given)))

    def dry(self, *arguments):
        return json.loads(self.gristmill("run", *arguments, "--dry-run", "--json", "--endpoint", NOWHERE, "-m", "m",
                                         "-o", self.directory / "never.jsonl").stdout)

    def asked(self, server):
        return [json.loads(call["body"])["messages"][-1]["content"] for call in self.calls(server)]

    def answer(self):
        (line,) = [json.loads(line) for line in self.output.read_text(encoding="utf-8").splitlines()]
        return line["response"]["body"]["choices"][0]["message"]["content"]


class Counted(Tokenizer):
    def test_a_dry_run_counts_as_tiktoken_does(self):
        given = ["x" + text for text in texts()]  # none is blank
        source = self.documents(given)
        for encoding in ENCODINGS:
            total = sum(counts(encoding, given))
            found = self.dry(source, "--tokenizer", rank_file(encoding), "--task", "embed")
            self.assertEqual(found["bad"], 0, found["bad_lines"])
            self.assertEqual(found["tokens"]["input"], {"low": total, "likely": total, "high": total})
            digest = hashlib.sha256(rank_file(encoding).read_bytes()).hexdigest()
            self.assertEqual(found["tokenizer"], {"name": encoding, "sha256": digest})
            # What a chat template adds remains an estimate: three to eight for a message, and up to twelve.
            chat = self.dry(source, "--tokenizer", f"{rank_file(encoding)}:{encoding}")["tokens"]["input"]
            self.assertEqual(chat["low"], total + 3 * len(given))
            self.assertEqual(chat["high"], total + 20 * len(given))
        self.assertIsNone(self.dry(source)["tokenizer"])
        said = self.gristmill("run", source, "--dry-run", "--endpoint", NOWHERE, "-m", "m", "--tokenizer",
                              rank_file("o200k_base")).stdout
        self.assertIn("texts are counted with o200k_base", said)

    def test_no_chunk_has_more_tokens_than_told(self):
        # Nothing repeats itself, so that a piece can stand in one place only.
        text = book(400_000) + "".join(f"磨坊主把玉米{n}倒在两块沉重的石头之间，等待面粉变细。" for n in range(400))
        text += "".join(f"👩‍👩‍👧🇩🇪{n}" for n in range(500))
        text += "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(470))
        for encoding in ENCODINGS:
            with self.subTest(encoding=encoding):
                server = self.server("--answer", "echo", "--log-bodies", label=encoding)
                source = self.file("book.txt", text)
                chunks = ("--chunk-tokens", "300", "--chunk-overlap", "30", "--tokenizer", rank_file(encoding))
                prompt = ("-p", "{{chunk}} of {{chunks}}\n{{text}}")
                self.gristmill("run", source, *chunks, *prompt, "-m", "m", "--endpoint", server.url, "-o",
                               self.directory / f"{encoding}.jsonl")
                pieces = {}
                for asked in self.asked(server):
                    head, piece = asked.split("\n", 1)
                    number, of = map(int, head.split(" of "))
                    pieces[number] = piece
                self.assertEqual(sorted(pieces), list(range(1, of + 1)))
                self.assertEqual(self.dry(source, *chunks, *prompt)["chunks"], of)
                sizes = counts(encoding, list(pieces.values()))
                self.assertLessEqual(max(sizes), 300)
                self.assertGreater(sum(sizes) / len(sizes), 200)
                self.check_overlaps(encoding, text, [pieces[n] for n in range(1, of + 1)])

    def check_overlaps(self, encoding, text, pieces):
        data, end, repeated = text.encode(), 0, []
        for piece in (piece.encode() for piece in pieces):
            begin = next(at for at in range(max(end - 600, 0), end + 1) if data.startswith(piece, at)
                         and at + len(piece) > end)
            repeated.append(data[begin:end].decode())
            end = begin + len(piece)
        self.assertEqual(end, len(data))
        self.assertLessEqual(max(counts(encoding, repeated)), 30)

    def test_texts_go_together_by_their_tokens(self):
        # 600 bytes and some 130 tokens each: by bytes 500 of them would be a call, at most.
        count, text = 12_000, lambda n: f"document {n}: " + "the miller poured the grain. " * 20
        source = self.documents(map(text, range(count)))
        server = self.server("--log-bodies")
        self.gristmill("run", source, "--task", "embed", "-m", "m", "--endpoint", server.url, "--tokenizer",
                       rank_file("cl100k_base"), "-o", self.output)
        calls = [json.loads(call["body"])["input"] for call in self.calls(server)]
        calls = [given if isinstance(given, list) else [given] for given in calls]
        self.assertEqual(sum(map(len, calls)), count)
        self.assertGreaterEqual(max(map(len, calls)), 1_024)
        sizes = counts("cl100k_base", [text(n) for n in range(count)])
        for given in calls:
            numbers = [int(one.split(":")[0].removeprefix("document ")) for one in given]
            self.assertLessEqual(sum(sizes[n] for n in numbers), 300_000)


class Identity(Tokenizer):
    """With a vocabulary of its own, by which nearly every byte is a token."""

    def setUp(self):
        super().setUp()
        self.ranks = self.file("ranks.tiktoken", small_ranks("the", " mill"))
        self.text = book(60_000)
        self.source = self.file("book.txt", self.text)
        self.named = f"{self.ranks}:like-cl100k_base"

    def command(self, server, tokenizer):
        return ["run", self.source, "--chunk-tokens", "400", *(["--tokenizer", tokenizer] if tokenizer else []), "-m",
                "m", "--endpoint", server.url, "-o", self.output, "--max-in-flight", "4", "--no-progress"]

    def test_a_killed_run_goes_on_with_the_same_ranks_wherever_they_are(self):
        server = self.server("--answer", "echo", "--log-bodies", "--latency", "50ms")
        run = self.start("gristmill", *self.command(server, self.named), label="killed")
        self.until_calls(server, 20)
        run.kill()
        for other in ("", f"{self.ranks}:like-o200k_base",
                      f"{self.file('other.tiktoken', small_ranks('the', ' grain'))}:like-cl100k_base"):
            refused = self.gristmill(*self.command(server, other), check=2)
            self.assertIn("--tokenizer differs from that of the job", refused.stderr)
        moved = self.directory / "moved.tiktoken"
        shutil.move(self.ranks, moved)
        refused = self.gristmill(*self.command(server, self.named), check=2)
        self.assertIn(f"--tokenizer {self.ranks}", refused.stderr)
        self.gristmill(*self.command(server, f"{moved}:like-cl100k_base"))
        self.assertEqual(self.answer(), self.text)
        # Divided otherwise it would ask for other texts.
        self.assertEqual("".join(sorted(set(self.asked(server)), key=self.text.index)), self.text)

    def test_a_configuration_file_names_it(self):
        server = self.server("--answer", "echo", "--log-bodies")
        config = self.file("run.toml", f'tokenizer = "{self.named}"\n')
        self.gristmill(*self.command(server, ""), "--config", config)
        self.assertLessEqual(max(len(asked.encode()) for asked in self.asked(server)), 400 * 2)
        self.assertIn("finished", self.gristmill(*self.command(server, self.named)).stderr)

    def test_a_cluster_divides_alike_after_it_was_killed_and_forgets_the_ranks_with_the_job(self):
        server = self.server("--answer", "echo", "--log-bodies", "--latency", "50ms")
        hub = self.coordinator()
        self.worker(hub, "w")
        job = self.gristmill("submit", self.source, "--chunk-tokens", "400", "--tokenizer", self.named, "-m", "m",
                             "--endpoint", server.url, "--max-in-flight", "4", "--server", hub.http).stdout.strip()
        self.ranks.unlink()  # the coordinator has its own
        uploads = self.directory / "state/inputs"
        self.assertEqual(len(list(uploads.iterdir())), 2)
        self.until_calls(server, 20)
        hub.kill()
        hub = self.coordinator(label="again", listen=hub.listen, http=hub.http.removeprefix("http://"))
        self.until("the job to end", lambda: self.job(hub, job)["state"] == "finished")
        self.gristmill("results", job, "-o", self.output, "--server", hub.http)
        self.assertEqual(self.answer(), self.text)
        asked = set(self.asked(server))
        self.assertEqual("".join(sorted(asked, key=self.text.index)), self.text)
        self.file("ranks.tiktoken", small_ranks("the", " mill"))
        self.assertEqual(self.dry(self.source, "--chunk-tokens", "400", "--tokenizer", self.named)["chunks"], len(asked))
        self.gristmill("forget", job, "--server", hub.http)
        self.assertEqual(list(uploads.iterdir()), [])

    def test_ranks_below_the_data_root_that_change_stop_the_job_until_they_are_put_back(self):
        data = self.directory / "data"
        data.mkdir()
        for path in (self.source, self.ranks):
            shutil.copy(path, data)
        server = self.server("--answer", "echo", "--log-bodies", "--latency", "50ms")
        hub = self.coordinator("--data-root", data)
        self.worker(hub, "w")
        spec = {"inputs": [{"path": "book.txt", "name": "book.txt"}], "model": "m", "chunk_tokens": 400,
                "tokenizer_file": "ranks.tiktoken", "tokenizer": "like-cl100k_base", "max_in_flight": 4,
                "endpoints": [{"url": server.url}]}
        job = self.post(hub, spec)["id"]
        self.until_calls(server, 20)
        hub.kill()
        ranks = (data / "ranks.tiktoken").read_bytes()
        (data / "ranks.tiktoken").write_bytes(small_ranks("grain"))
        hub = self.coordinator("--data-root", data, label="again", listen=hub.listen,
                               http=hub.http.removeprefix("http://"))
        self.until("the job to stop", lambda: self.job(hub, job)["state"] == "failed")
        self.assertIn("ranks.tiktoken: expected the rank file that the job began with",
                      self.job(hub, job)["detail"])
        (data / "ranks.tiktoken").write_bytes(ranks)
        self.until("the job is closed and can be resumed", lambda: self.gristmill(
            "resume", job, "--server", hub.http, check=None).returncode == 0)
        self.until("the job to end", lambda: self.job(hub, job)["state"] == "finished")
        self.gristmill("results", job, "-o", self.output, "--server", hub.http)
        self.assertEqual(self.answer(), self.text)

    def post(self, hub, spec):
        request = urllib.request.Request(f"{hub.http}/api/v1/jobs", json.dumps({"spec": spec}).encode(),
                                         {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


class Refused(Tokenizer):
    def test_every_wrong_file_is_refused_by_its_name_before_anything_is_called(self):
        source, server = self.file("a.txt", "some text"), self.server()
        hub = self.coordinator()
        self.worker(hub, "w")
        whole = rank_file("cl100k_base").read_bytes()
        good = self.file("good.tiktoken", whole)
        large = self.file("large.tiktoken", b"")
        with open(large, "r+b") as file:
            file.truncate((16 << 20) + 1)
        cases = {
            self.directory / "none.tiktoken": "expected a readable rank file",
            self.directory: "expected a readable rank file",
            large: "expected a rank file of at most 16777216 bytes, got 16777217",
            self.file("empty.tiktoken", b""): "an empty file",
            self.file("page.tiktoken", b"<html>no</html>\n"): "line 1",
            self.file("cut.tiktoken", whole[:whole.rindex(b" ")]): "line 100256",
            self.file("short.tiktoken", whole[:whole.rindex(b"\n", 0, -1000) + 1]): "expected as many ranks",
            f"{good}:o200k_base": "expected the 199998 ranks of o200k_base, got 100256",
            f"{good}:cl99": 'got "cl99"',
            f"{good}:": "expected FILE.tiktoken or FILE.tiktoken:NAME",
        }
        for tokenizer, sentence in cases.items():
            with self.subTest(tokenizer=str(tokenizer)):
                common = (source, "--tokenizer", tokenizer, "-m", "m", "--endpoint", server.url)
                for command in (("run", *common, "-o", self.output), ("run", *common, "--dry-run"),
                                ("submit", *common, "--server", hub.http)):
                    refused = self.gristmill(*command, check=2)
                    self.assertIn("--tokenizer", refused.stderr)
                    self.assertIn(sentence, refused.stderr)
                    self.assertIn(str(tokenizer).split(":")[0], refused.stderr)
        self.assertEqual(self.calls(server), [])
        self.assertFalse(self.output.exists() or pathlib.Path(f"{self.output}.state").exists())
        self.assertEqual(list((self.directory / "state/inputs").glob("*")), [])
        self.assertEqual(json.loads(self.gristmill("jobs", "--json", "--server", hub.http).stdout)["jobs"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
