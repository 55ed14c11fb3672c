"""Every form of OUTPUT: compressed lines, lines on standard output, and places that cannot be
written."""
import gzip
import json
import os
import pathlib
import signal
import subprocess
import unittest

from harness import PATIENCE_S, EndToEnd, binary, crc, write_batch


class Compressed(EndToEnd):
    def test_compressed_results_hold_the_lines_of_a_plain_one(self):
        # Latencies are in the lines, so all three are merged from the segments of one run.
        server = self.server()
        source, state = self.directory / "in.jsonl", self.directory / "state"
        write_batch(source, 5_000)
        coordinator = self.coordinator()
        self.worker(coordinator, "w1")
        job = self.gristmill("submit", source, "--server", coordinator.http, "--endpoint",
                             server.url).stdout.strip()
        self.gristmill("watch", job, "--server", coordinator.http)
        fetched = {}
        for name in ("out.jsonl", "out.jsonl.gz", "out.jsonl.zst"):
            output = self.directory / name
            self.gristmill("results", job, "--server", coordinator.http, "-o", output)
            fetched[name] = output.read_bytes()
        self.check_result(self.directory / "out.jsonl", 5_000)
        plain = fetched["out.jsonl"]
        self.assertEqual(gzip.decompress(fetched["out.jsonl.gz"]), plain)
        unpacked = subprocess.run(["zstd", "-dc"], input=fetched["out.jsonl.zst"],
                                  capture_output=True, timeout=PATIENCE_S)
        self.assertEqual(unpacked.stdout, plain, unpacked.stderr)
        self.assertLess(len(fetched["out.jsonl.gz"]), len(plain) / 2)

    def test_run_compresses_and_says_the_digest_of_the_file(self):
        server = self.server()
        source = self.directory / "in.jsonl"
        write_batch(source, 3_000)
        for name, unpack in (("out.jsonl.gz", ["gzip", "-dc"]), ("out.jsonl.zst", ["zstd", "-dc"])):
            output, plain = self.directory / name, self.directory / f"{name}.plain"
            self.gristmill("run", source, "--endpoint", server.url, "-o", output)
            with open(output, "rb") as packed, open(plain, "wb") as into:
                subprocess.run(unpack, stdin=packed, stdout=into, check=True, timeout=PATIENCE_S)
            self.check_result(plain, 3_000)
            said = self.summary(output)["output"]
            digest = subprocess.run(["sha256sum", output], capture_output=True, text=True,
                                    check=True).stdout.split()[0]
            self.assertEqual((said["sha256"], said["bytes"], said["lines"]),
                             (digest, output.stat().st_size, 3_000))
            again = self.gristmill("run", source, "--endpoint", server.url, "-o", output)
            self.assertIn("finished", again.stderr)

    def test_a_cluster_keeps_lines(self):
        server, coordinator = self.server(), self.coordinator()
        source = self.directory / "in.jsonl"
        write_batch(source, 3)
        for output in (self.directory / "x.npy", "-"):
            refused = self.gristmill("submit", source, "--server", coordinator.http, "--endpoint",
                                     server.url, "--wait", "-o", output, check=2)
            self.assertIn("a coordinator keeps lines", refused.stderr)
        self.assertEqual(self.gristmill("jobs", "--server", coordinator.http,
                                        "--json").stdout.count("job-"), 0)


class Order(EndToEnd):
    def test_completion_order_is_that_of_the_answers(self):
        # Latencies that differ bring the answers in another order than the items.
        server = self.server("--latency", "uniform:1ms:200ms")
        source = self.directory / "in.jsonl"
        write_batch(source, 200)
        output = self.directory / "out.jsonl"
        self.gristmill("run", source, "--endpoint", server.url, "-o", output, "--order",
                       "completion")
        ids = [json.loads(line)["custom_id"] for line in output.read_text().splitlines()]
        self.assertEqual(sorted(ids), sorted(f"item-{n}" for n in range(200)))
        self.assertNotEqual(ids, [f"item-{n}" for n in range(200)])
        segments = sorted(pathlib.Path(f"{output}.state").glob("results-*.jsonl"))
        finished = [json.loads(line)["custom_id"] for segment in segments
                    for line in segment.read_text().splitlines()]
        self.assertEqual(ids, finished)


class StandardOutput(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source, self.state = self.directory / "in.jsonl", self.directory / "state"

    def command(self, server, *arguments):
        return ["run", self.source, "--endpoint", server.url, "-o", "-", *arguments]

    def piped(self, arguments, stdout, label, **options):
        """A run whose standard output is the test's."""
        with open(self.directory / f"{label}.stderr", "wb") as stderr:
            process = subprocess.Popen([binary("gristmill"), *map(str, arguments)], stdout=stdout,
                                       stderr=stderr, stdin=subprocess.DEVNULL, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def stderr(self, label):
        return (self.directory / f"{label}.stderr").read_text()

    def check_lines(self, lines, count):
        """Every item at least once, each line whole and its own; returns how many came twice."""
        seen = {}
        for line in lines:
            result = json.loads(line)
            n = int(result["custom_id"].removeprefix("item-"))
            content = result["response"]["body"]["choices"][0]["message"]["content"]
            self.assertTrue(content.startswith("sim " + crc(f"question {n}")), line)
            self.assertEqual(seen.setdefault(n, line), line, "a line that came twice is the same")
        self.assertEqual(sorted(seen), list(range(count)))
        return len(lines) - count

    def test_lines_come_while_the_job_runs_and_only_durable_ones(self):
        server = self.server("--latency", "uniform:5ms:30ms")
        write_batch(self.source, 3_000)
        process = self.piped(self.command(server, "--state", self.state, "--concurrency", "32"),
                             subprocess.PIPE, "run")
        first = process.stdout.readline()
        self.assertLess(self.stats(server)["calls"], 3_000, "the first line came at the end")
        durable = b"".join(path.read_bytes() for path in sorted(self.state.glob("results-*.jsonl")))
        self.assertTrue(durable.startswith(first))
        rest = process.stdout.read()
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE_S), 0, self.stderr("run"))
        lines = (first + rest).decode().splitlines()
        self.assertEqual(self.check_lines(lines, 3_000), 0)
        self.assertIn("3000 answered", self.stderr("run"))
        counts = json.loads((self.state / "summary.json").read_text())["counts"]
        self.assertEqual(counts["completed"], 3_000)

    def test_killed_in_the_middle_and_resumed_nothing_is_lost(self):
        server = self.server("--latency", "uniform:5ms:30ms")
        write_batch(self.source, 6_000)
        arguments = self.command(server, "--state", self.state, "--concurrency", "64")
        output = self.directory / "appended.jsonl"
        for kill in (1_500, 3_500):
            with open(output, "ab") as appended:
                process = self.piped(arguments, appended, f"run-{kill}")
                self.until_calls(server, kill)
                process.kill()
                process.wait()
        with open(output, "ab") as appended:
            process = self.piped(arguments, appended, "run-last")
            self.assertEqual(process.wait(PATIENCE_S), 0, self.stderr("run-last"))
        lines = output.read_text().splitlines()
        twice = self.check_lines(lines, 6_000)
        # What came between two savings of the position, 0.2 s apart, and no more.
        self.assertLess(twice, 6_000)
        print(f"printed twice after two kills: {twice}")
        printed = json.loads((self.state / "printed").read_text())
        self.assertEqual(printed["lines"] + twice, len(lines))
        # A finished job has nothing left to print.
        again = self.gristmill(*arguments)
        self.assertEqual(again.stdout, "")
        self.assertIn("finished", again.stderr)

    def test_an_interrupted_run_prints_each_line_once(self):
        server = self.server("--latency", "uniform:5ms:30ms")
        write_batch(self.source, 4_000)
        arguments = self.command(server, "--state", self.state, "--concurrency", "64")
        output = self.directory / "appended.jsonl"
        with open(output, "ab") as appended:
            process = self.piped(arguments, appended, "first")
            self.until_calls(server, 1_000)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(PATIENCE_S), 130, self.stderr("first"))
            done = self.gristmill(*arguments)
            appended.write(done.stdout.encode())
        self.assertEqual(self.check_lines(output.read_text().splitlines(), 4_000), 0)
        self.assertEqual(len(self.calls(server)), 4_000)

    def test_a_torn_line_does_not_spoil_the_next(self):
        server = self.server()
        write_batch(self.source, 10)
        output = self.directory / "appended.jsonl"
        output.write_text('{"custom_id":"cut by a k')
        with open(output, "ab") as appended:
            self.assertEqual(self.piped(self.command(server, "--state", self.state), appended,
                                        "run").wait(PATIENCE_S), 0)
        torn, *lines = output.read_text().splitlines()
        self.assertEqual(torn, '{"custom_id":"cut by a k')
        self.assertEqual(self.check_lines(lines, 10), 0)

    def test_a_reader_that_goes_away_ends_it_in_peace_and_the_rest_can_be_had(self):
        server = self.server("--latency", "uniform:5ms:30ms")
        write_batch(self.source, 3_000)
        arguments = self.command(server, "--state", self.state, "--concurrency", "32")
        process = self.piped(arguments, subprocess.PIPE, "head")
        head = [process.stdout.readline().decode() for _ in range(5)]
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE_S), 4, self.stderr("head"))
        self.assertIn("standard output was closed after", self.stderr("head"))
        self.assertIn("resumes", self.stderr("head"))
        self.assertLess(self.stats(server)["calls"], 3_000)
        rest = self.gristmill(*arguments).stdout.splitlines()
        self.assertEqual(len(self.calls(server)), 3_000, "a drained run calls nothing twice")
        # What the pipe had taken and nobody read is gone; the lines that came are whole.
        for line in head + rest:
            self.assertIn("custom_id", json.loads(line))
        self.assertEqual(len({json.loads(line)["custom_id"] for line in rest}), len(rest))
        self.assertEqual(json.loads((self.state / "printed").read_text())["lines"], 3_000)

    def test_a_finished_job_prints_what_was_not_read(self):
        server = self.server()
        write_batch(self.source, 20_000)
        arguments = self.command(server, "--state", self.state)
        reader, writer = os.pipe()
        process = self.piped(arguments, writer, "slow")
        os.close(writer)
        # The pipe is full long before all lines are in it; the job ends all the same.
        self.until("the end of the job", (self.state / "summary.json").exists)
        self.assertIsNone(process.poll())
        os.close(reader)
        self.assertEqual(process.wait(PATIENCE_S), 4, self.stderr("slow"))
        printed = json.loads((self.state / "printed").read_text())["lines"]
        rest = self.gristmill(*arguments)
        self.assertEqual(printed + len(rest.stdout.splitlines()), 20_000)
        self.assertIn("finished", rest.stderr)

    def test_a_slow_reader_does_not_keep_ctrl_c_from_being_heard(self):
        server = self.server()
        write_batch(self.source, 20_000)
        process = self.piped(self.command(server, "--state", self.state), subprocess.PIPE, "slow")
        self.until("the end of the job", (self.state / "summary.json").exists)
        self.addCleanup(process.stdout.close)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE_S), 130, self.stderr("slow"))
        taken = process.stdout.read().decode()
        rest = self.gristmill(*self.command(server, "--state", self.state))
        whole = taken[:taken.rfind("\n") + 1]
        self.assertEqual(self.check_lines((whole + rest.stdout).splitlines(), 20_000), 0)

    def test_without_a_state_nothing_is_left_behind(self):
        server = self.server()
        write_batch(self.source, 500)
        place = self.directory / "tmp"
        place.mkdir()
        done = self.gristmill(*self.command(server), env={"TMPDIR": str(place)})
        self.assertEqual(self.check_lines(done.stdout.splitlines(), 500), 0)
        self.assertEqual(list(place.iterdir()), [])
        process = self.piped(self.command(server), subprocess.PIPE, "head",
                             env={**os.environ, "TMPDIR": str(place)})
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE_S), 4)
        self.assertIn("without --state it cannot be resumed", self.stderr("head"))
        self.assertEqual(list(place.iterdir()), [])
        documents = subprocess.run([binary("gristmill"), "run", "-", "--endpoint", server.url, "-o",
                                    "-"], input=self.source.read_bytes(), capture_output=True,
                                   timeout=PATIENCE_S, env={**os.environ, "TMPDIR": str(place)})
        self.assertEqual(documents.returncode, 0, documents.stderr)
        self.assertEqual(self.check_lines(documents.stdout.decode().splitlines(), 500), 0)
        self.assertEqual(list(place.iterdir()), [])

    def test_summary_and_lines_do_not_share_standard_output(self):
        server = self.server()
        write_batch(self.source, 3)
        refused = self.gristmill(*self.command(server, "--json"), check=2)
        self.assertIn("--json: expected -o FILE", refused.stderr)

    def test_restart_prints_every_line_again(self):
        server = self.server()
        write_batch(self.source, 100)
        arguments = self.command(server, "--state", self.state)
        for more in ([], ["--restart"]):
            done = self.gristmill(*arguments, *more)
            self.assertEqual(self.check_lines(done.stdout.splitlines(), 100), 0)


class Unwritable(EndToEnd):
    def test_it_is_told_before_anything_starts(self):
        server = self.server()
        source = self.directory / "in.jsonl"
        write_batch(source, 3)
        (self.directory / "taken").mkdir()
        before = sorted(self.directory.iterdir())
        for output, says in ((self.directory / "nowhere" / "out.jsonl", "No such file or directory"),
                             (self.directory / "taken", "which is a directory"),
                             ("/proc/out.jsonl", "expected /proc to be a directory that can be"),
                             ("/dev/null", "no regular file")):
            refused = self.gristmill("run", source, "--endpoint", server.url, "-o", output, check=2)
            self.assertIn(says, refused.stderr)
            self.assertEqual(refused.stderr.count("\n"), 1, refused.stderr)
        self.assertEqual(self.stats(server)["calls"], 0)
        self.assertEqual(sorted(self.directory.iterdir()), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
