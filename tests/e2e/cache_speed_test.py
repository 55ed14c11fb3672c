"""--cache DIR: how long it takes when all was asked before."""
import unittest

from cache_run_test import Cached


class Speed(Cached):
    def test_a_second_run_calls_nothing_and_takes_no_time(self):
        count = 20_000
        texts = [f"question {n}" for n in range(count)]
        self.write_documents(*texts)
        server = self.server("--latency", "100ms", "--slots", "200")
        first = self.round(server, "-m", "m", "--concurrency", "400")
        self.assertEqual(self.check_answers(first, texts), set())
        self.assertEqual(len(first.calls), count)
        second = self.round(server, "-m", "m", "--concurrency", "400")
        print(f"\n{count} items in {first.seconds:.1f} s, and again in {second.seconds:.2f} s")
        self.check_known(first, second)
        self.assertEqual(len(self.check_answers(second, texts)), count)
        self.assertLess(second.seconds * 10, first.seconds)
        self.assertEqual([second.counts[key] for key in ("total", "completed", "cached")], [count] * 3)
        used = {key: first.summary["tokens"][key] for key in ("prompt", "completion")}
        self.assertGreater(used["prompt"], count)
        self.assertEqual(second.summary["saved"]["tokens"], used)
        self.assertEqual(second.summary["saved"]["answers"], count)
        self.assertIn(f"{count} cached, 0 calls", second.said)


if __name__ == "__main__":
    unittest.main()
