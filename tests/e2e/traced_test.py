"""Disks that fail, by strace: a system call of `gristmill run` returns an error in the middle. It
stops with a sentence or waits, and the same command without the fault completes what is there.
"""
import os
import random
import subprocess
import unittest

from harness import PATIENCE_S, EndToEnd, binary, write_batch

COUNT = 600
# What the journal, the segments and the result are written with.
FAULTS = [("fdatasync", "EIO"), ("fsync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC"),
          ("write", "ENOSPC"), ("ftruncate", "EIO"), ("rename", "EIO"), ("openat", "EMFILE")]

# Whoever looks for leaks at its end, under a sanitizer, cannot while it is traced.
leaks_unseen = ["-E", f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0"]


class TracedRun(EndToEnd):
    def setUp(self):
        super().setUp()
        self.input, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(self.input, COUNT)

    def command(self, server):
        return [binary("gristmill"), "run", str(self.input), "--endpoint", server.url, "-o",
                str(self.output), "--concurrency", "32", "--no-progress"]

    def under_strace(self, call, error, when, names):
        """Only calls on these files below the test's directory, and on itself: standard error is
        written to as well."""
        trace = ["strace", *leaks_unseen, "-f", "-qq", "-o", "/dev/null", "-P", str(self.directory), "-e", f"trace={call}",
                 "-e", f"inject={call}:error={error}:when={when}"]
        for name in names:
            trace += ["-P", str(self.directory / name)]
        return trace

    def traced(self, server, call, error, when):
        """The command with the n-th such system call of any thread failing, once or from then on."""
        trace = self.under_strace(call, error, when, (
            "out.jsonl.state/journal.db", "out.jsonl.state/journal.db-wal",
            "out.jsonl.state/results-000001.jsonl", "out.jsonl.part", "out.jsonl",
            "out.jsonl.summary.json.part", "out.jsonl.state"))
        return subprocess.run([*trace, *self.command(server)], capture_output=True, text=True,
                              timeout=PATIENCE_S)

    def attempt(self, server, call, error, when):
        before = len(self.calls(server))
        hurt = self.traced(server, call, error, when)
        what = f"{call} {error} {when}: exit {hurt.returncode}: {hurt.stderr}"
        self.assertIn(hurt.returncode, (0, 2, 4, 70), what)
        if hurt.returncode != 0:
            self.assertTrue(hurt.stderr.startswith("gristmill run: ") or "gristmill run: " in hurt.stderr, what)
        again = subprocess.run(self.command(server), capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(again.returncode, 0, f"{what}\nthen: {again.stderr}")
        self.check_result(self.output, COUNT)
        calls = self.calls(server)[before:]
        self.check_one_call_per_attempt(calls)
        # What was in flight, and what the disk had not taken, is called again.
        self.assertLessEqual(len(calls), COUNT + 32 + 64 * 32, what)
        return hurt.returncode

    def test_twenty_faults_drawn_by_a_seed(self):
        server = self.server()
        draw = random.Random(20)
        codes = []
        for n in range(20):
            call, error = FAULTS[n % len(FAULTS)]
            when = draw.choice([1, 2, 3, 5, 8, 13, 21])
            codes.append(self.attempt(server, call, error, str(when)))
            self.gristmill("journal", "verify", f"{self.output}.state")
            subprocess.run(["rm", "-rf", f"{self.output}.state", self.output,
                            f"{self.output}.summary.json"], check=True)
        # Else nothing was hit at all.
        self.assertGreater(sum(code != 0 for code in codes), 5, codes)
        print(codes)

    def test_standard_input_is_whole_or_the_command_says_why_not(self):
        server = self.server()
        command = [word if word != str(self.input) else "-" for word in self.command(server)]
        text = self.input.read_bytes()
        spool = self.directory / "out.jsonl.state.stdin"
        for call, error in (("write", "ENOSPC"), ("write", "EIO"), ("fsync", "EIO"), ("close", "EIO"),
                            ("rename", "EIO"), ("openat", "EMFILE"), ("openat", "ENOSPC")):
            trace = self.under_strace(call, error, "1+", (spool.name, f"{spool.name}.part"))
            hurt = subprocess.run([*trace, *command], input=text, capture_output=True, timeout=PATIENCE_S)
            what = f"{call} {error}: exit {hurt.returncode}: {hurt.stderr.decode()}"
            self.assertIn(hurt.returncode, (2, 4), what)
            self.assertIn(b"gristmill run: ", hurt.stderr, what)
            self.assertFalse(spool.exists(), what)
            self.assertEqual(len(self.calls(server)), 0, what)
        # A read that fails is not the end of the input.
        trace = ["strace", *leaks_unseen, "-qq", "-o", "/dev/null", "-e", "trace=read", "-e", "inject=read:error=EIO:when=1+",
                 "-P", str(self.input)]
        with open(self.input, "rb") as lines:
            hurt = subprocess.run([*trace, *command], stdin=lines, capture_output=True, timeout=PATIENCE_S)
        self.assertEqual(hurt.returncode, 4, hurt.stderr)
        self.assertIn(b"read standard input", hurt.stderr)
        again = subprocess.run(command, input=text, capture_output=True, timeout=PATIENCE_S)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.check_result(self.output, COUNT)

    def test_keys_are_whole_or_not_there(self):
        keys = self.directory / "keys"
        names = [f"keys/{name}" for name in ("", "coordinator.key", "workers.allow", "worker.key",
                                            "worker.access", "client.token")]
        for call, error in (("write", "ENOSPC"), ("fsync", "EIO"), ("close", "EIO"), ("openat", "EMFILE")):
            for when in ("1", "3", "5"):
                trace = self.under_strace(call, error, when, names)
                hurt = subprocess.run([*trace, binary("gristmill"), "keygen", str(keys)], capture_output=True,
                                      text=True, timeout=PATIENCE_S)
                self.assertEqual(hurt.returncode, 2, f"{call} {error} {when}: {hurt.stderr}")
                self.assertIn("gristmill keygen: ", hurt.stderr)
                self.assertEqual(list(keys.glob("*")), [], f"{call} {error} {when}")
        self.gristmill("keygen", keys)


if __name__ == "__main__":
    unittest.main(verbosity=2)
