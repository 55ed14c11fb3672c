"""Calls of several texts that are refused, or answered with something missing: no text suffers for another,
and a server is asked for too much only as often as it takes to find out how much it takes.
"""
import json
import math
import unittest

from packs import Packs, Particular


class Poison(Packs):
    COUNT = 20_000

    def test_one_text_that_is_refused_fails_alone(self):
        bad = {3, 10_000}
        text = lambda n: f"document {n}" + (" BAD" if n in bad else "")
        server = self.server("--latency", "5ms", "--fault", "status:code=400,match=BAD")
        self.documents(self.COUNT, text)
        # Without a retry of any item: having been refused in company counts against none.
        self.embed("--endpoint", server.url, "--retries", "0", check=3)
        self.check_vectors(self.COUNT, text, failed=bad)
        for n, line in enumerate(self.lines()):
            if n in bad:
                self.assertEqual(line["response"]["status_code"], 400)
                self.assertEqual(line["response"]["body"]["error"]["message"], "The request is malformed.")
        counts = self.summary(self.output)["counts"]
        self.assertEqual((counts["completed"], counts["failed"]), (self.COUNT - 2, 2))
        refused = self.refused(server)
        print(f"\nrefused, of how many texts: {refused}; {len(self.calls(server))} calls")
        self.assertEqual(refused.count(1), 2)
        self.assertLessEqual(len(refused), 2 * math.log2(2_048) + 4)
        # It is not the size that was refused. (Of the first ones nobody could know it.)
        self.assertLessEqual(len(self.calls(server)) * 10, self.COUNT)
        self.assertGreaterEqual(max(self.sizes(server)), 256)

    def test_texts_that_are_too_long_fail_alone(self):
        bad = set(range(500, self.COUNT, 1_000))
        text = lambda n: f"document {n}" + (" LONG" if n in bad else "")
        server = self.server("--latency", "2ms", "--fault", "context:match=LONG")
        self.documents(self.COUNT, text)
        self.embed("--endpoint", server.url, "--retries", "0", check=3)
        self.check_vectors(self.COUNT, text, failed=bad)
        for n, line in enumerate(self.lines()):
            if n in bad:
                self.assertEqual(line["gristmill"]["class"], "too_long", line)
        self.assertLessEqual(len(self.refused(server)), len(bad) * (math.log2(2_048) + 1))

    def test_every_text_is_bad(self):
        count = 300
        server = self.server("--fault", "status:code=400")
        self.documents(count)
        self.embed("--endpoint", server.url, "--retries", "0", "--max-failures", "off", check=3)
        self.check_vectors(count, failed=range(count))
        # Each by itself, and the calls above it.
        self.assertLessEqual(len(self.refused(server)), 2 * count + 4)


class Limits(Packs):
    def run_limited(self, most, count):
        server = self.server("--latency", "5ms", "--inputs-max", most, label=f"simllm-{most}")
        output = self.directory / f"{most}.jsonl"
        self.documents(count)
        # Few at a time: while one call tries a larger size, the others go at the one that is proved.
        self.embed("--endpoint", server.url, "--retries", "0", "--max-in-flight", "4", output=output)
        self.check_vectors(count, output=output)
        refused, taken = self.refused(server), self.sizes(server)
        print(f"\nat most {most}: {len(taken)} calls of {max(taken)} at most; refused {refused}")
        self.assertLessEqual(len(refused), 3)
        return taken

    def test_what_a_server_takes_is_found_in_few_calls(self):
        for most, count in ((1, 300), (2, 300), (3, 300), (5, 600), (7, 600), (8, 600), (9, 600), (31, 3_000),
                            (32, 5_000), (33, 3_000), (100, 10_000)):
            with self.subTest(most=most):
                taken = self.run_limited(most, count)
                # The largest power of two that it takes.
                self.assertGreaterEqual(max(taken), 2 ** int(math.log2(most)))

    def test_whatever_status_and_words_a_refusal_has(self):
        # As OpenAI, a gateway with a limit of bytes, vLLM, and a server that validates say it.
        refusals = ((400, json.dumps({"error": {
                        "message": "'$.input' is invalid. Please check the API reference.",
                        "type": "invalid_request_error", "param": None, "code": None}})),
                    (413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
                    (400, json.dumps({"object": "error", "message": "The batch is too large.",
                                      "type": "BadRequestError", "code": 400})),
                    (422, json.dumps({"detail": [{"type": "too_long", "loc": ["body", "input"],
                                                  "msg": "List should have at most 20 items"}]})),
                    (400, ""))
        count = 2_000
        self.documents(count)
        for number, (status, body) in enumerate(refusals):
            with self.subTest(status=status, body=body):
                server = Particular(self, 20, status, body)
                output = self.directory / f"{number}.jsonl"
                self.embed("--endpoint", server.url, "--retries", "0", "--max-in-flight", "4", output=output)
                self.check_vectors(count, output=output)
                self.assertLessEqual(len(server.refused), 3)
                self.assertGreaterEqual(max(server.taken), 16)

    def test_of_two_endpoints_one_takes_less(self):
        count = 30_000
        small = self.server("--latency", "5ms", "--slots", "8", "--inputs-max", "32", label="small")
        large = self.server("--latency", "20ms", "--slots", "8", label="large")
        self.documents(count)
        config = self.pool(*(f'url = "{server.url}"\nmax_in_flight = 8' for server in (small, large)))
        self.embed("--config", config, "--retries", "0")
        self.check_vectors(count)
        print(f"\nsmall: {len(self.calls(small))} calls; large: {len(self.calls(large))} of "
              f"{max(self.sizes(large))} at most")
        self.assertLessEqual(len(self.refused(small)) + len(self.refused(large)), 4)
        self.assertEqual(max(self.sizes(small)), 32)
        self.assertGreaterEqual(max(self.sizes(large)), 32)

    def test_a_server_that_takes_less_from_now_on(self):
        count = 40_000
        server = self.server("--latency", "20ms", "--slots", "2")
        self.documents(count)
        run = self.start("gristmill", *self.embed_command("--endpoint", server.url), label="run")
        self.until_calls(server, 10)
        self.control(server, inputs_max=16, latency="0")
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_vectors(count)
        refused = self.refused(server)
        print(f"\nfrom now on 16: refused {len(refused)} of {len(self.calls(server))} calls")
        self.assertLess(len(refused), len(self.calls(server)) / 4)


class Lists(Packs):
    """Answers whose lists are not as they were asked for."""
    COUNT = 10_000

    def run_odd(self, *faults):
        server = self.server("--latency", "2ms", "--log-bodies",
                             *(flag for fault in faults for flag in ("--fault", fault)))
        self.documents(self.COUNT)
        self.embed("--endpoint", server.url)
        self.check_vectors(self.COUNT)
        self.assertGreater(sum(self.stats(server)["faults"].values()), 3)
        return server

    def test_an_index_is_missing_now_and_then(self):
        self.run_odd("missing_index:rate=0.3")

    def test_an_index_stands_twice_now_and_then(self):
        self.run_odd("doubled_index:rate=0.3")

    def test_one_text_confuses_every_list_that_it_is_in(self):
        server = self.run_odd("doubled_index:match=document 77,first=40", "missing_index:match=document 55,first=40")
        self.assertLessEqual(len(self.calls(server)) * 10, self.COUNT)

    def test_lists_in_another_order_cost_nothing(self):
        server = self.run_odd("backwards:rate=0.5")
        self.assertEqual(set(self.asked(server).values()), {1})

    def test_servers_that_answer_no_list_at_all(self):
        # Those answers count against the items, and are got over.
        self.run_odd("empty:first=2", "malformed:first=2", "truncated:first=2", "reset:first=2",
                     "status:code=500,first=2", "overload:first=2")


if __name__ == "__main__":
    unittest.main(verbosity=2)
