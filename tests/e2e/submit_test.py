"""Jobs over many files and with early errors, submitted to a cluster: what is uploaded, what is read
in place, what is refused before a call, and which keys an endpoint gets.
"""
import gzip
import json
import os
import subprocess
import time
import unittest

from harness import EndToEnd, binary, crc

FILES = 1_300  # more than a specification holds


class Submit(EndToEnd):
    def setUp(self):
        super().setUp()
        self.simllm = self.server()
        self.data = self.directory / "data"
        self.output = self.directory / "out.jsonl"
        self.inputs = self.directory / "state/inputs"

    def serve(self, *worker_options):
        self.hub = self.coordinator("--data-root", self.data)
        self.worker(self.hub, "w", "--endpoint", self.simllm.url, "--model", "m", *worker_options)

    def put(self, name, data):
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def put_documents(self, count):
        for n in range(count):
            self.put(f"docs/{n % 7}/{n:05}.txt", f"text {n}".encode())

    def submit(self, *arguments, check=0, cwd=None):
        self.output.unlink(missing_ok=True)
        command = ["submit", *arguments, "-m", "m", "--server", self.hub.http, "--wait", "-o", self.output]
        done = subprocess.run([binary("gristmill"), *map(str, command)], capture_output=True, text=True,
                              cwd=cwd or self.directory, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, check, done.stdout + done.stderr)
        return done

    def check_documents(self, names):
        results = [json.loads(line) for line in self.output.read_text().splitlines()]
        self.assertEqual([r["custom_id"] for r in results], names)
        for result in results:
            n = int(os.path.basename(result["custom_id"]).removesuffix(".txt"))
            content = result["response"]["body"]["choices"][0]["message"]["content"]
            self.assertTrue(content.startswith("sim " + crc(f"text {n}")), result)

    def uploads(self):
        return sorted(path.name for path in self.inputs.iterdir())

    # ---- many files ------------------------------------------------------------------------------

    def test_a_directory_of_many_documents_is_uploaded_or_read_in_place(self):
        self.put_documents(FILES)
        self.data.mkdir(exist_ok=True)
        self.serve()
        names = sorted(str(path.relative_to(self.data)) for path in self.data.glob("docs/*/*.txt"))
        for arguments in (["docs"], ["docs/*/*.txt"], ["docs", "--in-place"], ["docs/[0-9]", "--in-place"]):
            with self.subTest(arguments=arguments):
                self.submit(*arguments, cwd=self.data)
                self.check_documents(names)
                self.assertEqual(len(self.uploads()), 1, "list and content of the job, and nothing else")
                job = json.loads(self.gristmill("jobs", "--json", "--server", self.hub.http).stdout)
                self.gristmill("forget", job["jobs"][-1]["id"], "--server", self.hub.http)
                self.assertEqual(self.uploads(), [])
        self.assertEqual(len(self.calls(self.simllm)), 4 * FILES)

    def test_what_is_appended_in_place_is_not_uploaded(self):
        self.put_documents(20)
        self.serve()
        server = ["--server", self.hub.http]
        job = self.gristmill("submit", "--open", "-m", "m", *server).stdout.strip()
        self.gristmill("append", job, "docs", "--in-place", *server)
        self.assertIn("data-root", self.gristmill("append", job, "/etc/*", "--in-place", *server, check=2).stderr)
        self.assertEqual(self.uploads(), [])
        self.gristmill("close", job, *server)
        self.gristmill("watch", job, *server)
        self.gristmill("results", job, "-o", self.output, *server)
        names = sorted(str(path.relative_to(self.data)) for path in self.data.glob("docs/*/*.txt"))
        self.check_documents([f"append-1/{name}" for name in names])

    def test_packed_files_tables_and_standard_input_go_together(self):
        self.data.mkdir()
        self.serve()
        self.put("a/one.jsonl.gz", gzip.compress(b'{"id":"1","text":"text 1"}\n'))
        self.put("a/two.csv", b"id,text\n2,text 2\n")
        self.put("a/empty.txt", b"")
        for n in range(3, 12):
            self.put(f"b/{n:02}.txt", f"text {n}".encode())
        self.output.unlink(missing_ok=True)
        done = subprocess.run([binary("gristmill"), "submit", "a/one.jsonl.gz", "-", "a/two.csv", "b", "-m",
                               "m", "--server", self.hub.http, "--wait", "-o", self.output, "--strict"],
                              input=b'{"id":"7","text":"text 7"}\n', capture_output=True, cwd=self.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_documents(["1", "7", "2"] + [f"b/{n:02}.txt" for n in range(3, 12)])

    def test_a_job_over_a_list_survives_the_coordinator(self):
        self.put_documents(FILES)
        self.serve()
        self.control(self.simllm, latency="50ms")
        job = self.gristmill("submit", self.data / "docs", "-m", "m", "--server", self.hub.http).stdout.strip()
        self.until_calls(self.simllm, 100)
        self.hub.kill()
        self.hub = self.coordinator("--data-root", self.data, label="again", listen=self.hub.listen,
                                    http=self.hub.http.removeprefix("http://"))
        self.gristmill("watch", job, "--server", self.hub.http)
        self.gristmill("results", job, "-o", self.output, "--server", self.hub.http)
        self.check_documents(sorted(str(path) for path in self.data.glob("docs/*/*.txt")))
        self.assertEqual(len(self.calls(self.simllm)), FILES)

    def test_what_cannot_be_uploaded_leaves_nothing(self):
        self.put_documents(20)
        self.serve()
        refused = self.gristmill("submit", self.data / "docs", "-m", "nobody-serves-it", "--server",
                                 self.hub.http, check=2)
        self.assertIn("nobody-serves-it", refused.stderr)
        self.assertEqual(self.uploads(), [])
        self.assertIn("expected", self.submit("-", "--in-place", check=2).stderr)
        self.assertIn("data-root", self.submit("/etc/*", "--in-place", check=2).stderr)
        self.assertEqual(self.calls(self.simllm), [])

    def test_an_upload_that_no_job_has_goes_at_the_first_start_after_a_day(self):
        self.put_documents(3)
        self.serve()
        self.submit("data/docs/*/*.txt")
        used = set(self.uploads())
        old, young = self.inputs / "input-old", self.inputs / "input-young"
        for upload in (old, young):
            upload.mkdir()
            (upload / "in.jsonl").write_text("{}\n")
        long_ago = time.time() - 25 * 3_600
        for name in used | {old.name}:
            os.utime(self.inputs / name, (long_ago, long_ago))
        self.hub.end()
        self.hub = self.coordinator("--data-root", self.data, label="again")
        self.until("the old upload to go", lambda: not old.exists())
        self.assertEqual(set(self.uploads()), used | {young.name})

    # ---- errors before the first call ------------------------------------------------------------

    def test_a_strict_job_with_a_bad_line_makes_no_call(self):
        good = b'{"id":"%d","text":"x"}\n'
        bad = self.put("in.jsonl", b"".join(good % n for n in range(5_000)) + b"nonsense\n")
        self.serve()
        refused = self.submit(bad, "--strict", check=5)
        self.assertIn("in.jsonl:5001: expected a JSON object", refused.stderr)
        self.assertEqual(self.uploads(), [], "it is said before anything is uploaded")
        refused = self.submit("in.jsonl", "--strict", "--in-place", check=5)
        self.assertIn("in.jsonl:5001: expected a JSON object", refused.stderr)
        self.assertEqual(self.calls(self.simllm), [])

    def test_a_line_without_a_field_of_the_template_costs_no_call(self):
        self.put("in.jsonl", b'{"id":"a","title":"t"}\n{"id":"b","titel":"t"}\n{"id":"c"}\n')
        self.serve()
        wanted = 'in.jsonl:2: expected the field "title", which the template names, got the fields "id", "titel"'
        self.submit("in.jsonl", "--in-place", "-p", "Sum up {{title}}", "--max-failures", "off", check=3)
        results = [json.loads(line) for line in self.output.read_text().splitlines()]
        self.assertEqual([r["custom_id"] for r in results], ["a", "b", "c"])
        self.assertEqual(results[1]["error"]["message"], wanted)
        self.assertEqual(results[1]["gristmill"]["class"], "bad_line")
        self.assertEqual([r["gristmill"]["attempts"] for r in results], [1, 0, 0])
        self.assertEqual(len(self.calls(self.simllm)), 1)
        dry = self.gristmill("run", self.data / "in.jsonl", "--dry-run", "-m", "m", "-p", "Sum up {{title}}",
                             "--endpoint", self.simllm.url)
        self.assertIn(wanted, dry.stdout)
        strict = self.submit(self.data / "in.jsonl", "--strict", "-p", "Sum up {{title}}", check=5)
        self.assertIn(wanted, strict.stderr)

    # ---- keys ------------------------------------------------------------------------------------

    def test_a_job_gets_no_key_that_the_worker_was_not_told_to_give(self):
        self.data.mkdir()
        self.put("a.txt", b"text 1")
        thief = self.server("--api-key", "the-key", label="thief")
        self.hub = self.coordinator("--data-root", self.data)
        environment = {"SECRET_KEY": "the-key"}

        def worker(name, *options):
            process = self.start("gristmill-worker", "--coordinator", self.hub.listen, "--name", name,
                                 *options, label=name, env=environment)
            process.ready()
            return process

        safe = worker("safe", "--allow-key", "SECRET_KEY=http://127.0.0.1:1/v1")
        own = ["a.txt", "--in-place", "--endpoint", thief.url, "--api-key-env", "SECRET_KEY"]
        in_file = [*own[:4], "--api-key-file", self.put("key", b"the-key")]
        for key, told in ((own, f"--allow-key SECRET_KEY={thief.url}"), (in_file, "--allow-key")):
            job = self.gristmill("submit", "--in-place", self.data / "a.txt", *key[2:], "-m", "m",
                                 "--server", self.hub.http).stdout.strip()
            self.until("it says which word is missing", lambda: told in
                       self.gristmill("status", job, "--server", self.hub.http, "--json").stdout)
            self.gristmill("cancel", job, "--server", self.hub.http)
        self.assertEqual(self.calls(thief), [])
        safe.end()
        worker("open", "--allow-key", f"SECRET_KEY={thief.url}")
        self.submit(*own)
        self.assertEqual(len(self.calls(thief)), 1)
        self.assertEqual(self.start("gristmill-worker", "--allow-key", "SECRET_KEY", label="wrong").wait(), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
