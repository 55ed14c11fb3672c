"""Packages from npm for the tests that need them, as a folder's package-lock.json says, brought once, into
.cache/.
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness import ROOT


def install_node():
    """Few tests need it, and it brings some hundred packages: it is not among those of `./x setup`."""
    if shutil.which("node") and shutil.which("npm"):
        return
    done = subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "nodejs", "npm"],
                          capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError("expected node and npm, got neither, and they could not be installed; "
                           f"`apt-get install nodejs npm` says: {done.stdout}{done.stderr}")


def place_of(folder):
    """Where the folder's packages are once they have been brought."""
    lock = (folder / "package-lock.json").read_bytes()
    name = folder.name.replace("_", "-")
    return ROOT / ".cache" / f"{name}-{hashlib.sha256(lock).hexdigest()[:16]}"


def installed(folder):
    """The directory of node's packages; it appears whole or not at all."""
    install_node()
    place = place_of(folder)
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            fresh = pathlib.Path(scratch) / "fresh"
            fresh.mkdir()
            for file in ("package.json", "package-lock.json"):
                shutil.copy(folder / file, fresh)
            done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=fresh,
                                  capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                raise RuntimeError(f"npm ci ended with {done.returncode}: {done.stdout}{done.stderr}")
            os.rename(fresh, place)
    return place / "node_modules"
