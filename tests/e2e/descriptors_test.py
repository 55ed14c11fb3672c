"""Connections that take all descriptors of a coordinator: its jobs wait, and nothing ends."""
import resource
import socket
import threading
import unittest

from harness import EndToEnd, binary, write_batch


class Descriptors(EndToEnd):
    def coordinator_with(self, files):
        """A coordinator that may open so many files, and not more as root either."""
        return self.start_command(
            ["prlimit", f"--nofile={files}:{files}", binary("gristmill-coordinator"), "--listen",
             "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--state",
             str(self.directory / f"state-{files}")], f"coordinator-{files}")

    def test_a_limit_that_is_too_low_is_told_at_the_start(self):
        for files in (20, 55):
            process = self.coordinator_with(files)
            self.assertEqual(process.wait(), 2)
            self.assertIn("at least 56 open files", process.stderr())

    def test_connections_that_say_nothing_end_nothing(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8_192), hard))
        for files in (64, 1_024):
            with self.subTest(files=files):
                self.flooded(files)

    def flooded(self, files):
        server = self.server("--latency", "5ms", label=f"simllm-{files}")
        write_batch(self.directory / "in.jsonl", 2_000)
        coordinator = self.coordinator_with(files)
        ready = coordinator.ready()
        coordinator.listen, coordinator.http = ready["listen"], ready["http"]
        self.worker(coordinator, f"w-{files}", "--concurrency", "8")
        port = int(coordinator.listen.rsplit(":", 1)[1])
        over, refused = threading.Event(), threading.Event()

        def flood():
            mine = []
            while not over.is_set():
                connection = socket.socket()
                connection.setblocking(False)
                connection.connect_ex(("127.0.0.1", port))
                mine.append(connection)
                if len(mine) > 2 * files:
                    refused.set()
                    for old in mine[:files]:
                        old.close()
                    del mine[:files]
            for connection in mine:
                connection.close()

        job = self.gristmill("submit", self.directory / "in.jsonl", "--server", coordinator.http,
                             "--endpoint", server.url).stdout.strip()
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            self.assertTrue(refused.wait(60))
            self.until("calls beside the flood", lambda: self.stats(server)["calls"] > 200 or
                       coordinator.popen.poll() is not None)
        finally:
            over.set()
            thread.join()
        self.assertIsNone(coordinator.popen.poll(), coordinator.stderr())
        self.gristmill("watch", job, "--server", coordinator.http)
        self.assertEqual(self.job(coordinator, job)["counts"]["completed"], 2_000)


if __name__ == "__main__":
    unittest.main()
