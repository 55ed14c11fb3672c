"""What commands write, replace and remove: nothing of the user's, nothing without a word when the
disk does not take it, and nothing that others may read.
"""
import gzip
import json
import os
import resource
import shutil
import stat
import subprocess
import unittest

from harness import PATIENCE_S, EndToEnd, binary



def objects(count):
    return b"".join(json.dumps({"id": f"i{n}", "text": f"precious {n}"}).encode() + b"\n"
                    for n in range(count))


LINES = objects(40)


class Files(EndToEnd):
    def setUp(self):
        super().setUp()
        self.simllm = self.server()
        self.output = self.directory / "out.jsonl"

    def put(self, name, data=LINES):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def command(self, *arguments, check=0, stdin=None, **more):
        command = [binary("gristmill"), *map(str, arguments)]
        source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run(command, stderr=subprocess.PIPE, timeout=PATIENCE_S,
                              **{"stdout": subprocess.PIPE, **source, **more})
        done.stderr = done.stderr.decode(errors="replace")
        if check is not None:
            self.assertEqual(done.returncode, check, f"{arguments}: {done.stderr}")
        return done

    def run_on(self, *arguments, output=None, **more):
        return self.command("run", *arguments, "--endpoint", self.simllm.url, "-m", "sim-small", "-o",
                            output or self.output, **more)

    def contents(self):
        """Every file below the directory but what the tests' own processes write."""
        return {path: path.read_bytes() for path in sorted(self.directory.rglob("*"))
                if path.is_file() and not path.name.endswith((".stderr", ".log"))}

    def refused(self, *arguments, output=None, **more):
        """Every file is as before, with and without --restart, and no advice would delete one."""
        before = self.contents()
        for restart in ([], ["--restart"]):
            done = self.run_on(*arguments, *restart, output=output, check=2, **more)
            self.assertEqual(self.contents(), before, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertNotIn("remove it", done.stderr)
        return done.stderr


class Loss(Files):
    def test_an_output_that_is_an_input_is_refused_whatever_it_is_called(self):
        source = self.put("in.jsonl")
        os.symlink(source, self.directory / "soft.jsonl")
        os.link(source, self.directory / "hard.jsonl")
        os.symlink(self.directory, self.directory / "link")
        for output in (source, self.directory / "soft.jsonl", self.directory / "hard.jsonl",
                       self.directory / "link/in.jsonl", f"{self.directory}/./in.jsonl"):
            with self.subTest(output):
                said = self.refused(source, output=output)
                self.assertIn("INPUT", said)
                self.assertNotIn("--restart", said)
        self.assertIn("INPUT", self.refused(self.directory / "soft.jsonl", output=source))
        self.assertIn("INPUT", self.refused(f"{self.directory}/in*.jsonl", output=source))
        self.refused(self.directory, output=source)
        with open(source, "rb") as file:
            done = subprocess.run([binary("gristmill"), "run", "-", "--endpoint", self.simllm.url, "-m",
                                   "sim-small", "-o", source, "--restart"], stdin=file,
                                  capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("INPUT", done.stderr)
        self.assertEqual(source.read_bytes(), LINES)

    def test_what_lies_beside_an_output_may_be_no_input_either(self):
        for suffix in (".part", ".summary.json", ".summary.json.part", ".state.stdin"):
            with self.subTest(suffix):
                source = self.put(f"out.jsonl{suffix}")
                self.assertIn("INPUT", self.refused(source))
                source.unlink()
        self.assertIn("INPUT", self.refused(self.put("v.ids.jsonl"), "--task", "embed",
                                            output=self.directory / "v.npy"))

    def test_results_that_are_inputs_again_are_not_lost(self):
        self.run_on(self.put("in.jsonl"))
        before = self.output.read_bytes()
        shutil.rmtree(f"{self.output}.state")
        for inputs in ([self.output], [self.directory], [f"{self.directory}/*.jsonl"]):
            self.assertNotIn("--restart to", self.refused(*inputs))
        self.assertEqual(self.output.read_bytes(), before)

    def test_what_gristmill_did_not_write_is_not_replaced(self):
        source = self.put("in.jsonl")
        for name in ("out.jsonl", "out.jsonl.part", "out.jsonl.summary.json"):
            with self.subTest(name):
                other = self.put(name, b"precious\n")
                self.assertIn("move it away", self.refused(source))
                other.unlink()
        self.run_on(source)
        self.run_on(source, "--system", "another", "--restart")
        shutil.rmtree(f"{self.output}.state")
        self.assertIn("--restart", self.run_on(source, check=2).stderr)
        self.run_on(source, "--restart")

    def test_a_result_goes_where_the_command_says_not_where_an_earlier_one_said(self):
        source, state = self.put("in.jsonl"), ("--state", self.directory / "st")
        self.run_on(source, *state)
        good = self.output.read_bytes()
        notes = self.put("out.jsonl", b"my own notes\n")
        other = self.directory / "other.jsonl"
        said = self.run_on(source, *state, output=other).stderr
        self.assertIn("was not there: it is written again", said)
        self.assertEqual((other.read_bytes(), notes.read_bytes()), (good, b"my own notes\n"))
        self.run_on(source, *state, output=other)  # which is this job's
        other.write_bytes(b"")
        self.assertIn("was empty: it is written again", self.run_on(source, *state, output=other).stderr)
        self.assertEqual(other.read_bytes(), good)
        other.write_bytes(good[:-100])
        self.assertIn(f"has {len(good) - 100} bytes, it was written with {len(good)}",
                      self.run_on(source, *state, output=other).stderr)
        self.assertEqual(other.read_bytes(), good[:-100])
        # The whole directory at another place, the result gone.
        moved = self.directory / "moved"
        work = self.put("work/in.jsonl").parent
        self.run_on("in.jsonl", output="out.jsonl", cwd=work)
        work.rename(moved)
        (moved / "out.jsonl").unlink()
        self.run_on("in.jsonl", output="out.jsonl", cwd=moved)
        self.assertTrue((moved / "out.jsonl").exists())
        self.assertFalse(work.exists())

    def test_the_result_of_another_job_is_not_replaced_by_one_that_has_a_state(self):
        source, paid = self.put("in.jsonl"), self.directory / "paid.jsonl"
        self.run_on(self.put("other.jsonl", objects(3)), output=paid)
        before = paid.read_bytes()
        shutil.rmtree(f"{paid}.state")
        state = ("--state", self.directory / "st")
        self.run_on(source, *state, "--limit", "10")
        for more in (["--limit", "10"], []):
            said = self.run_on(source, *state, *more, output=paid, check=2).stderr
            self.assertIn("is not of a job whose state is in", said)
        self.assertEqual(paid.read_bytes(), before)

    def test_an_input_that_is_cut_while_it_is_read_stops_the_job(self):
        count = 4_000
        whole = b"".join(b'{"id":"%d","text":"t%d %s"}\n' % (n, n, b"y" * 2_000) for n in range(count))
        slow = self.server("--latency", "20ms", label="slow")
        source = self.put("in.jsonl", whole)
        command = ["run", source, "--endpoint", slow.url, "-m", "sim-small", "-o", self.output,
                   "--concurrency", "8"]
        begun = self.start("gristmill", *command, label="begun")
        self.until_calls(slow, 100)
        os.truncate(source, whole.index(b'{"id":"2000"'))
        self.assertEqual(begun.wait(), 4, begun.stderr())
        self.assertIn(f"in.jsonl: expected the {len(whole)} bytes that the job began with, got ",
                      begun.stderr())
        self.assertFalse(self.output.exists())
        source.write_bytes(whole)
        self.command(*command)
        self.assertEqual(len(self.output.read_bytes().splitlines()), count)

    def test_a_restart_lets_nothing_go_for_an_input_that_cannot_run(self):
        for name, good, bad in (("in.csv", b"id,text\na,one\n", b"id,text,text\na,one,two\n"),
                                ("in.jsonl.gz", gzip.compress(LINES), gzip.compress(LINES)[:-20]),
                                ("in.jsonl.gz", gzip.compress(LINES), LINES),
                                ("in.jsonl", LINES, b'[{"id":"a","text":"one"}]\n')):
            with self.subTest(name):
                for path in self.directory.glob("out.jsonl*"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                source = self.put(name, good)
                self.run_on(source, "-p", "{{text}}")
                self.put(name, bad)
                before = self.contents()
                self.run_on(source, "-p", "{{text}}", "--restart", check=2)
                self.assertEqual(self.contents(), before)

    def test_what_the_command_reads_besides_its_input_is_not_removed(self):
        source = self.put("in.jsonl")
        self.run_on(source)
        for name in ("out.jsonl", "out.jsonl.state/printed", "out.jsonl.state/summary.json"):
            with self.subTest(name):
                before = self.contents()
                said = self.run_on(source, "--prompt-file", self.directory / name, "--restart", check=2).stderr
                self.assertIn("--prompt-file", said)
                self.assertEqual(self.contents(), before)
                prompt = self.directory / "out.jsonl.state/printed"
                prompt.write_bytes(b"say {{text}}")

    def test_a_link_as_output_is_followed(self):
        source, big = self.put("in.jsonl"), self.directory / "big"
        big.mkdir()
        self.output.symlink_to("big/out.jsonl")
        for more in ([], ["--restart"]):
            self.run_on(source, *more)
            self.assertTrue(self.output.is_symlink())
            self.assertEqual(len((big / "out.jsonl").read_bytes().splitlines()), 40)
        (big / "out.jsonl").unlink()
        self.run_on(source)
        self.assertTrue(self.output.is_symlink())
        self.assertEqual(len((big / "out.jsonl").read_bytes().splitlines()), 40)
        self.assertIn("state directory", self.run_on(source, "--state", self.directory / "o",
                                                     output=self.directory / "o/", check=2).stderr)
        self.assertEqual(self.stats(self.simllm)["calls"], 80)

    def test_a_state_directory_with_other_files_is_not_removed(self):
        source, state = self.put("in.jsonl"), self.directory / "out.jsonl.state"
        self.run_on(source)
        mine = self.put("out.jsonl.state/mine.jsonl")
        self.assertIn("mine.jsonl", self.run_on(source, "--restart", check=2).stderr)
        self.assertIn("INPUT", self.run_on(source, mine, "--restart", check=2).stderr)
        self.assertEqual(mine.read_bytes(), LINES)
        mine.unlink()
        self.run_on(source, "--restart")
        # One of a coordinator, with all its jobs.
        coordinator = self.coordinator(state="hub")
        self.worker(coordinator, "w")
        job = self.gristmill("submit", source, "-m", "sim-small", "--endpoint", self.simllm.url, "--server",
                             coordinator.http).stdout.strip()
        self.gristmill("watch", job, "--server", coordinator.http)
        coordinator.end()
        before = self.contents()
        self.run_on(source, "--state", self.directory / "hub", "--restart", check=2)
        self.assertEqual({k: v for k, v in self.contents().items() if k.name != "lock"},
                         {k: v for k, v in before.items() if k.name != "lock"})
        self.assertTrue(state.is_dir())

    def test_of_two_runs_with_one_output_the_later_is_refused(self):
        source = self.put("in.jsonl", LINES)
        slow = self.server("--latency", "2s", label="slow")
        first = self.start("gristmill", "run", source, "--endpoint", slow.url, "-m", "sim-small", "-o",
                           self.output, "--state", self.directory / "one", label="first")
        self.until_calls(slow, 1)
        later = self.run_on(source, "--state", self.directory / "two", check=2)
        self.assertIn(f"is in use by process {first.popen.pid}", later.stderr)
        self.assertEqual(first.wait(), 0, first.stderr())
        self.assertFalse((self.directory / "out.jsonl.lock").exists())
        self.assertEqual(len(self.output.read_bytes().splitlines()), 40)

    def test_printed_lines_do_not_go_into_an_input(self):
        source = self.put("in.jsonl")
        with open(source, "ab") as file:
            done = self.run_on(source, output="-", check=2, stdout=file)
        self.assertIn("standard output", done.stderr)
        self.assertEqual(source.read_bytes(), LINES)

    def test_results_and_submit_replace_results_only(self):
        coordinator = self.coordinator()
        self.worker(coordinator, "w")
        at = ["--server", coordinator.http]
        source, other = self.put("in.jsonl"), self.put("other.jsonl", b"precious\n")
        submit = ["submit", source, "-m", "sim-small", "--endpoint", self.simllm.url, *at]
        job = self.gristmill(*submit).stdout.strip()
        self.gristmill("watch", job, *at)
        for _ in range(2):  # the second replaces the first
            self.gristmill("results", job, "-o", self.output, *at)
        self.assertEqual(len(self.output.read_bytes().splitlines()), 40)
        self.assertIn("move it away", self.gristmill("results", job, "-o", other, *at, check=2).stderr)
        self.assertEqual(other.read_bytes(), b"precious\n")
        # The result of one job that is the input of the next.
        second = ["submit", self.output, "--id-field", "custom_id", "-p", "again {{custom_id}}", "-m",
                  "sim-small", "--endpoint", self.simllm.url, *at]
        before, next_job = self.output.read_bytes(), self.gristmill(*second).stdout.strip()
        self.gristmill("watch", next_job, *at)
        refused = self.gristmill("results", next_job, "-o", self.output, *at, check=2)
        self.assertIn("which is another result and is not replaced", refused.stderr)
        self.assertEqual(self.output.read_bytes(), before)
        for name, output in (("x", "x"), ("y.part", "y"), ("z.summary.json", "z")):
            source = self.put(name)
            refused = self.gristmill("submit", source, "-m", "sim-small", *at, "--wait", "-o",
                                     self.directory / output, check=2)
            self.assertIn("INPUT", refused.stderr)
            self.assertEqual(source.read_bytes(), LINES)


class Told(Files):
    """A file or a pipe that does not take everything."""

    def limit(self, size):
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    def test_standard_input_that_does_not_fit_is_no_shorter_input(self):
        text = LINES * 200  # 320 KB
        small = self.directory / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "gristmill-e2e", small], check=True)
        try:
            full = self.run_on("-", "--state", small / "st", stdin=text, check=4)
            self.assertIn("free some space", full.stderr)
            self.assertEqual(list(small.iterdir()), [])
        finally:
            subprocess.run(["umount", small], check=True)
        limited = self.run_on("-", stdin=text, check=4, preexec_fn=self.limit(100_000))
        self.assertIn("ulimit -f", limited.stderr)
        self.assertEqual(list(self.directory.glob("out.jsonl*")), [])
        self.assertEqual(self.stats(self.simllm)["calls"], 0)
        cut = self.command("submit", "-", "--strict", "-m", "sim-small", "--endpoint", self.simllm.url,
                           "--server", self.coordinator().http, stdin=text, check=2,
                           preexec_fn=self.limit(100_000))
        self.assertIn("ulimit -f", cut.stderr)

    def test_a_limit_on_the_size_of_files_is_a_sentence(self):
        for size in (20_000, 100_000):
            done = self.run_on(self.put("in.jsonl", objects(4_000)), check=None, preexec_fn=self.limit(size))
            self.assertGreater(done.returncode, 0, done.stderr)
            self.assertIn("ulimit -f", done.stderr)
        self.run_on(self.directory / "in.jsonl")
        self.assertEqual(len(self.output.read_bytes().splitlines()), 4_000)
        coordinator = self.start_command(
            ["prlimit", "--fsize=20000", binary("gristmill-coordinator"), "--listen", "tcp://127.0.0.1:0",
             "--http", "127.0.0.1:0", "--state", str(self.directory / "state")], "coordinator")
        self.assertGreater(coordinator.wait(), 0)
        self.assertNotEqual(coordinator.stderr(), "")

    def test_what_standard_output_does_not_take_is_an_error(self):
        source = self.put("in.jsonl")
        coordinator = self.coordinator()
        self.worker(coordinator, "w")
        at = ["--server", coordinator.http]
        job = self.gristmill("submit", source, "-m", "sim-small", "--endpoint", self.simllm.url,
                             *at).stdout.strip()
        self.gristmill("watch", job, *at)
        self.run_on(source)
        commands = [["run", source, "--endpoint", self.simllm.url, "-m", "sim-small", "-o", self.output, "--json",
                     "--restart"],
                    ["run", source, "--endpoint", self.simllm.url, "--dry-run", "-o", self.directory / "dry"],
                    ["results", job, "-o", "-", *at], ["jobs", *at], ["status", job, "--json", *at],
                    ["submit", source, "-m", "sim-small", "--endpoint", self.simllm.url, *at],
                    ["keygen", self.directory / "keys"], ["--help"], ["--version"],
                    ["journal", "verify", f"{self.output}.state"]]
        for command in commands:
            with self.subTest(command[0]):
                with open("/dev/full", "wb") as full:
                    done = self.command(*command, check=None, stdout=full)
                self.assertGreater(done.returncode, 0, done.stderr)
                self.assertIn("standard output", done.stderr)
                read, write = os.pipe()
                os.close(read)
                with os.fdopen(write, "wb") as nobody:
                    shutil.rmtree(self.directory / "keys", ignore_errors=True)
                    done = self.command(*command, check=None, stdout=nobody)
                self.assertGreater(done.returncode, 0, done.stderr)
                self.assertIn("standard output", done.stderr)

    def test_what_is_printed_goes_into_no_file_when_standard_output_is_closed(self):
        source = self.put("in.jsonl", objects(400))
        closed = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", binary("gristmill"), "run", source, "--endpoint",
                                 self.simllm.url, "-m", "sim-small", "-o", self.output, "--json"],
                                capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertIn("Bad file descriptor", closed.stderr)
        self.gristmill("journal", "verify", f"{self.output}.state")
        for path in self.directory.rglob("out.jsonl.state/*"):
            self.assertNotIn(b'"latency_ms": {', path.read_bytes(), path)

    def test_a_prompt_or_schema_that_cannot_be_read_is_no_empty_one(self):
        source = self.put("in.jsonl")
        for option in ("--prompt-file", "--json-schema"):
            for path in (self.directory, self.directory / "missing"):
                said = self.run_on(source, option, path, check=2).stderr
                self.assertIn(option, said)
                self.assertIn("expected a file that can be read", said)


class Private(Files):
    def mode(self, path):
        return stat.S_IMODE(path.lstat().st_mode)

    def test_nobody_else_reads_what_a_job_keeps(self):
        state = self.directory / "st"
        state.mkdir(mode=0o755)
        self.run_on(self.put("in.jsonl"), "--state", state, preexec_fn=lambda: os.umask(0))
        for path in state.iterdir():
            self.assertEqual(self.mode(path) & 0o077, 0, path)
        coordinator = self.coordinator()
        self.worker(coordinator, "w")
        self.gristmill("submit", self.directory / "in.jsonl", "-m", "sim-small", "--endpoint", self.simllm.url,
                       "--server", coordinator.http, "--wait", "-o", self.directory / "fetched.jsonl")
        for path in (self.directory / "state").rglob("*"):
            self.assertEqual(self.mode(path) & 0o077, 0, path)

    def test_a_directory_into_which_others_may_write_is_refused(self):
        source, state = self.put("in.jsonl"), self.directory / "st"
        state.mkdir()
        victim = self.put("victim", b"precious")
        os.symlink(victim, state / "lock")
        self.run_on(source, "--state", state, check=2)
        (state / "lock").unlink()
        for mode in (0o777, 0o770, 0o1777):
            state.chmod(mode)
            self.assertIn("chmod 700", self.run_on(source, "--state", state, check=2).stderr)
        self.assertEqual(victim.read_bytes(), b"precious")
        keys = self.directory / "keys"
        self.gristmill("keygen", keys)
        keys.chmod(0o777)
        for program, more in (("gristmill-coordinator", ["--http", "127.0.0.1:0", "--state", self.directory / "s"]),
                              ("gristmill-worker", ["--coordinator", "tcp://127.0.0.1:1"])):
            done = self.start(program, "--keys", keys, *more)
            self.assertEqual(done.wait(), 2)
            self.assertIn("chmod 700", done.stderr())

    def test_the_spool_of_standard_input_goes_with_success(self):
        spool = self.directory / "out.jsonl.state.stdin"
        self.control(self.simllm, faults=["status:code=400,match=precious"])
        self.run_on("-", stdin=LINES, check=3, preexec_fn=lambda: os.umask(0))
        self.assertEqual(self.mode(spool), 0o600)
        self.assertEqual(spool.read_bytes(), LINES)
        self.control(self.simllm, faults=[])
        self.run_on("-", "--retry-failed")  # needs no input: it is spooled
        self.assertFalse(spool.exists())
        said = self.run_on("-").stderr  # needs none either: everything is done
        self.assertIn("finished: 40 items", said)
        self.assertFalse(spool.exists())
        self.run_on("-", "--restart", stdin=objects(20))
        self.assertEqual(len(self.output.read_bytes().splitlines()), 20)

    def test_another_standard_input_is_refused_not_ignored(self):
        self.run_on("-", "--limit", "10", stdin=LINES)
        for other in (objects(3), LINES[:-1], LINES + b"\n", b"\n"):  # compared with the spool
            for more in ([], ["--limit", "20"]):
                said = self.run_on("-", *more, stdin=other, check=2).stderr
                self.assertIn("expected the standard input that the earlier run began with", said)
                self.assertIn("--restart", said)
            self.assertIn("--restart", self.run_on("-", "--dry-run", stdin=other, check=2).stderr)
        self.assertEqual(json.loads(self.run_on("-", "--dry-run", "--json", stdin=LINES).stdout)["items"], 40)
        self.run_on("-", stdin=LINES)
        self.assertFalse((self.directory / "out.jsonl.state.stdin").exists())
        for other in (objects(3), LINES[:-2] + b"x\n", LINES + b"\n"):  # with what is recorded of it
            self.assertIn("--restart", self.run_on("-", stdin=other, check=2).stderr)
        self.assertIn("finished: 40 items", self.run_on("-", stdin=LINES).stderr)
        self.assertIn("finished: 40 items", self.run_on("-", stdin=b"").stderr)
        self.assertEqual(self.stats(self.simllm)["calls"], 40)

    def test_a_spool_stays_while_a_limit_may_grow(self):
        spool = self.directory / "out.jsonl.state.stdin"
        self.run_on("-", "--limit", "10", stdin=LINES)
        self.assertTrue(spool.exists())
        self.run_on("-")
        self.assertEqual(len(self.output.read_bytes().splitlines()), 40)
        self.assertFalse(spool.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
