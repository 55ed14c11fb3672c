"""Limits as the server's own log shows them: used up, never exceeded, and found where nobody said.

GRISTMILL_LIMITS_SECONDS=300 makes the runs so long; without it they are as short as can be.
"""
import json
import os
import random
import time
import unittest

from harness import EndToEnd

LONGER_S = int(os.environ.get("GRISTMILL_LIMITS_SECONDS", "0"))
MINUTE_NS = 60 * 10**9
KILL_EVERY_S = 5


def tokens_of(call):
    return call["prompt_tokens"] + call["completion_tokens"]


def most_in_a_minute(calls, amount):
    """The most that any sixty seconds hold."""
    most = held = first = 0
    for call in calls:
        held += amount(call)
        while calls[first]["t_ns"] + MINUTE_NS <= call["t_ns"]:
            held -= amount(calls[first])
            first += 1
        most = max(most, held)
    return most


def share_used(calls, amount, per_minute, skip_s, end_s):
    """Of a limit, between so many seconds after the first call and before the last one."""
    begin, end = calls[0]["t_ns"] + skip_s * 10**9, calls[-1]["t_ns"] - end_s * 10**9
    used = sum(amount(call) for call in calls if begin <= call["t_ns"] < end)
    return used / (per_minute * (end - begin) / MINUTE_NS)


def write_batch_of_bytes(path, count, size, max_tokens):
    """Lines whose prompts have so many bytes each."""
    with open(path, "w", encoding="utf-8") as file:
        for n in range(count):
            body = {"model": "sim-small", "max_tokens": max_tokens,
                    "messages": [{"role": "user", "content": f"question {n} ".ljust(size, "g")}]}
            file.write(json.dumps({"custom_id": f"item-{n}", "method": "POST",
                                   "url": "/v1/chat/completions", "body": body}) + "\n")


class Limits(EndToEnd):
    def setUp(self):
        super().setUp()
        self.input, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"

    def write_mixed(self, count):
        """Questions and answers of very different lengths; returns an average call's tokens."""
        draw, tokens = random.Random(1), 0
        with open(self.input, "w", encoding="utf-8") as file:
            for n in range(count):
                words = min(int(draw.lognormvariate(5, 1.2)) + 1, 3_000)
                answer = min(int(draw.lognormvariate(4, 1)) + 4, 1_000)
                text = f"question {n} " + "grain " * words
                body = {"model": "sim-small", "max_tokens": answer,
                        "messages": [{"role": "user", "content": text}]}
                file.write(json.dumps({"custom_id": f"item-{n}", "method": "POST",
                                       "url": "/v1/chat/completions", "body": body}) + "\n")
                tokens += (len(text) + 3) // 4 + 4 + answer
        return tokens / count

    def config(self, server, *lines):
        path = self.directory / "gristmill.toml"
        path.write_text('[[pool]]\nmodel = "sim-small"\n[[pool.endpoint]]\n'
                        f'url = "{server.url}"\n' + "\n".join(lines))
        return path

    def finish_killing(self, coordinator, submitted, every_s=KILL_EVERY_S):
        """One of the workers dies every five seconds and begins anew, until the job is done."""
        at = time.monotonic() + every_s
        victim, deaths = self.worker(coordinator, "victim", "--concurrency", "256"), 0
        while submitted.popen.poll() is None:
            if time.monotonic() >= at:
                at += every_s
                victim.kill()
                deaths += 1
                victim = self.start("gristmill-worker", "--coordinator", coordinator.listen,
                                    "--name", "victim", "--concurrency", "256", label="victim")
            time.sleep(0.01)  # between two looks
        self.assertEqual(submitted.popen.returncode, 0, submitted.stderr())
        return deaths

    def test_both_limits_are_used_up_and_never_exceeded_whoever_dies(self):
        requests, lasts = 4_800, max(64, LONGER_S)
        count = requests * lasts // 60
        tokens = int(requests * self.write_mixed(count))  # one is as tight as the other
        server = self.server("--rpm", requests, "--tpm", tokens, "--answer-tokens", 1_000,
                             "--latency", "uniform:50ms:600ms")
        coordinator = self.coordinator("--config", self.config(
            server, f"requests_per_minute = {requests}", f"tokens_per_minute = {tokens}"))
        self.worker(coordinator, "steady", "--concurrency", "256")
        submitted = self.start("gristmill", "submit", self.input, "--server", coordinator.http,
                               "--wait", "-o", self.output, label="submit")
        deaths = self.finish_killing(coordinator, submitted)
        self.assertGreaterEqual(deaths, lasts // KILL_EVERY_S - 2)
        calls = self.calls(server)
        self.assertEqual(self.stats(server)["rate_limited"], 0)
        self.assertLessEqual(most_in_a_minute(calls, lambda call: 1), requests)
        self.assertLessEqual(most_in_a_minute(calls, tokens_of), tokens)
        used = max(share_used(calls, lambda call: 1, requests, 4, 6),
                   share_used(calls, tokens_of, tokens, 4, 6))
        print(f"used {used:.3f} of the tighter limit, {len(calls)} calls, {deaths} deaths")
        self.assertGreaterEqual(used, 0.95)
        with open(self.output, encoding="utf-8") as file:
            ids = [json.loads(line)["custom_id"] for line in file]
        self.assertEqual(ids, [f"item-{n}" for n in range(count)])

    CHARGED, LIMIT = 1_029, 200  # prompt tokens of a call, and what its answer may have

    def kill_beside(self, options, lines, most, amount):
        """Four workers of which one dies every three seconds: the share of `most` that is used."""
        count = 600 * max(45, LONGER_S) // 60
        write_batch_of_bytes(self.input, count, 4 * (self.CHARGED - 4), self.LIMIT)
        server = self.server(*options, "--answer-tokens", 16, "--latency", "uniform:50ms:600ms")
        coordinator = self.coordinator("--config", self.config(server, *lines))
        for n in range(3):
            self.worker(coordinator, f"steady-{n}", "--concurrency", "256")
        submitted = self.start("gristmill", "submit", self.input, "--server", coordinator.http,
                               "--wait", "-o", self.output, label="submit")
        deaths = self.finish_killing(coordinator, submitted, 3)
        calls = self.calls(server)
        self.assertEqual({call["prompt_tokens"] for call in calls}, {self.CHARGED})
        self.assertEqual(self.stats(server)["rate_limited"], 0)
        used = share_used(calls, amount, most, 10, 3)
        print(f"{options}: used {used:.3f}, {len(calls)} calls, {deaths} deaths")
        self.assertLessEqual(most_in_a_minute(calls, amount), most)
        self.assertGreaterEqual(used, 0.95)

    def test_what_is_charged_beforehand_is_used_up(self):
        most = 600 * (self.CHARGED + self.LIMIT)
        self.kill_beside(["--tpm", most, "--charge", "reserved"],
                         [f"tokens_per_minute = {most}", 'token_counting = "reserved"'], most,
                         lambda call: call["prompt_tokens"] + self.LIMIT)

    def test_input_and_output_have_limits_of_their_own(self):
        most, output = 600 * self.CHARGED, 2 * 600 * 16
        self.kill_beside(["--input-tpm", most, "--output-tpm", output],
                         [f"input_tokens_per_minute = {most}",
                          f"output_tokens_per_minute = {output}"], most,
                         lambda call: call["prompt_tokens"])

    TAKES = 1_200  # calls a minute

    def test_a_server_that_takes_half_of_what_was_configured(self):
        for kind, refused, calls in self.run_halves("--hide-limits"):
            self.assertGreater(refused, 0, "the limit was never met")
            self.assertLessEqual(refused, 0.02 * calls, kind)

    def test_a_server_that_says_that_it_takes_half_of_what_was_configured(self):
        for kind, refused, calls in self.run_halves():
            self.assertLessEqual(refused, 0.01 * calls, kind)

    def run_halves(self, *arguments):
        """For each kind of limit: (kind, calls refused, calls)."""
        count = self.TAKES * (LONGER_S or 24) // 60
        with open(self.input, "w", encoding="utf-8") as file:
            for n in range(count):
                file.write(json.dumps({"id": f"item-{n}", "text": f"question {n:06} " * 25}) + "\n")
        # Both at once, each with a server of its own.
        runs = [(kind, *self.begin_half(kind, *arguments)) for kind in ("--rpm", "--tpm")]
        for kind, server, run in runs:
            self.assertEqual(run.popen.wait(), 0, run.stderr())
            with self.subTest(kind):
                yield kind, *self.check_half(kind, self.calls(server), count)

    def begin_half(self, kind, *arguments):
        per_call = 1 if kind == "--rpm" else (25 * 16 + 3) // 4 + 4 + 16
        server = self.server(kind, self.TAKES * per_call, "--answer-tokens", 16, "--latency",
                             "uniform:50ms:300ms", *arguments, label=f"server{kind}")
        run = self.start("gristmill", "run", self.input, "--endpoint", server.url, "-m",
                         "sim-small", "--param", "max_tokens=100", kind,
                         2 * self.TAKES * per_call, "--workers", "2", "-o",
                         self.directory / f"out{kind}.jsonl", label=f"run{kind}")
        return server, run

    def check_half(self, kind, calls, count):
        refused = sum(call["status"] == 429 for call in calls)
        taken = [call for call in calls if call["status"] == 200]
        used = share_used(taken, lambda call: 1, self.TAKES, 30 if LONGER_S else 8, 0)
        print(f"{kind}: {refused} of {len(calls)} calls refused, used {used:.3f} of what it takes")
        self.assertEqual(len(taken), count)
        self.assertGreaterEqual(used, 0.9)
        return refused, len(calls)

    def test_a_call_beyond_a_strict_limit_is_an_error_line(self):
        with open(self.input, "w", encoding="utf-8") as file:
            for n in range(3):
                file.write(json.dumps({"id": f"item-{n}", "text": "word " * (1 if n != 1 else 4_000)})
                           + "\n")
        server = self.server()
        config = self.config(server, "tokens_per_minute = 10000", "strict_tokens = true")
        self.gristmill("run", self.input, "--config", config, "-m", "sim-small", "--param",
                       "max_tokens=100", "-o", self.output, check=3)
        with open(self.output, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual([line["error"] and line["error"]["code"] for line in lines],
                         [None, "exceeds_limit", None])
        self.assertIn("10000 tokens per minute", lines[1]["error"]["message"])
        self.assertEqual(len(self.calls(server)), 2)


if __name__ == "__main__":
    unittest.main()
