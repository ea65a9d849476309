"""What the private servers need from the machine: binaries, ports, an account, a folder."""

import os
import pwd
import random
import re
import shutil
import socket
import stat
import tempfile
from glob import glob
from pathlib import Path

# Below the ports that the kernel gives to outgoing connections: with one of those, a client that
# keeps trying while the server is down can be connected to itself and then holds the server's
# port. Above the standard ports of the servers and of RabbitMQ's distribution.
PORTS = range(26000, 32768)
PORT_ATTEMPTS = 200


class Port:
    """A free TCP port of 127.0.0.1, ours until it is released.

    :raises OSError: no free port was found.
    """

    def __init__(self) -> None:
        # Not the shared generator: test plugins seed that alike in all parallel test processes.
        chance = random.SystemRandom()
        for _ in range(PORT_ATTEMPTS):
            self.number = chance.choice(PORTS)
            self._lock = socket.socket(socket.AF_UNIX)
            try:
                # An abstract name vanishes with its process; it keeps the port from other test
                # processes while the server is not (or not yet) listening.
                self._lock.bind(f"\0cyborg-test-port-{self.number}")
                with socket.socket() as trial:
                    trial.bind(("127.0.0.1", self.number))
            except OSError:
                self._lock.close()
            else:
                return
        raise OSError(f"no free port between {PORTS.start} and {PORTS.stop}")

    def release(self) -> None:
        """Let others have the port."""
        self._lock.close()


def newest(pattern: str) -> list[str]:
    """Return the paths that match a glob pattern, highest version number first."""
    return sorted(glob(pattern), key=lambda path: [int(n) for n in re.findall(r"\d+", path)])[::-1]


def find_binary(name: str, *patterns: str) -> str | None:
    """Return the path of a program: from PATH, else from the folders that the patterns match."""
    folders = [folder for pattern in patterns for folder in newest(pattern)]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))


def account_for(user: str) -> tuple[int, int] | None:
    """Return the uid and gid that a server has to run as, None for those we have.

    As root that is the server's own user, or ``nobody``: PostgreSQL refuses to run as root, and
    the others, which are open to every local user, would give root's rights away.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def make_folder(prefix: str, account: tuple[int, int] | None) -> Path:
    """Make a temporary folder that belongs to the account and that it can reach."""
    top = Path(tempfile.gettempdir()).resolve()
    if account is not None:
        passable = all(path.stat().st_mode & stat.S_IXOTH for path in (top, *top.parents))
        top = top if passable else Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=top))
    if account is not None:
        os.chown(folder, *account)
    return folder
