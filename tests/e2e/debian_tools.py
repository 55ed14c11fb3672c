"""Programs of Debian's packages that few tests need, taken out of their packages, once, into .cache/: installing
them would start their services.
"""
import pathlib
import shutil
import subprocess
import tempfile

from harness import ROOT


def unpacked(package):
    """The directory of the package's files; it appears whole or not at all."""
    place = ROOT / ".cache" / f"debian-{package}"
    if place.exists():
        return place
    place.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        fresh = pathlib.Path(scratch) / "fresh"
        command = ["apt-get", "-qq", "download", package]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=300)
        archives = list(pathlib.Path(scratch).glob("*.deb"))
        if done.returncode != 0 or len(archives) != 1:
            raise RuntimeError(f"expected one package of `{' '.join(command)}`, got {len(archives)}; "
                               f"`apt-get update` may help: {done.stderr}")
        subprocess.run(["dpkg", "-x", str(archives[0]), str(fresh)], check=True, timeout=300)
        shutil.move(fresh, place)
    return place
