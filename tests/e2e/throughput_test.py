"""What durability, order and retries cost: `gristmill run` beside a plain libcurl client."""
import statistics
import time
import unittest

from harness import EndToEnd, write_batch

COUNT = 20_000
ROUNDS = 5
LEAST_OF_BARE = 0.3  # both clients share the machine with the server, so the ratio is what counts


class Throughput(EndToEnd):
    def seconds(self, name, *arguments):
        process = self.start(name, *arguments)
        begin = time.monotonic()
        code = process.wait()
        elapsed = time.monotonic() - begin
        self.assertEqual(code, 0, process.stderr())
        return elapsed

    def compare(self, concurrency):
        """Items per second of each one's middle round; they take turns, so both meet the same noise."""
        server = self.server()
        source, bare = self.directory / "in.jsonl", self.directory / "bare.jsonl"
        write_batch(source, COUNT)
        seconds = {"bare": [], "gristmill": []}
        for number in range(ROUNDS):
            output = self.directory / f"out-{number}.jsonl"
            common = [source, "--endpoint", server.url, "--concurrency", concurrency, "-o"]
            seconds["bare"].append(self.seconds("gristmill-bench-bare", *common, bare))
            seconds["gristmill"].append(self.seconds("gristmill", "run", *common, output))
            self.check_result(output, COUNT)
        with open(bare, "rb") as file:
            self.assertEqual(sum(1 for _ in file), COUNT)
        rates = {client: COUNT / statistics.median(took) for client, took in seconds.items()}
        print(f"{concurrency} in flight: bare {rates['bare']:,.0f}, gristmill {rates['gristmill']:,.0f} "
              f"items/s, {rates['gristmill'] / rates['bare']:.2f} of bare")
        self.assertGreaterEqual(rates["gristmill"], LEAST_OF_BARE * rates["bare"])

    def test_at_64_in_flight(self):
        self.compare(64)

    def test_at_512_in_flight(self):
        self.compare(512)


if __name__ == "__main__":
    unittest.main(verbosity=2)
