"""Jobs that share a pool: by weight, by priority, and to be done by a deadline, as the server saw it."""
import json
import unittest

from harness import EndToEnd, write_batch


class Share(EndToEnd):
    def begin(self, per_minute, workers=2):
        """A pool of the model "m" with a budget of requests, and workers that could do far more."""
        self.simllm = self.server("--log-bodies", "--latency", "5ms")
        config = self.directory / "gristmill.toml"
        config.write_text(f'[[pool]]\nmodel = "m"\n[[pool.endpoint]]\nurl = "{self.simllm.url}"\n'
                          f'requests_per_minute = {per_minute}\n')
        self.node = self.coordinator("--config", config)
        for n in range(workers):
            self.worker(self.node, f"w{n}")

    def submit(self, name, count, *arguments):
        source = self.directory / f"{name}.jsonl"
        write_batch(source, count, lambda n: f"{name} {n}", model="m")
        return self.gristmill("submit", source, "--server", self.node.http, *arguments).stdout.strip()

    def until_finished(self, *jobs):
        for job in jobs:
            self.until(f"{job} to finish",
                       lambda: self.job(self.node, job)["state"] == "finished")

    def until_alone(self, job, name):
        """The job that is left gets the whole rate again; its end need not be waited for."""
        calls = len(self.names())
        self.until(f"{name} to have the endpoint", lambda: len(self.names()) >= calls + 100)
        self.assertEqual(set(self.names()[calls:]), {name})
        self.gristmill("cancel", job, "--server", self.node.http)

    def names(self):
        """Of each call's job, in the order in which they came."""
        bodies = [call["body"] for call in self.calls(self.simllm)]
        return [(body if isinstance(body, dict) else json.loads(body))["messages"][0]["content"].split()[0]
                for body in bodies]

    def while_running(self, name):
        """The calls from the first to the last of that job's."""
        names = self.names()
        first, last = names.index(name), len(names) - names[::-1].index(name)
        return names[first:last]

    def used_while_running(self, name, per_minute):
        """Of the rate, from the first to the last of that job's calls."""
        calls, names = self.calls(self.simllm), self.names()
        first, last = names.index(name), len(names) - 1 - names[::-1].index(name)
        seconds = (calls[last]["t_ns"] - calls[first]["t_ns"]) / 1e9
        return (last - first) / seconds / (per_minute / 60)

    def test_calls_follow_the_weights_while_both_have_work(self):
        self.begin(3_000)
        light = self.submit("light", 1_000)
        self.until_calls(self.simllm, 50)
        heavy = self.submit("heavy", 600, "--weight", "3")
        self.until_finished(heavy)
        both = self.while_running("heavy")
        ratio = both.count("heavy") / both.count("light")
        self.assertAlmostEqual(ratio, 3, delta=0.3)
        self.assertGreaterEqual(self.used_while_running("heavy", 3_000), 0.95)
        shown = self.job(self.node, heavy)
        self.assertEqual((shown["weight"], shown["priority"], shown["deadline"]), (3, 50, 0))
        self.assertIn("priority 50, weight 3",
                      self.gristmill("status", heavy, "--server", self.node.http).stdout)
        self.until_alone(light, "light")

    def test_a_higher_priority_overtakes(self):
        self.begin(3_000)
        low = self.submit("low", 800, "--weight", "1000")
        self.until_calls(self.simllm, 50)
        high = self.submit("high", 300, "--priority", "51")
        self.until_finished(high)
        self.assertEqual(self.job(self.node, low)["state"], "running")
        # A few were ahead of it, and its own last ones leave workers idle.
        self.assertLess(self.while_running("high").count("low"), 60)
        self.until_alone(low, "low")

    def test_a_job_that_must_wait_keeps_nobody_from_work(self):
        self.begin(60_000, workers=1)
        slow = self.submit("slow", 2_000, "--rpm", "60", "--priority", "90")
        self.until_calls(self.simllm, 1)
        quick = self.submit("quick", 1_000)
        self.until_finished(quick)
        self.assertLess(self.while_running("quick").count("slow"), 100)
        self.assertEqual(self.job(self.node, slow)["state"], "running")

    def test_a_job_is_in_time_that_would_be_late_by_its_share(self):
        for arguments in ((), ("--deadline", "12s")):
            with self.subTest(arguments):
                self.begin_again(1_200)
                other = self.submit("other", 2_000)
                self.until_calls(self.simllm, 20)
                job = self.submit("due", 150, *arguments)
                self.until_finished(job)
                shown = self.job(self.node, job)
                took = shown["ended_at"] - shown["created_at"]
                if arguments:
                    self.assertLessEqual(shown["ended_at"], shown["deadline"])
                else:
                    self.assertGreater(took, 12)
                self.assertEqual(self.job(self.node, other)["state"], "running")
                self.gristmill("cancel", other, "--server", self.node.http)

    def begin_again(self, per_minute):
        for process in self.processes:
            process.end()
            process.popen.stdout.close()
        self.processes.clear()
        for path in ("state",):
            if (self.directory / path).exists():
                (self.directory / path).rename(self.directory / f"{path}.before")
        self.begin(per_minute)

    def test_what_cannot_be_is_refused(self):
        self.begin(60_000)
        for option, value in (("--weight", "0"), ("--weight", "1001"), ("--priority", "101"),
                              ("--deadline", "soon"), ("--deadline", "2001-01-01T00:00Z")):
            with self.subTest(option=option, value=value):
                source = self.directory / "in.jsonl"
                write_batch(source, 1, model="m")
                refused = self.gristmill("submit", source, option, value, "--server", self.node.http,
                                         check=2)
                self.assertIn(option, refused.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
