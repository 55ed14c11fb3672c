"""Which requests go together in one call for embeddings, and how what it used is divided among them."""
import collections
import json
import random
import unittest

from packs import Packs, vector


class Lines(Packs):
    """Batch lines, of which those go together that agree in all but their input."""
    COUNT = 4_000
    RUN = 40  # lines of a kind that follow each other
    # What a line has beside its input, by its kind; the others are lists, token ids and chats.
    ALIKE = {0: {}, 1: {}, 2: {}, 3: {"dimensions": 4}, 4: {"model": "other"}, 5: {"encoding_format": "float"},
             6: {"user": "someone", "dimensions": 4}}
    LIST, IDS, CHAT = 7, 8, 9

    def kind(self, n):
        return n // self.RUN % 10

    def body(self, n):
        kind = self.kind(n)
        if kind == self.CHAT:
            return {"model": "sim-small", "messages": [{"role": "user", "content": f"question {n}"}]}
        given = {self.LIST: [f"text {n}", f"more of {n}"], self.IDS: [n, 7]}.get(kind, f"text {n}")
        return {"model": "sim-small", "input": given, **self.ALIKE.get(kind, {})}

    def write_lines(self):
        with open(self.source, "w", encoding="utf-8") as file:
            for n in range(self.COUNT):
                url = "/v1/chat/completions" if self.kind(n) == self.CHAT else "/v1/embeddings"
                file.write(json.dumps({"custom_id": f"line-{n}", "method": "POST", "url": url,
                                       "body": self.body(n)}) + "\n")

    def check_line(self, n, line):
        self.assertEqual(line["custom_id"], f"line-{n}")
        self.assertIsNone(line["error"], line)
        body, given = line["response"]["body"], self.body(n)
        self.assertEqual(body["model"], given["model"])
        if self.kind(n) == self.CHAT:
            self.assertEqual(body["object"], "chat.completion")
            return
        if self.kind(n) == self.LIST:
            texts = given["input"]
        else:
            texts = [f"{n} 7" if self.kind(n) == self.IDS else given["input"]]
        dimensions = given.get("dimensions", 8)
        self.assertEqual([entry["embedding"] for entry in body["data"]],
                         [vector(text, dimensions) for text in texts])
        self.assertEqual([entry["index"] for entry in body["data"]], list(range(len(texts))))

    def test_lines_that_differ_in_more_than_their_input_do_not_go_together(self):
        server = self.server("--latency", "2ms", "--log-bodies")
        self.write_lines()
        self.gristmill("run", self.source, "--endpoint", server.url, "-o", self.output)
        for n, line in enumerate(self.lines()):
            self.check_line(n, line)
        self.assertEqual(n + 1, self.COUNT)
        owner = {f"text {n}": n for n in range(self.COUNT)}
        calls = collections.Counter()
        for call in self.calls(server):
            body = json.loads(call["body"])
            if "messages" in body:
                calls[self.CHAT] += 1
                continue
            given = body["input"]
            if isinstance(given, list) and isinstance(given[0], int):
                self.assertEqual(body, self.body(given[0]), "token ids go as they are")
                calls[self.IDS] += 1
                continue
            texts = [given] if isinstance(given, str) else given
            if self.kind(owner[texts[0]]) == self.LIST:
                self.assertEqual(body, self.body(owner[texts[0]]), "a list goes as it is")
                calls[self.LIST] += 1
                continue
            del body["input"]
            for text in texts:
                alone = self.body(owner[text])
                del alone["input"]
                self.assertEqual(body, alone)
            calls["together"] += 1
        each = self.COUNT // 10
        self.assertEqual([calls[kind] for kind in (self.LIST, self.IDS, self.CHAT)], [each] * 3)
        self.assertLess(calls["together"], len(self.ALIKE) * each / 4)

    def test_lines_of_one_kind_take_few_calls(self):
        server = self.server("--latency", "5ms")
        count = 20_000
        with open(self.source, "w", encoding="utf-8") as file:
            for n in range(count):
                body = {"model": "sim-small", "input": f"document {n}", "dimensions": 5}
                file.write(json.dumps({"custom_id": f"doc-{n}", "method": "POST", "url": "/v1/embeddings",
                                       "body": body}) + "\n")
        self.gristmill("run", self.source, "--endpoint", server.url, "-o", self.output)
        self.check_vectors(count, dimensions=5)
        self.assertLessEqual(len(self.calls(server)) * 20, count)


class Usage(Packs):
    def test_what_a_call_used_is_divided_among_its_items(self):
        draw, count = random.Random(1), 5_000
        texts = [("Wort 石臼 " * draw.randint(1, 200))[:draw.randint(1, 1_500)] + f" {n}" for n in range(count)]
        server = self.server("--latency", "2ms")
        self.documents(count, lambda n: texts[n])
        self.embed("--endpoint", server.url, "--max-in-flight", "8")
        self.check_vectors(count, lambda n: texts[n])
        self.assertLess(len(self.calls(server)), count / 20)
        used = []
        for line in self.lines():
            usage = line["response"]["body"]["usage"]
            self.assertEqual(usage["total_tokens"], usage["prompt_tokens"])
            self.assertGreaterEqual(usage["prompt_tokens"], 0)
            used.append(usage["prompt_tokens"])
        self.assertEqual(sum(used), self.stats(server)["prompt_tokens"])
        self.assertEqual(sum(used), self.summary(self.output)["tokens"]["prompt"])
        # By length: a byte costs a long text as much as a short one, but for what each message costs.
        long = [n for n in range(count) if len(texts[n].encode()) > 1_000]
        short = [n for n in range(count) if 200 < len(texts[n].encode()) < 500]
        cost = [sum(used[n] for n in some) / sum(len(texts[n].encode()) for n in some)
                for some in (long, short)]
        self.assertGreater(min(len(long), len(short)), 100)
        self.assertAlmostEqual(cost[0], cost[1], delta=0.1 * cost[0])

    def test_money_is_that_of_one_by_one(self):
        count = 3_000
        self.documents(count)
        costs = []
        for pack in ("1", "2048"):
            server = self.server("--latency", "2ms", label=f"simllm-{pack}")
            config = self.pool(f'url = "{server.url}"')
            config.write_text(config.read_text().replace("[[pool.e", "price_input = 0.5\n[[pool.e", 1))
            output = self.directory / f"{pack}.jsonl"
            self.embed("--config", config, "--pack", pack, output=output)
            costs.append(self.summary(output)["cost_usd"])
            self.assertAlmostEqual(costs[-1], self.stats(server)["prompt_tokens"] * 0.5 / 1e6, places=9)
        # A packed call rounds its tokens up once.
        self.assertAlmostEqual(costs[0], costs[1], delta=0.15 * costs[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
