"""Several endpoints of one pool: used as fast as each is, also while one is dark, and retries go to
those at which an item has not failed.
"""
import json
import time
import unittest

from harness import EndToEnd, write_batch

DARK_S = 10
LEAST_OF_SUM = 0.95
TOGETHER_S = 30  # the servers' capacities make the job as long as that


class Endpoints(EndToEnd):
    def pool(self, servers, lines=""):
        path = self.directory / "gristmill.toml"
        path.write_text(f'[[pool]]\nmodel = "small"\n{lines}' + "".join(
            f'[[pool.endpoint]]\nurl = "{server.url}"\n' for server in servers))
        return path

    def run_job(self, servers, count, concurrency, label="run"):
        source = self.directory / f"{label}.jsonl"
        self.output = self.directory / f"{label}.results.jsonl"
        write_batch(source, count, model="small")
        return self.start("gristmill", "run", source, "--config", self.pool(servers), "-o",
                          self.output, "--workers", 2, "--concurrency", concurrency, label=label)

    def logged(self, path):
        return [json.loads(line) for line in path.read_text().splitlines()]

    def all_calls(self, servers):
        """What every server that ever was has logged; the living ones flush by being asked."""
        for server in servers:
            if server.popen.poll() is None:
                self.stats(server)
        return {server.name: self.logged(server.log) for server in servers}

    def show(self, logs, begin):
        for name, calls in logs.items():
            seconds = [int((call["t_ns"] - begin) / 1e9) for call in calls]
            print(name, " ".join(str(seconds.count(n)) for n in range(max(seconds) + 1)))

    def compare(self, shapes, dark, darken):
        """A job over servers of (slots, latency in ms), the one of that number dark for a while. A
        stall of the machine is nobody's fault, so it may be measured twice."""
        shares = [self.share_of_sum(shapes, dark, darken, 1)]
        if shares[0] < LEAST_OF_SUM:
            shares.append(self.share_of_sum(shapes, dark, darken, 2))
        self.assertGreaterEqual(max(shares), LEAST_OF_SUM)

    def share_of_sum(self, shapes, dark, darken, number):
        """How much of the sum of the servers' capacities was used, by their own logs."""
        servers = [self.server("--slots", slots, "--latency", f"{ms}ms", label=f"server-{number}-{n}")
                   for n, (slots, ms) in enumerate(shapes)]
        capacity = [1000 * slots / ms for slots, ms in shapes]
        count = int(sum(capacity) * TOGETHER_S - capacity[dark] * DARK_S)
        run = self.run_job(servers, count, 512, f"run-{number}")
        self.until("some calls", lambda: sum(self.stats(s)["calls"] for s in servers) >= count / 4)
        servers += darken(servers[dark], shapes[dark])
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.output, count)
        self.assertEqual(self.summary(self.output)["counts"]["failed"], 0)
        logs = self.all_calls(servers)
        begin = min(call["t_ns"] for calls in logs.values() for call in calls)
        end = max(call["t_ns"] + 1000 * call["latency_us"] for calls in logs.values() for call in calls)
        self.show(logs, begin)
        share = TOGETHER_S / ((end - begin) / 1e9)
        print(f"{count} items in {(end - begin) / 1e9:.1f} s, {share:.3f} of the sum")
        return share

    def kill_for_a_while(self, server, shape):
        self.stats(server)  # its log is on disk
        server.kill()
        time.sleep(DARK_S)  # the outage itself
        slots, ms = shape
        label = f"{server.name}-again"
        back = self.start("gristmill-simllm", "--listen", server.url.split("/")[2], "--log",
                          self.directory / f"{label}.log", "--slots", slots, "--latency", f"{ms}ms",
                          label=label)
        back.url, back.log = back.ready()["url"], self.directory / f"{label}.log"
        return [back]

    def freeze_for_a_while(self, server, _):
        with server.frozen():
            time.sleep(DARK_S)
        return []

    def test_the_fastest_of_three_dies_and_comes_back(self):
        self.compare([(20, 200), (20, 100), (20, 50)], 2, self.kill_for_a_while)

    def test_the_largest_of_three_stands_still(self):
        self.compare([(10, 100), (20, 100), (40, 100)], 2, self.freeze_for_a_while)

    def test_few_calls_go_where_answers_come_soonest(self):
        servers = [self.server("--latency", f"{ms}ms", label=f"server-{ms}ms") for ms in (200, 100, 50)]
        run = self.run_job(servers, 1500, 8)
        self.assertEqual(run.wait(), 0, run.stderr())
        calls = [len(calls) for calls in self.all_calls(servers).values()]
        print("answered in 200, 100, 50 ms:", calls)
        # Of equal numbers in flight they would have answered as 1:2:4.
        self.assertGreater(calls[2], 1500 * 0.65)

    def test_an_item_is_tried_again_where_it_has_not_failed(self):
        bad, good = self.server("--fault", "status:code=500,rate=0.4", label="bad"), self.server(label="good")
        run = self.run_job([bad, good], 300, 8)
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.output, 300)
        again = [about for about in (json.loads(line)["gristmill"] for line in
                                     self.output.read_text().splitlines()) if about["attempts"] > 1]
        self.assertGreater(len(again), 20)
        self.assertEqual({(about["attempts"], about["endpoint"]) for about in again}, {(2, good.url)})

    GROUPS, PER_GROUP, ABOUT = 12, 60, 4_000

    def run_groups(self, name, lines=""):
        """Items that share long beginnings, group by group shuffled; servers that remember four
        beginnings each. Returns the servers' logs, the groups of their calls, and the seconds."""
        servers = [self.server("--slots", 8, "--latency", "300ms", "--prefix-cache",
                               f"4:{self.ABOUT}:6", "--log-bodies", label=f"{name}-{n}")
                   for n in range(3)]
        count = self.GROUPS * self.PER_GROUP
        source, self.output = self.directory / f"{name}.jsonl", self.directory / f"{name}.out.jsonl"
        with open(source, "w", encoding="utf-8") as file:
            for n in range(count):
                about = f"group {n % self.GROUPS} " + "about " * self.ABOUT
                body = {"model": "small", "messages": [
                    {"role": "system", "content": about[:self.ABOUT]},
                    {"role": "user", "content": f"question {n}"}]}
                file.write(json.dumps({"custom_id": f"item-{n}", "method": "POST",
                                       "url": "/v1/chat/completions", "body": body}) + "\n")
        self.gristmill("run", source, "--config", self.pool(servers, lines), "-o", self.output,
                       "--concurrency", 24)
        self.check_result(self.output, count)
        logs = self.all_calls(servers)
        times = [call["t_ns"] for calls in logs.values() for call in calls]
        groups = {name: [json.loads(call["body"])["messages"][0]["content"].split()[1]
                         for call in calls] for name, calls in logs.items()}
        return logs, groups, (max(times) - min(times)) / 1e9

    def test_items_that_begin_alike_go_to_one_endpoint(self):
        logs, groups, seconds = self.run_groups("together")
        most = sum(max(there.count(str(group)) for there in groups.values())
                   for group in range(self.GROUPS))
        cached = sum(call.get("cached_tokens", 0) for calls in logs.values() for call in calls)
        self.assertEqual(self.summary(self.output)["tokens"]["cached"], cached)
        other_logs, _, other_seconds = self.run_groups("apart", "prefix_affinity = false\n")
        hits, other_hits = (sum("cached_tokens" in call for calls in some.values() for call in calls)
                            for some in (logs, other_logs))
        print(f"{most} of {self.GROUPS * self.PER_GROUP} calls where most of their group went; "
              f"{hits} hits in {seconds:.1f} s, apart {other_hits} in {other_seconds:.1f} s")
        self.assertGreater(most, 0.9 * self.GROUPS * self.PER_GROUP)
        self.assertGreater(hits, other_hits)
        self.assertLess(seconds, 0.9 * other_seconds)


if __name__ == "__main__":
    unittest.main(verbosity=2)
