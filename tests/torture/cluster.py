"""The processes under torture: one coordinator, three workers behind a proxy each, and a simulated
server per job. Everything speaks with keys, as it would over a network, and is ended by its pid.
Invariant: a process that is not supposed to be dead or stopped is alive, else look() raises.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness import Process, binary
from proxy import FaultProxy

PATIENCE_S = 120  # how long nothing may happen before that is a failure
WORKERS = 3


class Failure(Exception):
    """A promise that was not kept, in a sentence."""


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def until(what, condition, explain=lambda: "", progress=lambda: None):
    """Gives up after PATIENCE_S in which progress() has stayed the same."""
    seen, deadline = progress(), time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            if seen == (seen := progress()):
                raise Failure(f"waited {PATIENCE_S} s in vain for {what} {explain()}")
            deadline = time.monotonic() + PATIENCE_S
        time.sleep(0.005)


class Member:
    """A process that dies and is started again under the same name."""

    def __init__(self, directory, name, command):
        self.directory, self.name, self.command = directory, name, list(map(str, command))
        self.process, self.stopped = None, False

    def start(self):
        if self.process:
            self.process.popen.stdout.close()
        self.process = Process(self.command, self.directory, self.name)
        self.stopped = False

    def alive(self):
        return self.process is not None and self.process.popen.poll() is None

    def signal(self, number):
        if self.alive():
            self.process.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        if self.process:
            self.process.popen.wait()

    def stop(self):
        """Stands still when this returns."""
        self.process.popen.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.popen.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self.stopped = True

    def go_on(self):
        self.signal(signal.SIGCONT)
        self.stopped = False

    def look(self):
        code = self.process.popen.poll()
        if code is not None:
            raise Failure(f"{self.name} ended by itself with {code}: {self.process.stderr()[-2000:]}")


class Server:
    """A simulated server with its own log."""

    def __init__(self, directory, name, *arguments):
        self.log = directory / f"{name}.log"
        self.process = Process([binary("gristmill-simllm"), "--listen", "127.0.0.1:0", "--log",
                                str(self.log), *map(str, arguments)], directory, name)
        self.url = self.process.ready()["url"]

    def ask(self, path, body=None):
        request = urllib.request.Request(self.url.removesuffix("/v1") + path, body,
                                         method="POST" if body else "GET")
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.read()

    def calls(self):
        """How many there were; writes the log out."""
        return json.loads(self.ask("/stats"))["calls"]

    def change(self, **settings):
        self.ask("/control", json.dumps(settings).encode())

    def end(self):
        self.process.end()
        self.process.popen.stdout.close()


def copy_journal(state, place):
    """The journal as it stands, as one file; its owner is dead or stopped."""
    place.mkdir()
    for file in state.glob("journal.db*"):
        shutil.copy(file, place)
    journal = sqlite3.connect(place / "journal.db")
    journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.close()
    return place / "journal.db"


class Cluster:
    def __init__(self, directory, seed, concurrency, shared=False):
        self.shared = directory / "shared" if shared else None
        shares = ["--shared", self.shared] if shared else []
        if shared:
            self.shared.mkdir()
        self.directory, self.state, keys = directory, directory / "state", directory / "keys"
        port, http = free_port(), free_port()
        subprocess.run([binary("gristmill"), "keygen", keys, "--address", f"tcp://127.0.0.1:{port}"],
                       check=True, capture_output=True)
        self.http = f"http://127.0.0.1:{http}"
        self.token_file = keys / "client.token"
        self.coordinator = Member(directory, "coordinator", [
            binary("gristmill-coordinator"), "--listen", f"tcp://127.0.0.1:{port}", "--http",
            f"127.0.0.1:{http}", "--state", self.state, "--keys", keys, "--drain-timeout", 2, *shares])
        self.proxies = [FaultProxy(port, f"{seed}:{n}") for n in range(WORKERS)]
        self.workers = [Member(directory, f"w{n}", [
            binary("gristmill-worker"), "--coordinator", f"tcp://127.0.0.1:{proxy.port}", "--keys", keys,
            "--name", f"w{n}", "--concurrency", concurrency[n], *shares]) for n, proxy in enumerate(self.proxies)]
        self.coordinator.start()
        self.coordinator.process.ready()
        for worker in self.workers:
            worker.start()
        self.snapshots = 0

    def members(self):
        return [self.coordinator, *self.workers]

    def heal(self):
        """Everybody lives and hears the others again."""
        for proxy in self.proxies:
            proxy.heal()
        for member in self.members():
            if member.stopped:
                member.go_on()
        if not self.coordinator.alive():
            self.coordinator.start()
            self.coordinator.process.ready()
        for worker in self.workers:
            if not worker.alive():
                worker.start()

    def look(self):
        for member in self.members():
            member.look()

    def snapshot(self, servers):
        """(moment, journal): the coordinator is dead, or stands still meanwhile; all calls of who
        has died by now are in the servers' logs up to that moment."""
        stand = self.coordinator.alive() and not self.coordinator.stopped
        if stand:
            self.coordinator.stop()
        self.snapshots += 1
        journal = copy_journal(self.state, self.directory / f"kill-{self.snapshots}")
        for server in servers:
            server.calls()
        moment = boot_ns()
        if stand:
            self.coordinator.go_on()
        return moment, journal

    def command(self, *arguments):
        done = subprocess.run([binary("gristmill"), *map(str, arguments), "--server", self.http,
                               "--token-file", str(self.token_file)],
                              capture_output=True, text=True, timeout=PATIENCE_S)
        if done.returncode != 0:
            raise Failure(f"gristmill {arguments[0]} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def job_state(self, job):
        request = urllib.request.Request(f"{self.http}/api/v1/jobs/{job}", headers={
            "Authorization": f"Bearer {self.token_file.read_text().strip()}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.load(answer)["state"]
        except (OSError, urllib.error.URLError):
            return "unknown"  # just started

    def end(self):
        for proxy in self.proxies:
            proxy.heal()
        for member in self.members():
            member.kill()
            member.process.popen.stdout.close()
        for proxy in self.proxies:
            proxy.close()
