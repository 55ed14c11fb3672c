"""Inputs that are read in place and change while the coordinator is away: the job fails with a
sentence, nothing from outside of the data root is sent to anybody, and with the old file it goes on.
"""
import json
import os
import unittest
import urllib.error
import urllib.request

from harness import EndToEnd

ITEMS = 60


class ChangedInput(EndToEnd):
    def setUp(self):
        super().setUp()
        self.data = self.directory / "data"
        (self.data / "sub").mkdir(parents=True)
        outside = self.directory / "outside"
        outside.mkdir()
        (outside / "b.jsonl").write_text('{"id":"stolen","text":"the-secret"}\n' * ITEMS)
        self.simllm = self.server("--latency", "100ms", "--log-bodies")

    def write(self, name):
        path = self.data / name
        path.write_text("".join(f'{{"id":"{name}-{n}","text":"text {n} of {name}"}}\n' for n in range(ITEMS)))
        return path

    def serve(self, label, **where):
        self.hub = self.coordinator("--data-root", self.data, label=label, **where)

    def post(self, path, body=None):
        request = urllib.request.Request(f"{self.hub.http}/api/v1/{path}",
                                         None if body is None else json.dumps(body).encode(),
                                         {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def resumed(self):
        try:
            return self.post("jobs/job-1/resume")
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            return None

    def over_a_change(self, change):
        """A job over two inputs, killed in the first of them; `change` while nobody looks."""
        self.write("a.jsonl")
        self.write("sub/b.jsonl")
        self.serve("first")
        self.worker(self.hub, "w", "--endpoint", self.simllm.url, "--model", "m", "--concurrency", "4")
        inputs = [{"path": name, "name": name} for name in ("a.jsonl", "sub/b.jsonl")]
        self.post("jobs", {"spec": {"inputs": inputs, "model": "m", "prompt": "{{text}}"}})
        self.until_calls(self.simllm, ITEMS // 3)
        self.hub.kill()
        undo = change()
        self.serve("again", listen=self.hub.listen, http=self.hub.http.removeprefix("http://"))
        self.until("the job fails", lambda: self.job(self.hub, "job-1")["state"] == "failed")
        job = self.job(self.hub, "job-1")
        self.assertEqual(job["reason"], "input", job)
        undo()
        self.until("the job is closed and can be resumed", self.resumed)
        self.gristmill("watch", "job-1", "--server", self.hub.http)
        output = self.directory / "out.jsonl"
        self.gristmill("results", "job-1", "-o", output, "--server", self.hub.http)
        results = [json.loads(line)["custom_id"] for line in output.read_text().splitlines()]
        self.assertEqual(results, [f"{name}-{n}" for name in ("a.jsonl", "sub/b.jsonl") for n in range(ITEMS)])
        self.assertNotIn("the-secret", json.dumps(self.calls(self.simllm)))
        return job["detail"]

    def replace(self, path, put):
        kept = path.with_name(path.name + ".kept")
        os.rename(path, kept)
        put(path)

        def undo():
            path.unlink()
            os.rename(kept, path)
        return undo

    def test_a_line_put_in_front_fails_the_job(self):
        def change():
            path = self.data / "a.jsonl"
            text = path.read_text()
            return self.replace(path, lambda p: p.write_text('{"id":"new","text":"x"}\n' + text))
        self.assertIn("that the job began with", self.over_a_change(change))

    def test_a_link_that_took_the_place_of_an_input_is_not_followed_out(self):
        detail = self.over_a_change(lambda: self.replace(
            self.data / "sub/b.jsonl", lambda path: path.symlink_to(self.directory / "outside/b.jsonl")))
        self.assertIn("leads out of what jobs may read", detail)

    def test_a_link_that_took_the_place_of_a_directory_is_not_followed_out(self):
        detail = self.over_a_change(lambda: self.replace(
            self.data / "sub", lambda path: path.symlink_to("../outside")))
        self.assertIn("leads out of what jobs may read", detail)


class Coordinator(EndToEnd):
    def test_a_data_root_that_holds_keys_or_state_is_refused_at_the_start(self):
        data = self.directory / "data"
        data.mkdir()
        self.gristmill("keygen", data / "keys", "--address", "tcp://127.0.0.1:7411")
        (self.directory / "link").symlink_to(data / "keys")
        for option, path in (("--keys", data / "keys"), ("--keys", self.directory / "link"),
                             ("--token-file", data / "keys/client.token"), ("--state", data / "state")):
            with self.subTest(option=option, path=path):
                arguments = {"--state": self.directory / "state", option: path}
                process = self.start("gristmill-coordinator", "--listen", "tcp://127.0.0.1:0", "--http",
                                     "127.0.0.1:0", "--data-root", data,
                                     *(word for pair in arguments.items() for word in pair),
                                     label=f"coordinator{option}-{path.name}")
                self.assertEqual(process.wait(), 2)
                self.assertIn(f"apart from {option} {path}", process.stderr())

    def test_a_coordinator_whose_journal_is_taken_away_ends_and_says_so(self):
        hub = self.coordinator()
        os.rename(self.directory / "state/journal.db", self.directory / "moved.db")
        write = self.directory / "in.jsonl"
        write.write_text('{"id":"1","text":"x"}\n')
        self.start("gristmill", "submit", write, "-m", "m", "--endpoint", "http://127.0.0.1:9/v1", "--server",
                   hub.http, label="submit")
        self.assertEqual(hub.popen.wait(60), 70)
        self.assertIn("deleted while this process ran", hub.stderr())


if __name__ == "__main__":
    unittest.main()
