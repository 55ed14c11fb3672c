"""`gristmill run`: one machine, the real binary, a real HTTP server."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

from harness import MEMORY_SLACK_MIB, PATIENCE_S, EndToEnd, binary, write_batch


def tree_rss_mb(pid):
    """Peak resident size of a process that starts no others, in MB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024


class Run(EndToEnd):
    def run_command(self, server, count, *arguments, text=None, output="out.jsonl", check=0):
        source = self.directory / "in.jsonl"
        if not source.exists():
            write_batch(source, count, **({"text": text} if text else {}))
        self.output = self.directory / output
        return self.gristmill("run", source, "--endpoint", server.url, "-o", self.output, *arguments,
                              check=check)

    def test_every_item_once_in_order_with_its_answer(self):
        for concurrency in (64, 512):
            server = self.server(label=f"simllm-{concurrency}")
            self.run_command(server, 20_000, "--concurrency", concurrency,
                             output=f"out-{concurrency}.jsonl")
            self.check_result(self.output, 20_000)
            calls = self.calls(server)
            self.assertEqual(len(calls), 20_000)
            self.check_one_call_per_attempt(calls)
            counts = self.summary(self.output)["counts"]
            self.assertEqual((counts["total"], counts["completed"], counts["failed"]),
                             (20_000, 20_000, 0))

    def test_faults_are_retried_until_every_item_succeeds(self):
        server = self.server("--fault", "status:code=500,rate=0.05", "--fault", "reset:rate=0.02",
                             "--fault", "hang:rate=0.01", "--fault", "malformed:rate=0.01",
                             "--fault", "truncated:rate=0.01", "--fault", "status:code=400,match=BAD")
        bad = set(range(0, 2_000, 400))
        text = lambda n: f"question {n}" + (" BAD" if n in bad else "")
        self.run_command(server, 2_000, "--timeout", "1", "--concurrency", "256", text=text, check=3)
        self.check_result(self.output, 2_000, text=text, failed=bad)
        calls = self.calls(server)
        self.check_one_call_per_attempt(calls)
        # Whether a fault hits depends on how often a text was seen, so a rejected line is called
        # again only when another fault came first.
        rejected = [call for call in calls if call["status"] == 400]
        self.assertEqual(len(rejected), len(bad))
        summary = self.summary(self.output)
        self.assertEqual(summary["counts"]["failed"], len(bad))
        self.assertEqual(summary["counts"]["attempts"], len(calls))
        self.assertEqual(sum(cause["count"] for cause in summary["errors"]), len(bad))
        self.assertIn(summary["errors"][0]["sample"]["custom_id"], {f"item-{n}" for n in bad})

    def test_rpm_is_used_and_never_exceeded(self):
        server = self.server("--rpm", "3000", "--burst-seconds", "1")
        begin = time.monotonic()
        self.run_command(server, 600, "--rpm", "3000", "--workers", "2", "--concurrency", "64")
        elapsed = time.monotonic() - begin
        stats = self.stats(server)
        self.assertEqual(stats["rate_limited"], 0)
        self.assertEqual(stats["calls"], 600)
        times = [call["t_ns"] for call in self.calls(server)]
        used = (len(times) - 1) / ((times[-1] - times[0]) / 1e9) / 50.0
        self.assertGreaterEqual(used, 0.95, f"{elapsed:.1f} s")
        self.check_result(self.output, 600)

    def test_killed_and_started_again_it_resumes(self):
        server = self.server("--latency", "20ms")
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(source, 4_000)
        arguments = ["run", source, "--endpoint", server.url, "-o", output, "--concurrency", "64"]
        for at in (500, 1_500, 2_500):
            process = self.start("gristmill", *arguments, label=f"run-{at}")
            self.until_calls(server, at)
            process.kill()
        self.gristmill(*arguments)
        self.check_result(output, 4_000)
        calls = self.calls(server)
        self.check_one_call_per_attempt(calls)
        # At most the calls that were in flight or not yet recorded at the three kills.
        self.assertLessEqual(len(calls), 4_000 + 3 * 2 * 64)
        again = self.gristmill(*arguments)
        self.assertIn("finished", again.stderr)
        self.assertEqual(len(self.calls(server)), len(calls))

    def test_interrupted_it_waits_for_calls_in_flight_and_resumes(self):
        server = self.server("--latency", "50ms")
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(source, 2_000)
        arguments = ["run", source, "--endpoint", server.url, "-o", output, "--concurrency", "32"]
        process = self.start("gristmill", *arguments, label="run")
        self.until_calls(server, 300)
        self.assertEqual(process.end(signal.SIGINT), 130, process.stderr())
        self.assertIn("resumes", process.stderr())
        self.gristmill(*arguments)
        self.check_result(output, 2_000)
        self.assertEqual(len(self.calls(server)), 2_000, "a drained run calls nothing twice")

    def test_another_prompt_is_refused_and_restart_begins_anew(self):
        server = self.server()
        document = self.directory / "doc.txt"
        document.write_text("some words")
        output = self.directory / "out.jsonl"
        arguments = ["run", document, "--endpoint", server.url, "-m", "sim-small", "-o", output]
        self.gristmill(*arguments, "-p", "Summarise: {{text}}")
        refused = self.gristmill(*arguments, "-p", "Translate: {{text}}", check=2)
        self.assertIn("--prompt", refused.stderr)
        self.assertIn("--restart", refused.stderr)
        self.gristmill(*arguments, "-p", "Translate: {{text}}", "--restart")
        self.assertEqual(self.stats(server)["calls"], 2)

    def test_an_output_that_is_not_ours_is_kept(self):
        server = self.server()
        self.directory.joinpath("out.jsonl").write_text("precious\n")
        refused = self.run_command(server, 3, check=2)
        self.assertIn("--restart", refused.stderr)
        self.assertEqual(self.output.read_text(), "precious\n")

    def test_large_items_do_not_use_up_the_credit(self):
        server = self.server()
        text = lambda n: f"question {n} " + "x" * 1_000_000
        self.run_command(server, 60, text=text)
        self.check_result(self.output, 60, text=text)

    def test_an_input_that_changed_is_refused_on_resume(self):
        server = self.server("--latency", "50ms")
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(source, 2_000)
        arguments = ["run", source, "--endpoint", server.url, "-o", output, "--concurrency", "32"]
        process = self.start("gristmill", *arguments, label="run")
        self.until_calls(server, 100)
        process.end(signal.SIGINT)
        write_batch(source, 1_500)
        refused = self.gristmill(*arguments, check=2)
        self.assertIn("INPUT", refused.stderr)

    def test_restart_with_a_mistake_keeps_the_earlier_result(self):
        server = self.server()
        self.run_command(server, 50)
        source = self.directory / "in.jsonl"
        for mistake in (["--param", "nonsense"], [self.directory / "missing.jsonl"]):
            self.gristmill("run", source, *mistake, "--endpoint", server.url, "-o", self.output,
                           "--restart", check=2)
            self.check_result(self.output, 50)

    def test_objects_documents_and_standard_input(self):
        server = self.server()
        objects = self.directory / "objects.jsonl"
        objects.write_text('{"id":"a","text":"first"}\n\n{"id":"b","text":"second"}\n')
        document = self.directory / "doc.md"
        document.write_text("a document")
        output = self.directory / "out.jsonl"
        common = ["--endpoint", server.url, "-m", "sim-small", "-p", "Sum up: {{text}}"]
        self.gristmill("run", objects, document, *common, "-o", output)
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        self.assertEqual([line["custom_id"] for line in lines], ["a", "b", str(document)])
        piped = subprocess.run([binary("gristmill"), "run", "-", *common, "-o",
                                str(self.directory / "piped.jsonl")],
                               input=objects.read_bytes(), timeout=PATIENCE_S, capture_output=True)
        self.assertEqual(piped.returncode, 0, piped.stderr)
        self.assertEqual(len((self.directory / "piped.jsonl").read_text().splitlines()), 2)

    def test_memory_follows_the_configuration_not_the_corpus(self):
        peaks = {}
        for count in (20_000, 200_000):
            server = self.server(label=f"simllm-{count}")
            source, output = self.directory / f"in-{count}.jsonl", self.directory / f"out-{count}.jsonl"
            write_batch(source, count)
            process = self.start("gristmill", "run", source, "--endpoint", server.url, "-o", output,
                                 label=f"run-{count}")
            while process.popen.poll() is None:
                try:
                    peaks[count] = max(peaks.get(count, 0), tree_rss_mb(process.popen.pid))
                except (FileNotFoundError, AttributeError):
                    break  # it has just ended
                time.sleep(0.05)
            self.assertEqual(process.wait(), 0, process.stderr())
            self.check_result(output, count)
        print(f"peak RSS: {peaks}")
        self.assertLess(peaks[200_000], 250 + MEMORY_SLACK_MIB)
        self.assertLess(peaks[200_000] - peaks[20_000], 32)


if __name__ == "__main__":
    unittest.main(verbosity=2)
