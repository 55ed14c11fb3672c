"""The call log, the statistics, and changes to a running server."""

import json
import os
import re
import subprocess
import tempfile
import time
import unittest

import reference as ref
from reference import answer, chat_body, read_log, request_bytes, server, until


class Records(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.log = os.path.join(self.folder, "log")

    def test_the_log_has_a_full_line_for_every_call_and_grows_by_itself(self):
        faults = ["--fault", "reset:match=R", "--fault", "status:code=503,match=S"]
        with server(*faults, log=self.log) as sim:
            before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            with sim.connect() as client:
                client.call("t", headers={"X-Request-Id": "id-\u00e9\"1"})
                client.call("S", path="/p/v1/chat/completions?q=1")
                client.request("POST", "/v1/embeddings", b"{")
                self.assertRaises(ConnectionResetError, client.call, "R")
            until(lambda: len(read_log(self.log)) == 4, timeout_s=2)
            after_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            sim.call("last")
        lines = read_log(self.log)
        self.assertEqual([line["n"] for line in lines], [1, 2, 3, 4, 5])
        self.assertEqual([line["status"] for line in lines], [200, 503, 400, 0, 200])
        self.assertEqual([line["fault"] for line in lines], ["", "status", "", "reset", ""])
        self.assertEqual([line["connection"] for line in lines[:4]], [1] * 4)
        times_ns = [line["t_ns"] for line in lines[:4]]
        self.assertEqual(times_ns, sorted(times_ns))
        self.assertTrue(before_ns < times_ns[0] and times_ns[-1] < after_ns)
        first = {key: lines[0][key] for key in lines[0] if key not in ("t_ns", "connection")}
        self.assertEqual(first, {
            "n": 1, "attempt": "id-\u00c3\u00a9\"1", "path": "/v1/chat/completions", "model": "m",
            "crc": f"{ref.crc('t'):08x}", "status": 200, "fault": "",
            "prompt_tokens": ref.prompt_tokens("t"), "completion_tokens": 8, "latency_us": 0})
        self.assertEqual(lines[1]["path"], "/p/v1/chat/completions")
        self.assertEqual(lines[1]["completion_tokens"], 0)

    def test_the_log_counts_the_inputs_of_embeddings_calls(self):
        with server("--inputs-max", "2", log=self.log) as sim, sim.connect() as client:
            for asked in ("a", ["a"], ["a", "b"], list("abc"), [1, 2], [[1], [2]], []):
                client.request("POST", "/v1/embeddings", {"model": "m", "input": asked})
            client.request("POST", "/v1/completions", {"model": "m", "prompt": ["a", "b"]})
        lines = read_log(self.log)
        self.assertEqual([line.get("inputs") for line in lines], [1, 1, 2, 3, 1, 2, None, None])
        self.assertEqual([line["status"] for line in lines],
                         [200, 200, 200, 422, 200, 200, 400, 200])

    def test_bodies_are_logged_when_asked_for(self):
        body = json.dumps(chat_body("žluť \"x\"\n"), ensure_ascii=False).encode()
        with server("--log-bodies", log=self.log) as sim, sim.connect() as client:
            client.request("POST", "/v1/chat/completions", body)
            client.request("POST", "/v1/chat/completions", b"{\xff")
        self.assertEqual([line["body"] for line in read_log(self.log)], [body.decode(), ""])

    def test_statistics_flush_the_log_and_count_repeated_attempts(self):
        with server(log=self.log) as sim, sim.connect() as client:
            for attempt in ("a", "b", "a", "c", "a", "b"):
                client.call("t", headers={"X-Request-Id": attempt})
            stats = sim.stats()
            self.assertEqual(len(read_log(self.log)), 6)
            self.assertEqual(stats["duplicate_attempts"], 2)
            self.assertEqual(stats["prompt_tokens"], 6 * ref.prompt_tokens("t"))
            self.assertEqual(stats["completion_tokens"], 48)
            self.assertEqual((stats["connections"], stats["peak_connections"]), (2, 2))
            self.assertEqual((stats["peak_in_flight"], stats["in_flight"]), (1, 0))
            self.assertEqual(sim.control(reset_stats=True).status, 200)
            self.assertEqual((sim.stats()["calls"], sim.stats()["duplicate_attempts"]), (0, 0))
            self.assertEqual(sim.stats()["connections"], 2)

    def test_repeated_attempts_are_still_known_after_many_others(self):
        def call(i):
            return request_bytes("POST", "/v1/chat/completions", chat_body("t"),
                                 {"X-Request-Id": f"id-{i}"})
        with server() as sim, sim.connect() as client:
            for begin in range(0, 22_000, 500):
                client.send(b"".join(call(i % 11_000) for i in range(begin, begin + 500)))
                for _ in range(500):
                    self.assertEqual(client.receive().status, 200)
            self.assertEqual(sim.stats()["duplicate_attempts"], 11_000)

    def test_control_changes_a_running_server(self):
        with server("--fault", "status", "--latency", "30s") as sim, sim.connect() as client:
            self.assertEqual(client.call("t").status, 500)
            self.assertEqual(sim.control(faults=[], latency="0").json(), {"ok": True})
            self.assertEqual(client.call("t").status, 200)
            sim.control(rpm=60)
            self.assertEqual([client.call("t").status for _ in range(2)], [200, 429])
            sim.control(rpm=0, faults=["quota:match=q"])
            self.assertEqual([client.call(t).status for t in "tq"], [200, 429])
            for bad in ({"slots": 1, "faults": ["nope"]}, {"latency": "fast", "slots": 1},
                        {"slots": -1}, {"inputs_max": "x"}, {"speed": 1}, {"rpm": "many"},
                        {"faults": "status"}):
                refused = sim.control(**bad)
                self.assertEqual(refused.status, 400)
                self.assertTrue(re.search("nope|fast|slots|inputs_max|speed|rpm|faults",
                                          refused.error()["message"]))
            self.assertEqual(client.call("t").status, 200)

    def test_opening_slots_starts_the_calls_in_line(self):
        with server("--slots", "1", "--latency", "30s") as sim:
            clients = [self.enterContext(sim.connect()) for _ in range(4)]
            for i, client in enumerate(clients):
                if i == 1:
                    sim.control(latency="0")
                client.send(request_bytes("POST", "/v1/chat/completions", chat_body(str(i))))
                until(lambda n=i: sim.stats()["calls"] == n + 1)
            self.assertEqual(sim.stats()["in_flight"], 4)
            sim.control(slots=3)
            for i in (1, 2, 3):
                self.assertEqual(clients[i].receive().text(), answer(str(i)))

    def test_bad_flags_are_explained_and_refused(self):
        for flags in (["--fault", "nope"], ["--latency", "soon"], ["--fault", "status:rate=2"],
                      ["--listen", "nowhere"], ["--rpm", "-1"], ["--fault", "redirect"]):
            run = subprocess.run([os.environ["SIMLLM"], *flags], capture_output=True, timeout=5)
            self.assertNotEqual(run.returncode, 0, flags)
            self.assertIn(flags[1].encode(), run.stderr)
