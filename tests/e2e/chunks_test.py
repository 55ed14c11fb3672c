"""Long documents: asked for chunk by chunk, their answers joined, pooled, voted on or reduced."""
import collections
import json
import math
import random
import re
import unittest
import urllib.request

from harness import EndToEnd, crc

NOWHERE = "http://127.0.0.1:9/v1"  # nothing listens there


def book(size, seed=1):
    """Chapters of paragraphs of sentences; nothing in it stands twice."""
    chance, text, number = random.Random(seed), [], 0
    while sum(map(len, text)) < size:
        if number % 40 == 0:
            text.append(f"# Chapter {number // 40 + 1}\n\n")
        sentences = []
        for _ in range(chance.randint(2, 8)):
            number += 1
            words = " ".join(chance.choice(["grain", "mill", "Wasser", "pierre", "камень", "石臼", "wind"])
                             for _ in range(chance.randint(4, 18)))
            sentences.append(f"Sentence {number}: {words}.")
        text.append(" ".join(sentences) + "\n\n")
    return "".join(text)


class Chunks(EndToEnd):
    def setUp(self):
        super().setUp()
        self.output, self.other = self.directory / "out.jsonl", None

    def file(self, name, text):
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def lines(self):
        with open(self.output, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    @staticmethod
    def text_of(response):
        return response["body"]["choices"][0]["message"]["content"]

    def asked(self, server):
        """What each call's last message was, by its own log."""
        return [body["messages"][-1]["content"] for body in self.bodies(server)]

    def bodies(self, server):
        return [json.loads(call["body"]) for call in self.calls(server)]

    def test_the_chunks_of_a_book_are_the_book(self):
        text = book(3_000_000)
        server = self.server("--answer", "echo", "--log-bodies")
        self.gristmill("run", self.file("book.md", text), "--chunk-tokens", "2000", "-m", "m", "--endpoint",
                       server.url, "-o", self.output)
        (line,) = self.lines()
        self.assertEqual(self.text_of(line["response"]), text)
        chunks = self.asked(server)
        self.assertEqual(line["gristmill"]["chunks"], len(chunks))
        self.assertGreater(len(chunks), 300)
        self.assertEqual(sorted(chunks), sorted(set(chunks)))
        # They end where the text does: a chapter begins a chunk or is not at its beginning at all.
        inside = sum(1 for chunk in chunks if re.search(r"(?s).\n\n# Chapter", chunk))
        self.assertLess(inside, len(chunks))
        self.assertTrue(all(chunk.endswith("\n\n") for chunk in chunks))

    def test_chunks_overlap_by_no_more_than_was_said(self):
        text = book(200_000)
        server = self.server("--answer", "echo", "--log-bodies")
        self.gristmill("run", self.file("book.txt", text), "-p", "{{chunk}} of {{chunks}}\n{{text}}",
                       "--chunk-tokens", "500", "--chunk-overlap", "60", "-m", "m", "--endpoint", server.url,
                       "-o", self.output)
        chunks = {}
        for asked in self.asked(server):
            head, chunk = asked.split("\n", 1)
            number, of = map(int, head.split(" of "))
            chunks[number] = chunk
        self.assertEqual(sorted(chunks), list(range(1, of + 1)))
        end = overlaps = 0
        for number in range(1, of + 1):
            begin = text.find(chunks[number], max(end - 2_000, 0))
            self.assertLessEqual(begin, end)
            self.assertGreater(begin + len(chunks[number]), end)
            overlaps += begin < end
            end = begin + len(chunks[number])
        self.assertEqual(end, len(text))
        self.assertGreater(overlaps, of // 2)

    def test_a_book_is_reduced_in_a_tree(self):
        server = self.server("--answer-tokens", "60", "--log-bodies")
        self.gristmill("run", self.file("book.txt", book(300_000)), "-p", "Summarise: {{text}}",
                       "--chunk-tokens", "800", "--reduce-prompt", "Join these: {{answers}}", "-m", "m",
                       "--endpoint", server.url, "-o", self.output)
        (line,) = self.lines()
        answers = {}  # what was answered to which question
        for body in self.bodies(server):
            answers[body["messages"][-1]["content"]] = self.answer_to(body)
        maps = [asked for asked in answers if asked.startswith("Summarise: ")]
        steps = [asked for asked in answers if asked.startswith("Join these: ")]
        self.assertEqual(len(maps) + len(steps), len(answers))
        self.assertEqual(len(self.calls(server)), len(answers))
        self.assertEqual(line["gristmill"]["chunks"], len(maps))
        # Each answer but the last stands in exactly one question, together with others.
        joined = collections.Counter()
        for step in steps:
            joined.update(step.removeprefix("Join these: ").split("\n\n"))
        last = self.text_of(line["response"])
        self.assertEqual(joined, collections.Counter(answers.values()) - collections.Counter([last]))
        level = {answers[asked]: 0 for asked in maps}
        while len(level) < len(answers):
            for step in steps:
                below = [level.get(answer) for answer in step.removeprefix("Join these: ").split("\n\n")]
                if None not in below:
                    self.assertEqual(len(set(below)), 1)
                    level[answers[step]] = below[0] + 1
        self.assertGreaterEqual(level[last], 2)

    def answer_to(self, body):
        """The same model's, asked again where nobody counts."""
        if self.other is None:
            self.other = self.server("--answer-tokens", "60", label="other")
        return self.text_of({"body": self.ask(self.other, "/chat/completions", body)})

    @staticmethod
    def ask(server, path, body):
        request = urllib.request.Request(server.url + path, json.dumps(body).encode(),
                                         {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def test_a_chunk_that_fails_is_named_and_the_others_are_kept(self):
        text = book(30_000)
        marked = re.search(r"Sentence 120: .*?\.", text).group()
        server = self.server("--answer", "echo", "--fault", f"status:code=400,match={marked[:14]}")
        arguments = ["run", self.file("book.txt", text), "--chunk-tokens", "500", "-m", "m", "--endpoint",
                     server.url, "--max-failures", "off", "-o", self.output]
        self.gristmill(*arguments, check=3)
        (line,) = self.lines()
        parts = line["gristmill"]["parts"]
        failed = [part for part in parts if part["error"]]
        self.assertEqual(len(failed), 1)
        self.assertIn(f"chunk {failed[0]['chunk']} of {len(parts)} failed", line["error"]["message"])
        self.assertEqual([part["chunk"] for part in parts], list(range(1, len(parts) + 1)))
        for part in parts:
            self.assertTrue(part["error"] or self.text_of(part["response"]) in text)
        # What was answered is not paid again.
        self.control(server, faults=[])
        before = self.stats(server)["calls"]
        self.gristmill(*arguments, "--retry-failed")
        self.assertEqual(self.stats(server)["calls"], before + 1)
        (line,) = self.lines()
        self.assertEqual(self.text_of(line["response"]), text)

    def test_nothing_is_paid_twice_over_kills(self):
        slots, kills = 8, 5
        server = self.server("--latency", "uniform:1ms:20ms", "--answer-tokens", "60")
        source = self.directory / "in.jsonl"
        with open(source, "w", encoding="utf-8") as file:
            for n in range(40):
                file.write(json.dumps({"id": f"book-{n}", "text": book(15_000, n)}) + "\n")
        arguments = ["run", source, "--chunk-tokens", "300", "--reduce-prompt", "Join: {{answers}}", "-m",
                     "m", "--concurrency", str(slots), "--endpoint", server.url, "-o", self.output]
        for kill in range(kills):
            process = self.start("gristmill", *arguments, label=f"run-{kill}")
            self.until_calls(server, (kill + 1) * 130 + random.Random(kill).randrange(60))
            process.kill()
        self.gristmill(*arguments)
        lines = self.lines()
        self.assertEqual([line["custom_id"] for line in lines], [f"book-{n}" for n in range(40)])
        needed = self.summary(self.output)["counts"]["parts"]
        calls = len(self.calls(server))
        self.assertGreaterEqual(calls, needed)
        # Beyond one for each part: what was in flight, or answered and not durable, at a kill.
        self.assertLessEqual(calls, needed + kills * 4 * slots)

    def test_a_cluster_asks_for_chunks_of_several_models_and_of_the_judge(self):
        server = self.server("--answer", "echo")
        pools = self.file("pools.toml", "".join(
            f'[[pool]]\nmodel = "{model}"\n[[pool.endpoint]]\nurl = "{server.url}"\n' for model in "abj"))
        coordinator = self.coordinator("--config", pools)
        self.worker(coordinator, "w0")
        self.worker(coordinator, "w1")
        text = book(20_000)
        self.gristmill("submit", self.file("book.txt", text), "--chunk-tokens", "400", "-m", "a", "-m", "b",
                       "--judge-model", "j", "--judge-prompt", "{{answer.2}}", "--wait", "-o", self.output,
                       "--server", coordinator.http)
        (line,) = self.lines()
        said = line["gristmill"]
        for response in [line["response"], *(answer["response"] for answer in said["answers"]),
                         said["judge"]["response"]]:
            self.assertEqual(self.text_of(response), text)
        printed = self.gristmill("results", "job-1", "--parts", "--server", coordinator.http).stdout
        parts = [json.loads(part) for part in printed.splitlines()]
        for model in "ab":
            chunks = sorted((part["gristmill"]["chunk"]["from"], part["gristmill"]["chunk"]["to"],
                             self.text_of(part["response"]).encode())
                            for part in parts if part["gristmill"]["model"] == model)
            self.assertEqual([start for start, _, _ in chunks], [0, *(end for _, end, _ in chunks[:-1])])
            for start, end, answer in chunks:
                self.assertEqual(answer.strip(), text.encode()[start:end].strip())
        (judge,) = [part for part in parts if part["gristmill"]["model"] == "j"]
        self.assertEqual(self.text_of(judge["response"]), text)

    def test_a_cluster_repeats_the_end_of_a_chunk_and_reduces_the_answers(self):
        server = self.server("--log-bodies")
        coordinator = self.coordinator("--config", self.file(
            "pools.toml", f'[[pool]]\nmodel = "m"\n[[pool.endpoint]]\nurl = "{server.url}"\n'))
        self.worker(coordinator, "w0")
        self.worker(coordinator, "w1")
        text = book(20_000)
        source = self.file("in.jsonl", "".join(json.dumps({"id": f"d-{n}", "title": "T", "text": said}) + "\n"
                                               for n, said in enumerate((text, "short"))))
        self.gristmill("submit", source, "--chunk-tokens", "300", "--chunk-overlap", "100", "-p",
                       "Read: {{text}}", "--reduce-prompt", "Of {{title}}: {{answers}}", "-m", "m", "--wait",
                       "-o", self.output, "--server", coordinator.http)
        asked = self.asked(server)
        steps = [one for one in asked if one.startswith("Of T: ")]
        chunks = [one for one in asked if one.startswith("Read: ")]
        self.assertEqual(len(asked), len(steps) + len(chunks))
        self.assertGreater(sum(map(len, chunks)), 1.1 * len(text))  # what is repeated is sent twice
        long, short = self.lines()
        self.assertEqual((long["gristmill"]["chunks"], short["gristmill"]["chunks"]), (len(chunks) - 1, 1))
        for line in (long, short):  # the answer to one of the steps
            self.assertIn(self.text_of(line["response"]).split()[1], [crc(step) for step in steps])

    def test_vectors_of_chunks_are_pooled_by_their_bytes(self):
        server = self.server("--dimensions", "6", "--log-bodies")
        self.gristmill("run", self.file("book.txt", book(20_000)), "--task", "embed", "--chunk-tokens", "400",
                       "-m", "m", "--endpoint", server.url, "-o", self.output)
        (line,) = self.lines()
        pooled = [0.0] * 6
        for body in self.bodies(server):
            chunks = body["input"] if isinstance(body["input"], list) else [body["input"]]
            for chunk, entry in zip(chunks, self.ask(server, "/embeddings", body)["data"], strict=True):
                weight = len(chunk.encode())
                pooled = [sum + weight * number for sum, number in zip(pooled, entry["embedding"])]
        length = math.sqrt(sum(number * number for number in pooled))
        found = line["response"]["body"]["data"][0]["embedding"]
        for number, wanted in zip(found, pooled, strict=True):
            self.assertAlmostEqual(number, wanted / length, places=6)

    def test_labels_of_chunks_are_votes_by_their_bytes(self):
        server = self.server("--answer", "label", "--log-bodies")
        source = self.directory / "in.jsonl"
        with open(source, "w", encoding="utf-8") as file:
            for n in range(20):
                file.write(json.dumps({"id": f"d-{n}", "text": book(4_000, n)}) + "\n")
        self.gristmill("run", source, "--task", "classify", "--labels", "good,bad", "--chunk-tokens", "200",
                       "-m", "m", "--endpoint", server.url, "-o", self.output)
        for line in self.lines():
            said = line["gristmill"]
            votes = said["votes"]
            self.assertEqual(said["label"], max(votes, key=votes.get))
            self.assertEqual(self.text_of(line["response"]), said["label"])

    def test_one_word_of_three_megabytes_is_divided_too(self):
        text = "a" * 3_000_000
        server = self.server("--answer", "echo")
        self.gristmill("run", self.file("word.txt", text), "--chunk-tokens", "5000", "-m", "m", "--endpoint",
                       server.url, "-o", self.output)
        (line,) = self.lines()
        self.assertEqual(self.text_of(line["response"]), text)


class Told(EndToEnd):
    """Before anything is called."""

    def setUp(self):
        super().setUp()
        self.output = self.directory / "out.jsonl"
        self.source = self.directory / "book.txt"
        self.source.write_text(book(20_000))

    def objects(self, *texts):
        path = self.directory / "in.jsonl"
        path.write_text("".join(json.dumps({"id": f"doc-{n}", "text": text}) + "\n"
                                for n, text in enumerate(texts)))
        return path

    def test_what_cannot_be_divided_or_joined_is_refused_by_name(self):
        reduce = ("--reduce-prompt", "{{answers}}")
        for arguments, words in (
                (("--chunk-tokens", "15"), ("--chunk-tokens", "16 to 16777216", "15")),
                (("--chunk-tokens", "16777217"), ("--chunk-tokens", "16777217")),
                (("--chunk-overlap", "10"), ("--chunk-overlap", "--chunk-tokens N beside it")),
                (("--chunk-tokens", "100", "--chunk-overlap", "51"), ("at most half of --chunk-tokens 100", "51")),
                (reduce, ("--reduce-prompt", "--chunk-tokens N beside it")),
                (("--chunk-tokens", "100", "--task", "embed", *reduce), ("--reduce-prompt", "averaged", "embed")),
                (("--chunk-tokens", "100", "--reduce-prompt", "Sum it up"), ("--reduce-prompt", "{{answers}}", "none")),
                (("--chunk-tokens", "100", "--reduce-prompt", "{{answers}} {{text}}"), ("does not fit", "{{text}}")),
                (("--chunk-tokens", "100", "--reduce-prompt", "{{answer.1}} {{answers}}"), ("{{answer.1}}",)),
                (("--chunk-tokens", "100", "-p", "{{title}}"), ("--prompt", "{{text}}", "every chunk"))):
            with self.subTest(arguments=arguments):
                told = self.gristmill("run", self.source, *arguments, "--endpoint", NOWHERE, "-o", self.output,
                                      check=2).stderr
                for word in words:
                    self.assertIn(word, told)
                self.assertEqual(len(told.splitlines()), 1, told)

    def test_items_that_cannot_be_divided_or_reduced_are_bad_lines(self):
        source = self.directory / "batch.jsonl"
        source.write_text(json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
                                      "body": {"messages": []}}) + "\n")
        strict = ["--strict", "--chunk-tokens", "100", "-m", "m", "--endpoint", NOWHERE, "-o", self.output]
        self.assertIn("got a batch line, whose request is whole; give documents",
                      self.gristmill("run", source, *strict, check=5).stderr)
        strict += ["--reduce-prompt", "{{title}}: {{answers}}"]
        self.assertIn('the field "title"', self.gristmill("run", self.objects("x"), *strict, check=5).stderr)
        self.assertIn("got {{title}} (--reduce-prompt)", self.gristmill("run", self.source, *strict, check=5).stderr)

    def dry(self, *arguments):
        return self.gristmill("run", *arguments, "-m", "m", "--endpoint", NOWHERE, "-o", self.output,
                              "--dry-run", "--json").stdout

    def test_a_dry_run_counts_chunks_and_the_calls_that_join_their_answers(self):
        source = self.objects(book(20_000), "short")
        plain = json.loads(self.dry(source))
        self.assertEqual((plain["chunks"], plain["reduce_calls"]), (0, 0))
        told = json.loads(self.dry(source, "--chunk-tokens", "300", "-p", "{{chunk}} of {{chunks}}: {{text}}"))
        self.assertEqual((told["items"], told["bad"], told["reduce_calls"]), (2, 0, 0))
        self.assertGreater(told["chunks"], 5)
        self.assertEqual(told["calls"], {"/chat/completions": told["chunks"]})
        self.assertEqual(told["models"][0]["items"], 2)
        # The same text in all, with the same words around each chunk.
        self.assertAlmostEqual(told["tokens"]["input"]["likely"], plain["tokens"]["input"]["likely"],
                               delta=20 * told["chunks"])
        reduced = json.loads(self.dry(source, "--chunk-tokens", "300", "--reduce-prompt", "{{answers}}",
                                      "--max-tokens", "150"))
        # Two answers at a time, and the short document's alone.
        self.assertGreaterEqual(reduced["reduce_calls"], (reduced["chunks"] - 1) / 2)
        self.assertLess(reduced["reduce_calls"], reduced["chunks"])
        self.assertEqual(reduced["calls"], {"/chat/completions": reduced["chunks"] + reduced["reduce_calls"]})


if __name__ == "__main__":
    unittest.main(verbosity=2)
