"""The clients that `./x bench` compares: how each is started, and whether it is there."""


class Client:
    """Reads a batch file, posts its bodies with so many in flight, and writes a line for each item."""

    def __init__(self, name, *words):
        self.name, self.words = name, words

    def installed(self):
        return True

    def install(self):
        """Only for those who are asked for by name."""

    def command(self, source, url, output, concurrency):
        return [*self.words, source, "--endpoint", url, "-o", output, "--concurrency", concurrency]


class Ours(Client):
    def command(self, *call):
        import harness  # which looks for the build where bench.py says
        program, *more = super().command(*call)
        return [harness.binary(program), *more]


BARE = Ours("bare", "gristmill-bench-bare")
GRISTMILL = Ours("gristmill", "gristmill", "run")
CLIENTS = {client.name: client for client in (BARE, GRISTMILL)}


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
