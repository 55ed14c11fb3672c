"""Documents and answers that stay in a directory which coordinator and workers share (--shared)."""
import json
import re
import socket
import threading
import unittest
import urllib.error
import urllib.request

from harness import EndToEnd, binary, crc, write_batch


class CountingProxy:
    """Passes bytes on, both ways, and counts them."""

    def __init__(self, port):
        self.target, self.bytes, self.lock = ("127.0.0.1", int(port)), 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            try:
                far = socket.create_connection(self.target)
            except OSError:  # nobody listens any more
                near.close()
                continue
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.pass_on, args=(one, other), daemon=True).start()

    def pass_on(self, source, sink):
        try:
            while piece := source.recv(1 << 16):
                with self.lock:
                    self.bytes += len(piece)
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def text(n):
    return f"question {n} " + f"{n % 10} words " * 150


def same_in_each_run(path):
    """The lines without what differs from run to run: when and how fast, and so the checksum."""
    return [re.sub(r'"crc":"[0-9a-f]{8}"|"latency_ms":\d+|"request_id":"[^"]*"|"created":\d+|'
                   r'"id":"chatcmpl-[^"]*"|"endpoint":"[^"]*"', "", line)
            for line in path.read_text().splitlines()]


class Shared(EndToEnd):
    def setUp(self):
        super().setUp()
        self.shared = self.directory / "shared"
        (self.shared / "in").mkdir(parents=True)
        self.mount = self.directory / "mount"  # the same directory, as another machine sees it
        self.mount.symlink_to(self.shared)
        self.input = self.shared / "in" / "corpus.jsonl"

    def start_coordinator(self, *arguments, shared=True, label="coordinator", **places):
        more = ["--shared", self.shared] if shared else []
        return self.coordinator("--data-root", self.shared / "in", *more, *arguments, label=label, **places)

    def start_worker(self, coordinator, name, *arguments, shared=True):
        """Ready once both have proved that they see the same directory."""
        worker = self.worker(coordinator, name, *arguments, *(["--shared", self.mount] if shared else []))
        if shared:
            self.until("the two to agree", lambda: f"shared.agreed name={name}" in coordinator.stderr()
                       or re.search(rf"shared\.agreed.*{name}", coordinator.stderr()))
        return worker

    def submit(self, coordinator, server, *options, check=0):
        return self.gristmill("submit", self.input, "--in-place", "--endpoint", server.url, "--server",
                              coordinator.http, *options, check=check).stdout.strip()

    def wait(self, coordinator, job, check=0):
        return self.gristmill("watch", job, "--server", coordinator.http, check=check)

    def results(self, coordinator, job, name, check=0):
        output = self.directory / name
        done = self.gristmill("results", job, "-o", output, "--server", coordinator.http, check=check)
        return output if check == 0 else done.stderr

    def answer_files(self):
        return [path for path in self.shared.glob("gristmill-*/job-*/*") if path.stat().st_size]

    def bodies(self):
        return sum(path.stat().st_size for path in self.answer_files())

    def test_texts_stay_in_the_directory_and_results_are_the_same(self):
        count = 10_000
        write_batch(self.input, count, text)
        server = self.server("--answer-tokens", "100", "--hide-limits")
        outputs = []
        for shared in (True, False):
            label = "by-reference" if shared else "by-value"
            coordinator = self.start_coordinator(shared=shared, label=label, state=f"state-{label}")
            proxy = CountingProxy(coordinator.listen.rsplit(":", 1)[1])
            direct, coordinator.listen = coordinator.listen, f"tcp://127.0.0.1:{proxy.port}"
            self.start_worker(coordinator, f"w-{label}", shared=shared)
            before = proxy.bytes
            job = self.submit(coordinator, server)
            self.wait(coordinator, job)
            per_item = (proxy.bytes - before) / count
            print(f"{label}: {per_item:.0f} bytes an item between coordinator and worker")
            if shared:
                self.assertLess(per_item, 200)
                self.assertGreater(self.bodies(), 90 * count)
            else:
                self.assertGreater(per_item, 1_500)
            outputs.append(self.results(coordinator, job, f"{label}.jsonl"))
            self.check_result(outputs[-1], count, text)
            self.assertEqual(coordinator.end(), 0)
            if shared:
                state = self.directory / f"state-{label}"
                self.gristmill("journal", "verify", state)
                refused = self.start("gristmill-coordinator", "--state", state, "--listen",
                                     "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", label="without")
                self.assertEqual(refused.wait(), 2)
                self.assertIn("--shared", refused.stderr())
        self.assertEqual(*map(same_in_each_run, outputs))

    def test_a_worker_that_does_not_see_it_works_beside_one_that_does(self):
        write_batch(self.input, 2_000, text)
        server = self.server("--latency", "5ms")
        coordinator = self.start_coordinator()
        elsewhere = self.directory / "elsewhere"
        elsewhere.mkdir()
        self.start_worker(coordinator, "sees", "--concurrency", "8")
        self.start_worker(coordinator, "blind", "--concurrency", "8", shared=False)
        stranger = self.worker(coordinator, "stranger", "--concurrency", "8", "--shared", elsewhere)
        self.until("the stranger to say why", lambda: "shared.unproven" in stranger.stderr())
        gone = self.worker(coordinator, "gone", "--concurrency", "8", "--shared", self.directory / "nowhere")
        self.assertIn("shared.unusable", gone.stderr())
        job = self.submit(coordinator, server)
        self.wait(coordinator, job)
        self.check_result(self.results(coordinator, job, "out.jsonl"), 2_000, text)
        self.assertGreater(self.bodies(), 0)
        with urllib.request.urlopen(f"{coordinator.http}/api/v1/workers", timeout=10) as answer:
            workers = json.load(answer)["workers"]
        self.assertTrue(all(worker["completed"] > 0 for worker in workers), workers)

    def test_a_directory_that_leads_elsewhere_is_not_believed(self):
        coordinator = self.start_coordinator()
        mirror = self.directory / "mirror"
        mirror.mkdir()
        for ours in self.shared.glob("gristmill-*"):
            (mirror / ours.name).symlink_to(ours)
        worker = self.worker(coordinator, "strange", "--shared", mirror)
        self.until("it to say why", lambda: "shared.unproven" in worker.stderr())
        self.assertIn("leads out of its directory", worker.stderr())

    def test_what_is_damaged_is_said_and_never_taken(self):
        count = 300
        write_batch(self.input, count, text)
        server = self.server("--latency", "20ms")
        coordinator = self.start_coordinator()
        self.start_worker(coordinator, "w", "--concurrency", "4")
        job = self.submit(coordinator, server)
        self.until("some answers", lambda: self.job(coordinator, job)["counts"]["completed"] > 20)
        # The corpus changes under the job: each line is asked as it was, or as it is, but never as a
        # text that nobody has checked.
        with open(self.input, "r+b") as file:
            changed = file.read().replace(b"question", b"QUESTION")
            file.seek(0)
            file.write(changed)
        self.wait(coordinator, job)
        lines = self.results(coordinator, job, "out.jsonl").read_text().splitlines()
        self.assertEqual(len(lines), count)
        for n, line in enumerate(map(json.loads, lines)):
            content = line["response"]["body"]["choices"][0]["message"]["content"]
            either = [text(n), text(n).replace("question", "QUESTION")]
            self.assertIn(content.split()[1], [crc(one) for one in either], line)
        # A body that is not what its session wrote.
        answers = max(self.answer_files(), key=lambda path: path.stat().st_size)
        with open(answers, "r+b") as file:
            file.seek(answers.stat().st_size // 2)
            file.write(b"\x00")
        with self.assertRaises(urllib.error.HTTPError) as said:
            urllib.request.urlopen(f"{coordinator.http}/api/v1/jobs/{job}/lines", timeout=10).read()
        sentence = said.exception.read().decode()
        self.assertIn(answers.name, sentence)
        self.assertRegex(sentence, r"at byte \d+")

    def test_an_answer_that_is_not_kept_is_told_by_value(self):
        """The third sync of the worker's file fails, and all after it."""
        write_batch(self.input, 300, text)
        server = self.server("--latency", "5ms", "--answer-tokens", "100")
        coordinator = self.start_coordinator()
        ours, = self.shared.glob("gristmill-*")
        answers = ours / "job-1" / "1-1.answers"  # of the first session
        worker = self.start_command(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(answers), "-e", "trace=fsync", "-e",
             "inject=fsync:error=EIO:when=3+", binary("gristmill-worker"), "--coordinator", coordinator.listen,
             "--name", "w", "--concurrency", "8", "--shared", str(self.shared)], "w")
        worker.ready()
        self.until("the two to agree", lambda: "shared.agreed" in coordinator.stderr())
        job = self.submit(coordinator, server)
        self.wait(coordinator, job)
        self.check_result(self.results(coordinator, job, "out.jsonl"), 300, text)
        self.assertEqual(worker.stderr().count("shared.given_up"), 1, worker.stderr())
        self.assertIn("fsync", worker.stderr())
        self.assertTrue(answers.exists())
        # What was durable before that is named, and no more of the file than that.
        named = [json.loads(line)["by_reference"] for line in
                 (self.directory / "state/jobs/1/results-000001.jsonl").read_text().splitlines()
                 if line.startswith('{"by_reference"')]
        self.assertGreater(len(named), 0)
        self.assertLess(sum(place[2] for place in named), answers.stat().st_size)

    def test_a_job_with_dedupe_goes_by_value_and_explain_says_so(self):
        write_batch(self.input, 200, text)
        server = self.server("--latency", "50ms")
        coordinator = self.start_coordinator()
        self.start_worker(coordinator, "w", "--concurrency", "4")
        job = self.submit(coordinator, server, "--dedupe")
        self.assertIn("by value in spite of --shared", self.explain(coordinator, job))
        self.assertIn("--dedupe", self.explain(coordinator, job))
        plain = self.submit(coordinator, server)
        self.assertIn("by reference", self.explain(coordinator, plain))
        self.wait(coordinator, job)
        self.assertEqual([path for path in self.answer_files() if job in str(path)], [])
        self.wait(coordinator, plain)
        self.gristmill("forget", plain, "--server", coordinator.http)
        self.until("its files to be gone", lambda: not self.answer_files())

    def explain(self, coordinator, job):
        return self.gristmill("explain", job, "--server", coordinator.http).stdout

    def test_either_side_dies_and_nothing_is_lost(self):
        count = 3_000
        write_batch(self.input, count, text)
        server = self.server("--latency", "10ms", "--answer-tokens", "60")
        coordinator = self.start_coordinator()
        listen, http = coordinator.listen, coordinator.http.removeprefix("http://")
        killed = self.start_worker(coordinator, "killed", "--concurrency", "16")
        self.start_worker(coordinator, "stays", "--concurrency", "16")
        job = self.submit(coordinator, server)
        done = lambda n: self.until(f"{n} answers",
                                    lambda: self.job(coordinator, job)["counts"]["completed"] >= n)
        done(500)
        killed.kill()
        done(1_000)
        coordinator.kill()
        # What nobody has named does not exist.
        directory = next(self.shared.glob("gristmill-*/job-*"))
        (directory / "1-99.answers").write_text("of a session that recorded nothing")
        coordinator = self.start_coordinator(listen=listen, http=http, label="again")
        self.assertFalse((directory / "1-99.answers").exists())
        self.until("the worker to be back", lambda: "shared.agreed" in coordinator.stderr())
        self.wait(coordinator, job)
        self.check_result(self.results(coordinator, job, "out.jsonl"), count, text)
        counts = self.job(coordinator, job)["counts"]
        self.assertEqual((counts["completed"], counts["failed"]), (count, 0))
        calls = self.stats(server)["calls"]
        self.assertLessEqual(calls, count + counts["ambiguous"] + 64)
        self.assertEqual(coordinator.end(), 0)
        self.gristmill("journal", "verify", self.directory / "state")


if __name__ == "__main__":
    unittest.main()
