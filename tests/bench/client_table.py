"""The clients that `./x bench` compares: how each is started, and whether it is there."""
import json
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent / "clients"
DEBIAN_PYTHON = "/usr/bin/python3"  # the one that Debian's packages are for
WRK_SECONDS = 5


class Client:
    """Reads a batch file, posts its bodies with so many in flight, and writes a line for each item."""
    reads_batch = True

    def __init__(self, name, *words):
        self.name, self.words = name, words

    def installed(self):
        return True

    def install(self):
        if not self.installed():
            raise SystemExit(f"bench: {self.name} is not installed; ./x setup does it")

    def command(self, source, url, output, concurrency):
        return [*self.words, source, "--endpoint", url, "-o", output, "--concurrency", concurrency]

    def outcome(self, output, printed, seconds):
        """(items, the seconds they took) of a run that ended well."""
        with open(output, "rb") as file:
            return sum(1 for _ in file), seconds


class Ours(Client):
    def command(self, *call):
        import harness  # like npm_packages below: it looks for the build where bench.py says
        program, *more = super().command(*call)
        return [harness.binary(program), *more]


class Aiohttp(Client):
    def installed(self):
        return subprocess.run([DEBIAN_PYTHON, "-c", "import aiohttp"], capture_output=True).returncode == 0


class Node(Client):
    """With packages from npm, which come only where it is asked for by name."""

    def installed(self):
        import npm_packages
        return shutil.which("node") is not None and npm_packages.place_of(HERE).exists()

    def install(self):
        import npm_packages
        npm_packages.installed(HERE)

    def command(self, *call):
        import npm_packages
        return ["env", f"NODE_PATH={npm_packages.installed(HERE)}", "node", *super().command(*call)]


class Wrk(Client):
    """No batch client: it posts one body for some seconds. What it reaches is what the server can do."""
    reads_batch = False

    def installed(self):
        return shutil.which("wrk") is not None

    def command(self, source, url, output, concurrency):
        return [*self.words, "--connections", concurrency, f"{url}/chat/completions"]

    def outcome(self, output, printed, seconds):
        said = json.loads(printed.splitlines()[-1])
        if said["failed"] or not said["items"]:
            raise SystemExit(f"bench: expected each request of wrk to succeed, got {printed}")
        return said["items"], said["seconds"]


BARE = Ours("bare", "gristmill-bench-bare")
GRISTMILL = Ours("gristmill", "gristmill", "run")
CLIENTS = {client.name: client for client in (
    BARE,
    GRISTMILL,
    Wrk("wrk", "wrk", "--threads", 1, "--duration", f"{WRK_SECONDS}s", "--timeout", "60s", "--script",
        HERE / "wrk_post.lua"),
    Aiohttp("aiohttp", DEBIAN_PYTHON, HERE / "aiohttp_client.py"),
    Node("undici", HERE / "undici_client.js"),
    Node("openai", HERE / "openai_client.js"),
)}


def chosen(names):
    """The clients of these names, installed; without names all that are installed already."""
    if not names:
        return [client for client in CLIENTS.values() if client.installed()]
    if unknown := [name for name in names if name not in CLIENTS]:
        raise SystemExit(f"bench: expected clients among {','.join(CLIENTS)}, got {','.join(unknown)}")
    if BARE.name not in names:
        raise SystemExit(f"bench: expected bare among the clients, which the others are compared with, got "
                         f"{','.join(names)}")
    clients = [client for client in CLIENTS.values() if client.name in names]
    for client in clients:
        client.install()
    return clients
