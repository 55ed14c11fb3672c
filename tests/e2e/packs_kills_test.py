"""Processes that die while many texts are in flight together: each is embedded once, but for those whose
answer was not durable.
"""
import json
import random
import unittest

from packs import Packs

COUNT, PACK, SLOTS = 20_000, 32, 4


class Kills(Packs):
    def check_repeats(self, server, unrecorded, kills):
        """`unrecorded`: texts at the server whose results no journal had at the kills, summed."""
        asked = self.asked(server)
        self.assertEqual(len(asked), COUNT)
        again = sum(asked.values()) - COUNT
        print(f"\n{again} texts embedded again, {unrecorded} were not recorded at {kills} kills; "
              f"{len(self.calls(server))} calls")
        self.assertLessEqual(again, unrecorded)
        # In flight, or answered and not durable.
        self.assertLessEqual(again, kills * 4 * SLOTS * PACK)
        self.check_one_call_per_attempt(self.calls(server))
        self.assertLessEqual(max(self.sizes(server)), PACK)
        self.assertLessEqual(len(self.calls(server)) * 10, sum(asked.values()))

    def test_a_run_that_is_killed_ten_times(self):
        server = self.server("--latency", "uniform:10ms:50ms", "--log-bodies")
        self.documents(COUNT)
        arguments = self.embed_command("--endpoint", server.url, "--pack", PACK, "--concurrency", SLOTS)
        kills, unrecorded = 10, 0
        for kill in range(kills):
            process = self.start("gristmill", *arguments, label=f"run-{kill}")
            self.until_calls(server, (kill + 1) * 55 + random.Random(kill).randrange(30))
            process.kill()
            # In this order: a call that was on its way to the server may be counted, none is missed.
            recorded = self.recorded(self.directory / "out.jsonl.state")
            unrecorded += len(self.asked(server)) - recorded
        self.gristmill(*arguments)
        self.check_vectors(COUNT)
        self.check_repeats(server, unrecorded, kills)
        self.assertEqual(self.summary(self.output)["counts"]["completed"], COUNT)

    def test_a_run_that_is_interrupted_embeds_nothing_twice(self):
        server = self.server("--latency", "20ms", "--log-bodies")
        self.documents(COUNT)
        arguments = self.embed_command("--endpoint", server.url, "--pack", PACK, "--concurrency", SLOTS)
        process = self.start("gristmill", *arguments, label="run")
        self.until_calls(server, 100)
        self.assertEqual(process.end(), 143, process.stderr())
        self.gristmill(*arguments)
        self.check_vectors(COUNT)
        self.assertEqual(set(self.asked(server).values()), {1})

    def submit(self, server, workers=2):
        self.documents(COUNT)
        self.hub = self.coordinator()
        self.workers = [self.worker(self.hub, f"w{n}", "--concurrency", SLOTS) for n in range(workers)]
        done = self.gristmill("submit", self.source, "--task", "embed", "-m", "sim-small", "--endpoint",
                              server.url, "--pack", PACK, "--server", self.hub.http)
        return done.stdout.strip()

    def finish(self, job):
        self.until("the job to finish", lambda: self.job(self.hub, job)["state"] == "finished")
        self.gristmill("results", job, "-o", self.output, "--server", self.hub.http)
        self.check_vectors(COUNT)

    def test_a_worker_dies_among_two(self):
        server = self.server("--latency", "uniform:10ms:50ms", "--log-bodies")
        job = self.submit(server)
        self.until_calls(server, 200)
        # Killed before anything stands still: a worker that nobody tells what to call has soon nothing in flight.
        self.workers[0].kill()
        with self.hub.frozen():
            recorded = self.recorded(self.directory / "state")
            unrecorded = len(self.asked(server)) - recorded
        self.finish(job)
        self.check_repeats(server, unrecorded, 1)
        self.assertGreater(sum(self.asked(server).values()), COUNT, "the dead worker had no call in flight")

    def test_a_coordinator_dies_and_its_workers_keep_what_they_have(self):
        server = self.server("--latency", "uniform:10ms:50ms", "--log-bodies")
        job = self.submit(server)
        self.until_calls(server, 200)
        self.hub.kill()
        self.hub = self.coordinator(label="again", listen=self.hub.listen,
                                    http=self.hub.http.removeprefix("http://"))
        self.finish(job)
        self.assertEqual(set(self.asked(server).values()), {1})

    def test_a_drained_worker_leaves_nothing_to_be_done_again(self):
        server = self.server("--latency", "20ms", "--log-bodies")
        job = self.submit(server)
        self.until_calls(server, 100)
        self.assertEqual(self.workers[0].end(), 0, self.workers[0].stderr())
        self.finish(job)
        self.assertEqual(set(self.asked(server).values()), {1})


if __name__ == "__main__":
    unittest.main(verbosity=2)
