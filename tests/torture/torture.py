#!/usr/bin/env python3
"""A real cluster, and `gristmill run`, under every fault that we know how to make, one a cycle:

  torture.py [--seed S] [--cycles N] [--only kills] [--keep]

Each cycle waits for progress at the server, draws a fault by weight, applies it, heals, and has
verify judge what can be judged in the middle; each job's end is judged whole. Jobs follow each other
in many shapes, and beside them one with a tight limit of calls per minute goes on and on. The seed decides
shapes, faults and their lengths, not what the scheduler makes of them: a red seed is likely, not
certain, to be red again. On a failure the directory stays.
"""
import argparse
import collections
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import faults
from cluster import Cluster, Failure, until
from jobs import ClusterJob, RunJob


class Scene:
    def __init__(self, options, directory):
        self.seed, self.cycles, self.directory = options.seed, options.cycles, directory
        self.only_kills = options.only == "kills"
        rng = random.Random(f"{self.seed}:cluster")
        self.cluster = Cluster(directory, self.seed, [rng.choice([8, 16, 32]) for _ in range(3)],
                               options.shared)
        self.longest_s = 1.0
        self.jobs_made, self.job, self.seen = 0, None, 0
        self.counted = collections.Counter()
        self.snapshot_taken = None
        # A minute's window wants a job of minutes; it is killed like everything else. Each death
        # counts its block as spent, so it uses a part of its budget only.
        self.steady = RunJob(directory, "steady", random.Random(f"{self.seed}:steady"),
                             max(20, self.cycles * 3), ["--rpm", 300, "--tpm", 60_000], "20ms")

    # ---- what faults ask of the scene -------------------------------------------------------------

    def lost(self):
        """Calls may be lost from here on: remembers what the journal holds of them."""
        servers = [self.job.server] if isinstance(self.job, ClusterJob) else []
        self.snapshot_taken = self.cluster.snapshot(servers)
        if servers:
            self.job.kills.append(self.snapshot_taken)

    def lost_if_long(self):
        """Whoever is not heard of for five seconds is taken for dead, and its calls with it."""
        if self.longest_s > 2:
            self.lost()

    def expect_exit(self, member, code):
        until(f"{member.name} to drain", lambda: not member.alive())
        if (got := member.process.popen.returncode) != code:
            raise Failure(f"{member.name} was told to drain, ended with {got}: "
                          f"{member.process.stderr()[-2000:]}")

    # ---- cycles --------------------------------------------------------------------------------------

    def new_job(self, rng):
        self.jobs_made += 1
        name, small = f"job{self.jobs_made}", rng.random() < 0.3
        count = rng.randint(20, 400) if small else rng.randint(1_500, 5_000)
        if rng.random() < 0.3:
            self.job = RunJob(self.directory, name, rng, count, concurrency=rng.choice([16, 64]))
        else:
            options = rng.choice([[], [], [], ["--rpm", 6_000], ["--max-in-flight", 16]])
            if "--rpm" in options:
                count = min(count, 1_500)
            self.job = ClusterJob(self.cluster, self.directory, name, rng, count, options)
        self.seen = 0

    def progress(self, rng):
        """More calls than at the last fault, or the job's end; False: it ended. Now and then the next
        blow falls on a cluster that is only getting up."""
        if rng.random() < 0.4 and not isinstance(self.job, RunJob):
            time.sleep(rng.uniform(0, 0.3))
            self.seen = self.job.server.calls()
            return not self.job.over()
        # A small job is there for its end: what a kill takes of it comes back seconds later.
        step = rng.randint(1, 300) if self.job.count > 400 else rng.choice([5, 400])
        target = min(self.seen + step, self.job.count)
        until(f"calls of {self.job.name} beyond {self.seen}",
              lambda: self.job.server.calls() >= target or self.job.over(), self.describe)
        self.seen = self.job.server.calls()
        return not self.job.over()

    def describe(self):
        if isinstance(self.job, RunJob):
            return self.job.process.process.stderr()[-1000:]
        return self.cluster.command("status", self.job.id)

    def cycle(self, n):
        rng = random.Random(f"{self.seed}:{n}")
        self.longest_s = 12.0 if self.cycles >= 200 and rng.random() < 0.02 else 1.0
        if self.job is None:
            self.new_job(rng)
        if n % 12 == 3 and not self.steady.over():
            self.steady.process.kill()
            self.steady.killed()
        alive = self.progress(rng)
        ending = self.job.called()
        under_run = isinstance(self.job, RunJob)
        if ending and alive and rng.random() < 0.8:
            name = self.kill_merge()
        elif not alive:
            name = "end"
        else:
            table = ((faults.RUN_KILLS if under_run else faults.KILLS) if self.only_kills else
                     faults.RUN if under_run else faults.CLUSTER)
            fault = faults.draw(rng, table)
            name = fault.__name__
            self.snapshot_taken = None
            fault(self, rng)
        self.heal(under_run)
        self.counted[name] += 1
        if self.job.over() or ending:
            return f"{name}; {self.finish_job()}"
        if not under_run:
            self.job.verify_so_far(*(self.snapshot_taken or self.cluster.snapshot([self.job.server])))
        return name

    def kill_merge(self):
        """kill -9 of who writes the result, while it does."""
        under_run = isinstance(self.job, RunJob)
        until(f"the merge of {self.job.name}", lambda: self.job.merging() or self.job.over())
        if self.job.over():
            return "missed_merge"
        if under_run:
            self.job.process.kill()
            self.job.killed()
        else:
            self.cluster.coordinator.kill()
            self.lost()
        return "kill_merge"

    def heal(self, under_run):
        self.cluster.heal()
        self.cluster.look()
        for job in [self.steady] + ([self.job] if under_run else []):
            if not job.process.alive() and not job.over():
                job.process.start()

    def finish_job(self):
        text = self.job.finish()
        waste = text.splitlines()[-1]
        if isinstance(self.job, ClusterJob):
            self.job.forget()
        self.job.end()
        self.job = None
        return waste

    def play(self):
        begin = time.monotonic()
        n = 0
        while n < self.cycles or self.job:
            at = time.monotonic()
            if n < self.cycles:
                what = self.cycle(n)
            else:  # the last job may end in peace
                what = self.finish_job()
            n += 1
            print(f"{time.strftime('%H:%M:%S')} cycle {n} {what} {time.monotonic() - at:.2f} s", flush=True)
        print(self.steady.finish())
        took = time.monotonic() - begin
        print(f"seed {self.seed}: {self.cycles} cycles, {self.jobs_made + 1} jobs, {took:.0f} s; "
              + ", ".join(f"{name} {count}" for name, count in self.counted.most_common()))

    def end(self):
        for job in (self.job, self.steady):
            if job:
                job.end()
        self.cluster.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--cycles", type=int, default=60)
    parser.add_argument("--only", choices=["kills"], help="nothing but kill -9, and kills in the merge")
    parser.add_argument("--shared", action="store_true", help="answers go by way of a shared directory")
    parser.add_argument("--keep", action="store_true", help="keep the directory also without a failure")
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="gristmill-torture-"))
    again = f"./x torture --seed {options.seed} --cycles {options.cycles}" + (
        f" --only {options.only}" if options.only else "") + (" --shared" if options.shared else "")
    print(f"{again}   in {directory}", flush=True)
    scene = Scene(options, directory)
    try:
        scene.play()
    except BaseException as error:
        kind = "" if isinstance(error, Failure) else f"{type(error).__name__}: "
        print(f"FAILED {kind}{error}\nreplay: {again}\nkept: {directory}", file=sys.stderr)
        scene.end()
        if isinstance(error, Failure):
            return 1
        raise
    scene.end()
    if not options.keep:
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
