"""Servers that come late, die, are full, or refuse: their faults are waited for, aloud, and no item
pays for them; the one item that brings a server down is found.

GRISTMILL_LATE_SECONDS=60: each state of a late server lasts so long, as it may in a night.
"""
import contextlib
import json
import os
import pathlib
import ssl
import subprocess
import threading
import time
import unittest

from harness import EndToEnd, binary, write_batch
from scripted_server import LOADING, Server, free_port

GOES_ON_WITHIN_S = 3
LATE_S = float(os.environ.get("GRISTMILL_LATE_SECONDS", 0))


class EndpointFaults(EndToEnd):
    def setUp(self):
        super().setUp()
        self.input, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.end()
        super().tearDown()

    def serve(self, reply=lambda question: None, **more):
        server = Server(self.port, reply, **more)
        self.servers.append(server)
        return server

    def end(self, server):
        self.servers.remove(server)
        server.end()

    def begin(self, count, *options, url=None):
        write_batch(self.input, count)
        return self.start("gristmill", "run", self.input, "--endpoint", url or self.url, "-o", self.output,
                          *options, label="run")

    def check_goes_on(self, server):
        took = server.answered_at[0] - server.began
        print(f"goes on after {took:.2f} s")
        self.assertLess(took, GOES_ON_WITHIN_S)

    def test_a_run_begins_before_its_server(self):
        run = self.begin(200)
        self.until("it says that nobody listens", lambda: "connect_refused" in run.stderr())
        time.sleep(LATE_S)
        loading = self.serve(lambda question: (503, LOADING))
        self.until("it says what the server says", lambda: "Loading model" in run.stderr())
        time.sleep(LATE_S)
        self.end(loading)
        server = self.serve()
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_goes_on(server)
        self.check_result(self.output, 200)
        self.assertEqual(self.summary(self.output)["counts"]["failed"], 0)

    def test_a_job_and_its_worker_begin_before_their_server(self):
        coordinator = self.coordinator()
        self.worker(coordinator, "early", "--endpoint", self.url, "--model", "sim-small")
        write_batch(self.input, 200)
        job = self.gristmill("submit", self.input, "--server", coordinator.http).stdout.strip()
        waits = lambda: self.job(coordinator, job)["waiting_for"] == "endpoint"
        self.until("the job waits for its endpoint", waits)
        shown = self.job(coordinator, job)
        self.assertEqual(shown["state"], "running")
        self.assertIn("connect_refused", shown["why_waiting"])
        self.assertIn("waiting", self.gristmill("status", job, "--server", coordinator.http).stdout)
        self.assertIn("connect_refused", self.gristmill("explain", job, "--server", coordinator.http).stdout)
        time.sleep(LATE_S)
        loading = self.serve(lambda question: (503, LOADING))
        self.until("the server's words are told", lambda: "Loading model" in self.job(coordinator, job)["why_waiting"])
        # A restart of the coordinator does not make it less patient, nor more.
        self.until("the wait is journaled", lambda: self.job(coordinator, job)["reason"] == "endpoint")
        coordinator.kill()
        again = self.coordinator(listen=coordinator.listen, http=coordinator.http.removeprefix("http://"), label="again")
        self.until("it waits on", lambda: self.job(again, job)["waiting_for"] == "endpoint")
        time.sleep(LATE_S)
        self.end(loading)
        server = self.serve()
        self.gristmill("watch", job, "--server", again.http)
        self.check_goes_on(server)
        counts = self.job(again, job)["counts"]
        self.assertEqual((counts["completed"], counts["failed"]), (200, 0))

    def test_a_whole_cluster_comes_back_before_its_server(self):
        first = self.serve()
        coordinator = self.coordinator()
        begin = lambda node: self.worker(node, "rack", "--endpoint", self.url, "--model", "sim-small",
                                         "--concurrency", "4")
        worker = begin(coordinator)
        write_batch(self.input, 1_000)
        job = self.gristmill("submit", self.input, "--server", coordinator.http).stdout.strip()
        self.until("the job is under way", lambda: self.job(coordinator, job)["counts"]["completed"] > 100)
        for process in (worker, coordinator):
            process.kill()
        self.end(first)
        again = self.coordinator(listen=coordinator.listen, http=coordinator.http.removeprefix("http://"), label="again")
        begin(again)
        self.until("the job waits for its endpoint", lambda: self.job(again, job)["waiting_for"] == "endpoint")
        time.sleep(LATE_S)
        server = self.serve()
        self.gristmill("watch", job, "--server", again.http)
        self.check_goes_on(server)
        counts = self.job(again, job)["counts"]
        self.assertEqual((counts["completed"], counts["failed"]), (1_000, 0))

    def test_a_name_that_resolves_later(self):
        hosts, resolver = self.directory / "hosts", self.directory / "resolv.conf"
        hosts.write_text("127.0.0.1 localhost\n")
        resolver.write_text("nameserver 127.0.0.1\n")  # where nobody answers
        write_batch(self.input, 50)
        command = [binary("gristmill"), "run", self.input, "-o", self.output, "--api-key-env", "", "--endpoint",
                   f"http://inference.invalid:{self.port}/v1"]
        mounts = f"mount --bind {hosts} /etc/hosts && mount --bind {resolver} /etc/resolv.conf"
        run = self.start_command(["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh",
                                  *map(str, command)], "run")
        self.until("it says that the name is not known", lambda: "inference.invalid" in run.stderr())
        time.sleep(LATE_S)
        server = self.serve()
        with open(hosts, "a", encoding="utf-8") as file:
            file.write("127.0.0.1 inference.invalid\n")
        server.began = time.monotonic()
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_goes_on(server)
        self.check_result(self.output, 50)

    def test_patience_ends_and_the_same_command_goes_on(self):
        run = self.begin(20, "--patience", 2)
        self.assertEqual(run.wait(), 4)
        for word in ("--patience 2", "connect_refused", "the same command resumes"):
            self.assertIn(word, run.stderr())
        self.serve()
        run = self.begin(20, "--patience", 2)
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.output, 20)

    @contextlib.contextmanager
    def kept_up(self, reply, away):
        """A server that is ended when `away` is set, and is back half a second later."""
        done = False

        def live():
            while True:
                away.wait()
                if done:
                    return
                self.end(self.servers[0])
                time.sleep(0.5)
                away.clear()
                self.serve(reply)

        self.serve(reply)
        keeper = threading.Thread(target=live)
        keeper.start()
        try:
            yield
        finally:
            done = True
            away.set()
            keeper.join()

    def test_a_server_that_dies_of_one_item(self):
        deaths, away = [], threading.Event()

        def reply(question):
            time.sleep(0.02)
            if question == "question 250":
                deaths.append(time.monotonic())
            if away.is_set() or question == "question 250":
                away.set()
                raise ConnectionError

        with self.kept_up(reply, away):
            run = self.begin(500)
            self.assertEqual(run.wait(), 3, run.stderr())
        self.check_result(self.output, 500, failed=(250,))
        error = json.loads(self.output.read_text().splitlines()[250])
        self.assertEqual(error["gristmill"]["class"], "poison")
        self.assertIn("connection_lost", error["error"]["message"])
        self.assertLessEqual(len(deaths), 6)

    def test_a_server_that_dies_of_too_many_calls_is_given_fewer(self):
        takes, deaths, away, lock = 8, [], threading.Event(), threading.Lock()
        in_flight = 0

        def reply(_):
            nonlocal in_flight
            with lock:
                in_flight += 1
                if in_flight > takes and not away.is_set():
                    deaths.append(in_flight)
                    away.set()
            time.sleep(0.1)
            with lock:
                in_flight -= 1
            if away.is_set():
                raise ConnectionError

        with self.kept_up(reply, away):
            run = self.begin(400)
            self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.output, 400)
        print(f"{len(deaths)} deaths")
        self.assertLessEqual(len(deaths), 16)

    def test_calls_held_for_a_dead_endpoint_are_made_at_another_workers(self):
        for fault in ("reset", "status:code=500"):
            with self.subTest(fault):
                name = fault.split(":")[0]
                servers = [self.server("--latency", "20ms", label=f"{name}-{n}") for n in range(2)]
                hub = self.coordinator(label=f"hub-{name}", state=f"state-{name}")
                for n, server in enumerate(servers):
                    self.worker(hub, f"w-{name}-{n}", "--endpoint", server.url, "--model", "sim-small",
                                "--concurrency", "32")
                write_batch(self.input, 3_000)
                self.gristmill("submit", self.input, "--model", "sim-small", "--server", hub.http)
                self.until_calls(servers[0], 100)
                self.control(servers[0], faults=[fault])
                self.until("the job to end", lambda: self.job(hub, "job-1")["state"] == "finished")
                counts = self.job(hub, "job-1")["counts"]
                self.assertEqual((counts["completed"], counts["failed"]), (3_000, 0))
                self.assertIn(f"worker.relieved source=coordinator name=w-{name}-0", hub.stderr())

    def test_a_gateway_that_loses_one_item(self):
        def reply(question):
            time.sleep(0.02)
            return (502, b"<html>Bad Gateway</html>") if question == "question 7" else None

        self.serve(reply)
        count = 3_000  # so many that there are others when it is tried for the last time
        run = self.begin(count, "--concurrency", 8)
        self.assertEqual(run.wait(), 3, run.stderr())
        self.check_result(self.output, count, failed=(7,))
        self.assertEqual(json.loads(self.output.read_text().splitlines()[7])["gristmill"]["class"], "poison")

    def certificate(self, name, host):
        key, cert = (self.directory / f"{name}.{kind}.pem" for kind in ("key", "cert"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
                        "-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context, cert

    def test_a_certificate_that_is_mended(self):
        wrong, _ = self.certificate("wrong", "example.org")
        right, trusted = self.certificate("right", "localhost")
        expired = self.serve(context=wrong)
        run = self.begin(50, "--ca-file", trusted, "--api-key-env", "KEY", url=f"https://localhost:{self.port}/v1")
        self.until("it says what is wrong", lambda: "tls" in run.stderr())
        time.sleep(LATE_S)
        self.end(expired)
        server = self.serve(context=right)
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_goes_on(server)
        self.check_result(self.output, 50)

    def start(self, name, *arguments, env=None, label=None):
        return super().start(name, *arguments, env={"KEY": "sk-test", **(env or {})}, label=label)

    def test_a_key_that_is_put_right_in_time(self):
        refusals = []

        def reply(question):
            if len(refusals) < 3:
                refusals.append(question)
                return 401, b'{"error":{"message":"Incorrect API key","code":"invalid_api_key"}}'

        self.serve(reply)
        run = self.begin(50, "--concurrency", 1)
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.output, 50)


if __name__ == "__main__":
    unittest.main(verbosity=2)
