"""No acknowledgement leaves before the disk has taken what it acknowledges: a coordinator whose
every fdatasync takes three seconds longer, a witness on the wire, and strace's own times.
"""
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
from harness import EndToEnd, binary, write_batch
from witness import OUTCOMES, RECORDED, Witness

DELAY_US = 3_000_000
COUNT = 24


def syncs(text):
    """(begin, end) of each fdatasync that strace -f -ttt -T saw whole; seconds of the clock."""
    result, open_by_thread = [], {}
    for line in text.splitlines():
        if begun := re.match(r"(\d+) +([\d.]+) fdatasync\(.*<unfinished", line):
            open_by_thread[begun[1]] = float(begun[2])
        elif resumed := re.match(r"(\d+) +[\d.]+ <\.\.\. fdatasync resumed>.*= 0.*<([\d.]+)>", line):
            begin = open_by_thread.pop(resumed[1], None)
            if begin is not None:
                result.append((begin, begin + float(resumed[2])))
        elif whole := re.match(r"\d+ +([\d.]+) fdatasync\(.*= 0.*<([\d.]+)>", line):
            result.append((float(whole[1]), float(whole[1]) + float(whole[2])))
    return result


class SlowSync(EndToEnd):
    def test_nothing_is_acknowledged_before_its_sync_ends(self):
        server = self.server("--latency", "1500ms")
        source, output, trace = (self.directory / name for name in ("in.jsonl", "out.jsonl", "trace"))
        # The disk is slow from the first moment: also the Welcome and the permits need it.
        coordinator = self.start_command(
            ["strace", "-D", "-f", "-ttt", "-T", "-e", "trace=fdatasync,fsync,syncfs", "-e",
             f"inject=fdatasync,fsync,syncfs:delay_enter={DELAY_US}", "-o", str(trace),
             binary("gristmill-coordinator"), "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0",
             "--state", str(self.directory / "state")], "coordinator")
        ready = coordinator.ready()
        coordinator.http = ready["http"]
        witness = Witness(int(ready["listen"].rsplit(":", 1)[1]))
        self.addCleanup(witness.close)
        worker = self.start("gristmill-worker", "--coordinator", f"tcp://127.0.0.1:{witness.port}",
                            "--name", "w0", "--concurrency", str(COUNT))
        worker.ready()
        write_batch(source, COUNT)
        job = self.gristmill("submit", source, "--endpoint", server.url, "--server",
                             coordinator.http).stdout.strip()
        self.until("all outcomes to be acknowledged", lambda: len(witness.first(RECORDED)) == COUNT)
        self.until("the job to end", lambda: self.job(coordinator, job)["state"] == "finished")
        self.gristmill("results", job, "-o", output, "--server", coordinator.http)
        self.check_result(output, COUNT)

        coordinator.kill()
        self.until("strace to write down all that it saw", lambda: "+++ killed" in trace.read_text())
        done = syncs(trace.read_text())
        self.assertTrue(done and all(end - begin >= DELAY_US / 1e6 for begin, end in done), done)
        outcomes, recorded = witness.first(OUTCOMES), witness.first(RECORDED)
        self.assertEqual(set(outcomes), {call["attempt"] for call in self.calls(server)})
        for attempt, at in recorded.items():
            # The line's segment, then the journal's log: both begun after the outcome came.
            covering = [1 for begin, end in done if begin >= outcomes[attempt] and end <= at]
            self.assertGreaterEqual(len(covering), 2, f"{attempt} came at {outcomes[attempt]}, was "
                                    f"acknowledged at {at}, syncs: {done}")
            self.assertGreaterEqual(at - outcomes[attempt], 2 * DELAY_US / 1e6)


if __name__ == "__main__":
    unittest.main()
