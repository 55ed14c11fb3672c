"""An answer cache as a program of ours would have left it, for tests of the commands that look into one."""
import contextlib
import re
import sqlite3
import time

from harness import ROOT

SCHEMA = (ROOT / "coordinator/cache/cache_schema.hpp").read_text()


def constant(name):
    return int(re.search(rf"{name} = (\w+);", SCHEMA)[1], 0)


def make_cache(directory, hours_ago, bytes_max=1 << 20):
    """One entry of 1,000 bytes for each of `hours_ago`, last used then."""
    directory.mkdir(mode=0o700)
    path, hour = directory / "answers.db", int(time.time()) // 3_600
    with contextlib.closing(sqlite3.connect(path)) as cache:
        cache.executescript(f"PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL; BEGIN;"
                            f"PRAGMA application_id={constant('cache_application_id')};"
                            f"PRAGMA user_version={constant('cache_version')};"
                            + re.search(r'R"\((.*)\)"', SCHEMA, re.S)[1] + "COMMIT;")
        for n, ago in enumerate(hours_ago):
            cache.execute("INSERT INTO entries(key, http_status, request_id, model, endpoint, size, created, checksum,"
                          " used, bytes, packed) VALUES(?, 200, 'r', 'm', 'e', 3000, 0, 0, ?, 1000, zeroblob(869))",
                          (n.to_bytes(16, "big"), hour - ago))
        cache.execute("UPDATE meta SET value = ? WHERE key = 'bytes_max'", (bytes_max,))
        cache.commit()
    return path
