"""Power cuts: the state lies on a small ext4 file system in an image; a copy of the image, taken while
the coordinator stands still in the middle of anything, holds what the disk had, not what the kernel
still kept. Whatever a witness on the wire saw acknowledged must be in it. Needs root, for the mount.

GRISTMILL_CUTS is the number of cuts (25).
"""
import contextlib
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
import unittest
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e"), str(HERE.parent / "verify")]
import evidence
from harness import EndToEnd, binary, write_batch
from witness import RECORDED, Witness

CUTS = int(os.environ.get("GRISTMILL_CUTS", "25"))
SEED = int(os.environ.get("GRISTMILL_SEED", "1"))
COUNT = 500 * CUTS
VERIFY = HERE.parent / "verify/verify.py"


def sh(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


class PowerCut(EndToEnd):
    def mount(self, image, name):
        place = self.directory / name
        place.mkdir(exist_ok=True)
        sh("mount", "-o", "loop", image, place)
        self.mounts.append(place)
        return place

    def unmount(self, place):
        sh("umount", place)
        self.mounts.remove(place)

    def setUp(self):
        super().setUp()
        self.mounts = []

    def tearDown(self):
        for process in self.processes:  # whoever has files open there
            if process.popen.poll() is None:
                process.kill()
        for place in reversed(self.mounts):
            sh("umount", place)
        super().tearDown()

    def cut(self, image, copy, for_good=False):
        """The disk at a moment at which no call of the coordinator into the kernel is under way, and
        what was acknowledged by then. For good: the power does not come back to the old disk."""
        with self.old.frozen():
            sh("cp", "--sparse=always", image, copy)
            # What it had sent when it was stopped has arrived by now.
            acknowledged = set(self.witness.first(RECORDED))
            if for_good:
                self.old.kill()
                self.old_worker.kill()
            self.calls(self.sim)
            return time.clock_gettime_ns(time.CLOCK_BOOTTIME), acknowledged

    def lost(self, copy, acknowledged):
        """Mounted, as it will be found after the cut; and what is not in it."""
        place = self.mount(copy, f"{copy.name}.mounted")
        ordinal = {call["attempt"]: call["crc"] for call in self.calls(self.sim)}
        items = {crc: n for n, (_, crc) in enumerate(evidence.read_input([self.source], 0))}
        try:
            lines = evidence.Journal(place / "state", 1).lines()
        except (sqlite3.DatabaseError, ValueError, OSError):
            lines = {}
        return place, [attempt for attempt in acknowledged if items[ordinal[attempt]] not in lines]

    def verify(self, place, *more):
        done = subprocess.run(
            [sys.executable, "-B", VERIFY, "--input", self.source, "--journal", place / "state", "--log",
             self.sim.log, *more], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def disk_image(self, name):
        image = self.directory / f"{name}.img"
        sh("truncate", "-s", "96M", image)
        sh("mkfs.ext4", "-q", "-F", image)
        return image, self.mount(image, name)

    def begin(self):
        """A job under way on a disk in an image."""
        image, disk = self.disk_image("disk")
        self.sim = self.server("--latency", "20ms")
        self.old = self.start("gristmill-coordinator", "--listen", "tcp://127.0.0.1:0", "--http",
                              "127.0.0.1:0", "--state", disk / "state")
        ready = self.old.ready()
        self.old.http = ready["http"]
        self.witness = Witness(int(ready["listen"].rsplit(":", 1)[1]))
        self.addCleanup(self.witness.close)
        self.old_worker = self.start("gristmill-worker", "--coordinator",
                                     f"tcp://127.0.0.1:{self.witness.port}", "--name", "w0",
                                     "--concurrency", 16)
        self.old_worker.ready()
        self.source = self.directory / "in.jsonl"
        write_batch(self.source, COUNT)
        self.gristmill("submit", self.source, "--endpoint", self.sim.url, "--server", self.old.http)
        return image

    def until_acknowledged(self, count):
        self.until(f"{count} acknowledged items", lambda: len(self.witness.first(RECORDED)) >= count)

    def test_what_was_acknowledged_survives_every_cut(self):
        rng, image, output = random.Random(SEED), self.begin(), self.directory / "out.jsonl"

        for n in range(CUTS):
            self.until_acknowledged(int(0.8 * COUNT * (n + rng.random()) / CUTS))
            copy, last = self.directory / f"cut-{n}", n == CUTS - 1
            moment, acknowledged = self.cut(image, copy, for_good=last)
            self.assertLess(len(acknowledged), COUNT, "the job was over before the last cut")
            if not last:  # it does not run ahead while the copy is looked at
                self.gristmill("pause", "job-1", "--server", self.old.http)
            place, missing = self.lost(copy, acknowledged)
            self.assertEqual(missing, [], f"acknowledged, and lost by cut {n}")
            self.verify(place, "--partial", "--until", str(moment))
            self.unmount(place)
            if not last:
                copy.unlink()
                self.gristmill("resume", "job-1", "--server", self.old.http)

        # It comes up where it was: jobs name their inputs by path.
        self.unmount(self.directory / "disk")
        place = self.mount(copy, "disk")
        at_cut = self.directory / "journal-at-the-cut"
        sh("cp", "-r", place / "state", at_cut)
        coordinator = self.start("gristmill-coordinator", "--listen", "tcp://127.0.0.1:0", "--http",
                                 "127.0.0.1:0", "--state", place / "state", label="coordinator-2")
        ready = coordinator.ready()
        coordinator.http, coordinator.listen = ready["http"], ready["listen"]
        self.worker(coordinator, "w1", "--concurrency", 64)
        self.until("the job to end", lambda: self.job(coordinator, "job-1")["state"] == "finished")
        self.gristmill("results", "job-1", "-o", output, "--server", coordinator.http)
        self.check_result(output, COUNT)
        coordinator.end()
        self.calls(self.sim)
        self.verify(place, "--output", output, "--kill", f"{moment}={at_cut}/journal.db")
        print(f"{CUTS} power cuts; {len(acknowledged)} of {COUNT} items acknowledged at the last")

    def test_a_result_that_was_announced_survives_a_cut_of_its_own_disk(self):
        """No sync of the journal helps a result and a summary on another disk than the state."""
        image, disk = self.disk_image("results")
        self.sim = self.server()
        source = self.directory / "in.jsonl"
        write_batch(source, 300)
        for name, more in (("out.jsonl", []), ("out.jsonl.zst", [])):
            output = disk / name
            self.gristmill("run", source, "--endpoint", self.sim.url, "-o", output, "--state",
                           self.directory / f"{name}.state", *more)
            copy = self.directory / "cut"
            sh("cp", "--sparse=always", image, copy)
            place = self.mount(copy, f"cut-{name}")
            for path in (output, output.with_name(f"{name}.summary.json")):
                self.assertTrue((place / path.name).exists(), f"{path.name} was announced, and lost")
                self.assertEqual((place / path.name).read_bytes(), path.read_bytes())
            self.unmount(place)
            copy.unlink()

    def after_cut(self, image, disk, kept):
        """Those of the files, paths below the disk, that a cut at this moment would leave as they are."""
        copy = self.directory / "cut"
        sh("cp", "--sparse=always", image, copy)
        place = self.mount(copy, "cut.mounted")
        same = [path for path, content in kept.items()
                if (place / path).exists() and (place / path).read_bytes() == content]
        self.unmount(place)
        copy.unlink()
        return same

    def test_an_upload_that_was_answered_survives_a_cut(self):
        image, disk = self.disk_image("disk")
        hub = self.start("gristmill-coordinator", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0",
                         "--state", disk / "state")
        http = hub.ready()["http"]
        rng, kept = random.Random(SEED), {}
        for size in (0, 1, 4_096, 524_288, 3_000_001):
            content = rng.randbytes(size)
            request = urllib.request.Request(http + "/api/v1/inputs?name=x", content,
                                             {"Content-Type": "application/octet-stream"}, method="POST")
            with urllib.request.urlopen(request, timeout=60) as answer:
                path = pathlib.Path(json.load(answer)["path"]).relative_to(disk.resolve())
            kept[path] = content
            with hub.frozen():
                self.assertEqual(self.after_cut(image, disk, kept), list(kept))

    def test_keys_that_were_made_survive_a_cut(self):
        """Others get copies of them at once, so they must not be made a second time."""
        image, disk = self.disk_image("disk")
        self.gristmill("keygen", disk / "keys")
        kept = {path.relative_to(disk): path.read_bytes() for path in (disk / "keys").iterdir()}
        self.assertEqual(len(kept), 5)
        self.assertEqual(self.after_cut(image, disk, kept), list(kept))

    def test_what_a_run_goes_on_from_survives_a_cut(self):
        """Standard input and the printed lines of `-o -`, in a file on another disk."""
        image, disk = self.disk_image("state")
        printed_image, printed_disk = self.disk_image("printed")
        self.sim = self.server("--latency", "50ms")
        source = self.directory / "in.jsonl"
        write_batch(source, 4_000)
        command = ["gristmill", "run", "-", "--endpoint", self.sim.url, "-o", "-", "--concurrency", "16",
                   "--state"]
        with open(source, "rb") as lines, open(printed_disk / "lines", "wb") as printed:
            run = subprocess.Popen([binary(command[0]), *command[1:], str(disk / "st")], stdin=lines,
                                   stdout=printed, stderr=subprocess.DEVNULL)
        try:
            self.until("lines to be printed", lambda: (disk / "st/printed").exists() and
                       json.loads((disk / "st/printed").read_text())["lines"] > 300)
            run.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, run.pid, os.WSTOPPED | os.WNOWAIT)
            sh("cp", "--sparse=always", image, self.directory / "cut-state")
            sh("cp", "--sparse=always", printed_image, self.directory / "cut-printed")
        finally:
            run.kill()
            run.wait()
        for place, name in ((disk, "state"), (printed_disk, "printed")):
            self.unmount(place)
            sh("mount", "-o", "loop", self.directory / f"cut-{name}", place)
            self.mounts.append(place)
        self.assertEqual((disk / "st.stdin").read_bytes(), source.read_bytes())
        said = json.loads((disk / "st/printed").read_text())["lines"]
        self.assertGreaterEqual((printed_disk / "lines").read_bytes().count(b"\n"), said)
        with open(printed_disk / "lines", "ab") as rest:
            done = subprocess.run([binary(command[0]), *command[1:], str(disk / "st")], stdout=rest,
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        seen = set()
        for line in (printed_disk / "lines").read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # one that the cut tore
                seen.add(json.loads(line)["custom_id"])
        self.assertEqual(len(seen), 4_000)

    def test_a_disk_that_lies_is_found_out(self):
        """The same with a disk that says it has what it has not: the losses must show."""
        image = self.begin()
        strace = self.start_command(
            ["strace", "-f", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:retval=0", "-o",
             "/dev/null", "-p", str(self.old.popen.pid)], "strace")
        self.until("strace to hold the coordinator", lambda: "attached" in strace.stderr())
        self.until_acknowledged(len(self.witness.first(RECORDED)) + 1_000)
        _, acknowledged = self.cut(image, self.directory / "cut")
        strace.end()
        self.assertGreater(len(self.lost(self.directory / "cut", acknowledged)[1]), 0)


if __name__ == "__main__":
    unittest.main()
