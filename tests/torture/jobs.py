"""Jobs of many shapes, in the cluster or under `gristmill run`, and their judgement by verify at the
end. A job knows its input, its server, and the journals as they were at each kill of its life.
"""
import json
import pathlib
import signal
import subprocess
import sys

from cluster import PATIENCE_S, ROOT, Failure, Member, Server, boot_ns, copy_journal, until
from harness import binary

VERIFY = ROOT / "tests/verify/verify.py"
COMMON = ["--timeout", 6, "--retries", 12, "--max-failures", "off"]


def write_input(path, rng, name, count, widest):
    """Batch lines of uneven size; what each asks is unique over all jobs."""
    with open(path, "w", encoding="utf-8") as file:
        for n in range(count):
            text = f"{name} question {n} " + "x" * (rng.randrange(widest) if rng.random() < 0.1 else 0)
            body = {"model": "sim-small", "messages": [{"role": "user", "content": text}]}
            file.write(json.dumps({"custom_id": f"{name}-{n}", "method": "POST",
                                   "url": "/v1/chat/completions", "body": body}) + "\n")


class Job:
    """What both kinds share: input, server, kills, and verify."""
    number = 1

    def __init__(self, directory, name, rng, count, options=(), latency=None):
        self.name, self.count, self.directory = name, count, directory
        self.input, self.output = directory / f"{name}.jsonl", directory / f"{name}.out.jsonl"
        write_input(self.input, rng, name, count, rng.choice([1, 200, 4_000, 40_000]))
        law = latency or rng.choice(["5ms", "20ms", "uniform:5ms:50ms", "lognormal:10ms:1"])
        self.server = Server(directory, f"{name}.sim", "--latency", law, "--seed", rng.randrange(1 << 30))
        self.options = [*COMMON, "--endpoint", self.server.url,
                        "--batch-size", rng.choice([1, 8, 256]), *options]
        self.kills, self.checks = [], []

    def called(self):
        return self.server.calls() >= self.count

    def verify(self, journal, *more, wait=True):
        command = [sys.executable, "-B", VERIFY, "--input", self.input, "--journal", journal, "--log",
                   self.server.log, "--job", self.number, *more]
        if shared := self.shared():
            command += ["--shared", shared]
        for moment, copy in self.kills:
            command += ["--kill", f"{moment}={copy}"]
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self.checks.append(process)
        return self.judge() if wait else ""

    def shared(self):
        return None

    def judge(self):
        """Waits for the verifications under way; the last one's text."""
        text = ""
        for process in self.checks:
            text = process.communicate(timeout=PATIENCE_S * 2)[0]
            if process.returncode != 0:
                raise Failure(f"verify rejects {self.name}:\n{' '.join(process.args)}\n{text}")
        self.checks = []
        return text

    def verify_so_far(self, moment, journal):
        self.judge()
        self.verify(journal, "--partial", "--segments", self.state(), "--until", moment, wait=False)

    def end(self):
        for process in self.checks:
            process.kill()
            process.communicate()
        self.server.end()


class ClusterJob(Job):
    def __init__(self, cluster, *arguments, **more):
        super().__init__(*arguments, **more)
        self.cluster = cluster
        self.id = cluster.command("submit", self.input, *self.options).strip()
        self.number = int(self.id.removeprefix("job-"))

    def state(self):
        return self.cluster.state

    def shared(self):
        return self.cluster.shared

    def merging(self):
        return any(self.state().glob(f"jobs/{self.number}/*.part"))

    def over(self):
        return self.cluster.job_state(self.id) in ("finished", "failed", "cancelled", "paused")

    def finish(self):
        until(f"{self.name} to end", self.over, lambda: self.cluster.job_state(self.id))
        if (state := self.cluster.job_state(self.id)) != "finished":
            raise Failure(f"{self.name} is {state}: {self.cluster.command('status', self.id)}")
        self.cluster.command("results", self.id, "-o", self.output)
        _, journal = self.cluster.snapshot([self.server])
        return self.verify(journal, "--output", self.output, "--segments", self.state())

    def forget(self):
        self.cluster.command("forget", self.id)
        self.output.unlink()


class RunJob(Job):
    """`gristmill run`, killed and started again until it ends."""

    def __init__(self, *arguments, concurrency=16, **more):
        super().__init__(*arguments, **more)
        self.process = Member(self.directory, f"{self.name}.run", [
            binary("gristmill"), "run", self.input, "-o", self.output, "--concurrency", concurrency,
            "--drain-timeout", 5, "--no-progress", *self.options])
        self.process.start()

    def state(self):
        return pathlib.Path(f"{self.output}.state")

    def merging(self):
        return pathlib.Path(f"{self.output}.part").exists()

    def over(self):
        code = self.process.process.popen.poll()
        if code not in (None, 0, 3, -signal.SIGKILL, 128 + signal.SIGTERM, 128 + signal.SIGINT):
            raise Failure(f"{self.name} ended with {code}: {self.process.process.stderr()[-2000:]}")
        return code in (0, 3)

    def killed(self):
        """After the process's death: its journal as evidence. It may die before there is one."""
        if not (self.state() / "journal.db").exists():
            return
        copy = copy_journal(self.state(), self.directory / f"{self.name}-kill-{len(self.kills) + 1}")
        self.server.calls()
        self.kills.append((boot_ns(), copy))
        self.verify_so_far(*self.kills[-1])

    def finish(self):
        until(f"{self.name} to end", self.over, progress=self.server.calls)
        self.process.process.popen.stdout.close()
        self.server.calls()
        return self.verify(self.state(), "--output", self.output)

    def end(self):
        self.process.kill()
        super().end()
