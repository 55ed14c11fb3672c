"""What the tests of --dedupe share: items of which some ask the same, and what the result, the journal and
the server's log say of them.
"""
import collections
import contextlib
import json
import pathlib
import random
import shutil
import sqlite3
import tempfile

from harness import EndToEnd, crc


def shuffled(distinct, total, seed=1):
    """The numbers 0 to distinct - 1, each once, and as many of them again as make up the total."""
    chance = random.Random(seed)
    numbers = [*range(distinct), *(chance.randrange(distinct) for _ in range(total - distinct))]
    chance.shuffle(numbers)
    return numbers


def chat(text, model="sim-small", **body):
    return {"model": model, **body, "messages": [{"role": "user", "content": text}]}


class Dedupe(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"

    # ---- the job -----------------------------------------------------------------------------------

    def write_chats(self, *texts, **body):
        """Item n asks texts[n]."""
        self.write_lines(*(chat(text, **body) for text in texts))

    def write_lines(self, *bodies, url="/v1/chat/completions"):
        with open(self.source, "w", encoding="utf-8") as file:
            for n, body in enumerate(bodies):
                file.write(json.dumps({"custom_id": f"item-{n}", "method": "POST", "url": url, "body": body}) + "\n")

    def write_documents(self, *texts, **fields):
        with open(self.source, "w", encoding="utf-8") as file:
            for n, text in enumerate(texts):
                file.write(json.dumps({"id": f"item-{n}", "text": text, **fields}) + "\n")

    def command(self, server, *arguments, output=None):
        return ["run", self.source, "--endpoint", server.url, "-o", output or self.output, "--dedupe",
                "--no-progress", *arguments]

    def run_on(self, server, *arguments, output=None, check=0):
        """What the command said."""
        return self.gristmill(*self.command(server, *arguments, output=output), check=check).stderr

    def cluster(self, workers=1, *arguments, label="coordinator"):
        self.hub = self.coordinator(label=label, state="state" if label == "coordinator" else label)
        self.workers = [self.worker(self.hub, f"w{n}", *arguments) for n in range(workers)]

    def submit(self, server, *arguments, dedupe=True):
        done = self.gristmill("submit", self.source, "--endpoint", server.url, "--server", self.hub.http,
                              *arguments, *(["--dedupe"] if dedupe else []))
        return done.stdout.strip()

    def finish(self, job, output=None):
        self.until(f"{job} to finish", lambda: self.job(self.hub, job)["state"] == "finished")
        self.gristmill("results", job, "-o", output or self.output, "--server", self.hub.http)

    # ---- the server's log ----------------------------------------------------------------------------

    def bodies(self, server):
        return [json.loads(call["body"]) for call in self.calls(server)]

    def asked(self, server):
        """How often each text was asked; the server logs bodies."""
        return collections.Counter(body["messages"][-1]["content"] for body in self.bodies(server))

    # ---- the result ----------------------------------------------------------------------------------

    def lines(self, output=None):
        with open(output or self.output, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    @staticmethod
    def content(line):
        return line["response"]["body"]["choices"][0]["message"]["content"]

    def check_cached(self, line):
        """Nobody was called for it."""
        about = line["gristmill"]
        if (about["attempts"], about["latency_ms"], about["cached"]) != (0, 0, True):
            self.fail(f"nobody was called for this: {line}")

    def check_twins(self, texts, calls_each=1, failed=(), output=None):
        """Each item once, in input order, with the answer to its own text, which of all that ask the same
        (calls_each) at most were called for. Returns how many were not."""
        called, cached = collections.defaultdict(list), []
        found = 0
        for n, line in enumerate(self.lines(output)):
            found += 1
            if line["custom_id"] != f"item-{n}":  # an assertion for each of 100,000 takes a while
                self.fail(f"line {n + 1}: {line}")
            text, about = texts[n], line["gristmill"]
            if text not in failed and (line["error"] or not self.content(line).startswith("sim " + crc(text))):
                self.fail(f"item {n} has not its own answer: {line}")
            if text in failed and not (line["error"] or line["response"]["status_code"] != 200):
                self.fail(f"item {n} did not fail: {line}")
            end = line["response"], line["error"], *(about.get(key) for key in ("class", "code", "model", "endpoint"))
            if about["cached"]:
                self.check_cached(line)
                cached.append((n, end))
            else:
                self.assertGreater(about["attempts"], 0)
                called[text].append(end)
        self.assertEqual(found, len(texts))
        self.assertEqual(set(called), set(texts))
        for n, end in cached:
            if end not in called[texts[n]]:
                self.fail(f"item {n} has an answer that nobody gave: {end}")
        more = {text: len(ends) for text, ends in called.items() if len(ends) > calls_each}
        self.assertEqual(more, {}, "called for again")
        return len(cached)

    def counts(self, output=None):
        return self.summary(output or self.output)["counts"]

    # ---- the journal ---------------------------------------------------------------------------------

    def durable(self, state):
        """The lines whose commits are in the raw journal, of which a copy is read, and how many of its
        items took the answer of another one."""
        copy = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
        for file in state.glob("journal.db*"):
            shutil.copy(file, copy)
        with contextlib.closing(sqlite3.connect(copy / "journal.db")) as journal:
            (directory,) = journal.execute("SELECT directory FROM jobs WHERE job = 1").fetchone() or ("",)
            ranges = journal.execute("SELECT segment, from_offset, to_offset FROM commits WHERE segment > 0")
            lines = []
            for segment, begin, end in ranges.fetchall():
                with open(state / directory / f"results-{segment:06}.jsonl", "rb") as file:
                    file.seek(begin)
                    lines += [json.loads(line) for line in file.read(end - begin).splitlines()]
        return lines
