"""One run in which everything goes wrong once: lines that are none, items that fail for good in each way,
a server that is late, full, slow, gone, refuses its key and dies of one item. What must be left for a
person: every good item answered, counts by class with samples, the exit code, and the next command.

GRISTMILL_WRONG_ITEMS=10000 is the long form.
"""
import collections
import json
import os
import sys
import threading
import time
import unittest

from harness import EndToEnd, write_batch
from scripted_server import LOADING, Server, free_port

ITEMS = int(os.environ.get("GRISTMILL_WRONG_ITEMS", 2_000))
LONG = ITEMS >= 10_000  # long enough for the one item that its server dies of to be found
STATE_S = 3  # how long each state of the server lasts


def error(status, message, code):
    return status, json.dumps({"error": {"message": message, "type": "e", "code": code}}).encode()


# What happens to an item each time that it is asked for, by its number modulo 100, and the class of
# its line. Of each hundred six fail.
ALWAYS = {
    7: (error(400, "Unknown parameter: 'flavour'.", "unknown_parameter"), "bad_line"),
    17: (error(400, "This model's maximum context length is 4096 tokens.", "context_length_exceeded"),
         "too_long"),
    27: (error(413, "Request Entity Too Large", "too_large"), "too_big"),
    37: (error(400, "The response was filtered.", "content_filter"), "policy"),
    47: (error(500, "CUDA error: device-side assert triggered", "cuda"), "transient"),
    57: ((200, b"<html>ok</html>"), "config"),
}
LATER = 67   # 500 once, then its answer
CUT = 77     # a connection that ends once, in the middle
# How the server is, one state after the other, each at so many tenths of the job.
STATES = {2: (503, LOADING), 3: error(429, "Rate limit reached", "rate_limit_exceeded"),
          4: (502, b"<html><head><title>502 Bad Gateway</title></head></html>"),
          5: error(529, "Overloaded", "overloaded_error"), 6: "refused",
          7: error(401, "Incorrect API key provided", "invalid_api_key")}


class EverythingWrong(EndToEnd):
    def setUp(self):
        super().setUp()
        self.lock, self.port = threading.Lock(), free_port()
        self.seen, self.slow, self.poisoned = {}, f"item-{ITEMS // 10 + 3}", f"item-{ITEMS // 5}" if LONG else ""
        self.state, self.state_ends, self.begun = None, 0, set()
        self.server = Server(self.port, self.reply)

    def tearDown(self):
        self.server.end()
        super().tearDown()

    def go_away(self):
        self.server.end()
        time.sleep(STATE_S)  # the outage itself
        answered = self.server.answered_at
        self.server = Server(self.port, self.reply)
        self.server.answered_at += answered

    def state_now(self):
        tenth = 10 * len(self.server.answered_at) // ITEMS
        if tenth in STATES and tenth not in self.begun:
            self.begun.add(tenth)
            self.state, self.state_ends = STATES[tenth], time.monotonic() + STATE_S
            if self.state == "refused":
                threading.Thread(target=self.go_away, daemon=True).start()
        return self.state if time.monotonic() < self.state_ends else None

    def reply(self, question):
        with self.lock:
            state = self.state_now()
            if state == "refused":
                raise ConnectionError
            if state:
                return state
            times = self.seen[question] = self.seen.get(question, 0) + 1
        number = int(question.split()[1])
        if f"item-{number}" == self.poisoned:
            raise ConnectionError
        if f"item-{number}" == self.slow:
            time.sleep(3)  # longer than --timeout
        if number % 100 in ALWAYS:
            return ALWAYS[number % 100][0]
        if times == 1 and number % 100 == LATER:
            return error(500, "internal error", "internal")
        if times == 1 and number % 100 == CUT:
            return 200, self.server.answer(question)[:20]
        time.sleep(0.02)
        return None

    def test_everything_goes_wrong_once(self):
        source, output = self.directory / "night.jsonl", self.directory / "night.out.jsonl"
        write_batch(source, ITEMS)
        with open(source, "a", encoding="utf-8") as file:
            file.write('{"custom_id": "half a li\n')
            file.write(source.read_text().splitlines()[5] + "\n")  # an id that was there
            file.write('{"custom_id": "no-body", "method": "POST", "url": "/v1/chat/completions"}\n')
        run = self.start("gristmill", "run", source, "--endpoint", f"http://127.0.0.1:{self.port}/v1",
                         "-o", output, "--retries", 2, "--timeout", 2, "--concurrency", 32, label="run",
                         env={"OPENAI_API_KEY": "sk-test"})
        self.assertEqual(run.popen.wait(900), 3, run.stderr())
        print(run.stderr()[run.stderr().rindex("finished:"):], file=sys.stderr)
        expected = collections.Counter(cls for _, cls in ALWAYS.values())
        expected = collections.Counter({cls: n * ITEMS // 100 for cls, n in expected.items()})
        expected.update({"bad_line": 3, "timeout": 1, "poison": int(LONG)})
        summary, found = self.summary(output), collections.Counter()
        for cause in summary["errors"]:
            found[cause["class"]] += cause["count"]
            self.assertTrue(cause["sample"], cause)
        self.assertEqual(+found, +expected)
        self.assertEqual((summary["counts"]["total"], summary["counts"]["failed"]),
                         (ITEMS + 3, expected.total()))
        for cls in ("unavailable", "rate", "gateway", "overload", "unreachable", "config"):
            self.assertGreater(sum(cause["retried"] for cause in summary["errors"] if cause["class"] == cls), 0, cls)
        good = {f"item-{n}" for n in range(ITEMS) if n % 100 not in ALWAYS} - {self.slow, self.poisoned}
        answered = {line["custom_id"] for line in map(json.loads, output.read_text().splitlines())
                    if line["response"] and line["response"]["status_code"] == 200}
        self.assertEqual(answered, good)
        self.assertIn("--retry-failed", run.stderr())


if __name__ == "__main__":
    unittest.main(verbosity=2)
