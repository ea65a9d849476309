"""The bitstreams of this host: from Glance, or from a directory, checked before they are used.

What is downloaded is kept under a name made of its hash: ``state_path/agent/bitstreams``. A file
gets that name when all of it is there and its hash is right, so that one which is there is
whole; and it is read once more before each use, since a disk can lie too.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from oslo_config import cfg
from oslo_log import log

from cyborg.agent.bitstream_cache import BitstreamCache
from cyborg.clients.glance import Glance, Image
from cyborg.domain.errors import CyborgError, ServiceUnavailable
from cyborg.drivers.contract import Bitstream

LOG = log.getLogger(__name__)

MIB = 1024 * 1024
_PART = 1024 * 1024
_HEX = re.compile(r"[0-9a-f]{16,256}\Z")


class BitstreamError(CyborgError):
    """A bitstream cannot be had; ``str(error)`` says why, in one line that users see."""

    code = "cyborg.bitstream"


class _Broken(BitstreamError):
    """This time: it may be right the next time."""


@dataclass(frozen=True, slots=True)
class _Digest:
    """What the data of an image must be."""

    algorithm: str
    value: str

    @property
    def file_name(self) -> str:
        return f"{self.algorithm}-{self.value}"

    def start(self) -> hashlib._Hash:
        return hashlib.new(self.algorithm, usedforsecurity=False)


class Bitstreams:
    """Where the bitstreams of this host come from. Safe for several threads."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        glance: Glance | None,
        cache: BitstreamCache,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._conf = conf
        self._glance = glance
        self._cache = cache
        self._clock = clock

    def fetch(self, image_uuid: str, project_id: str | None) -> Bitstream:
        """Return a bitstream as a file of this host; :meth:`release` it after its use.

        May take minutes. Touches no device.

        :raises BitstreamError: it is not there for this project, or not as it must be.
        :raises ServiceUnavailable: Glance cannot be asked.
        """
        image_uuid = str(uuid.UUID(image_uuid))
        if self._glance is not None:
            return self._from_glance(self._glance, image_uuid, project_id)
        if self._conf.agent.bitstream_directory:
            return self._from_directory(Path(self._conf.agent.bitstream_directory), image_uuid)
        raise BitstreamError(
            "This host has no bitstreams: neither [glance] nor [agent] bitstream_directory is set."
        )

    def release(self, bitstream: Bitstream) -> None:
        """Let a bitstream be forgotten when there is no room for it any more."""
        self._cache.unpin(bitstream.path)

    def purge(self) -> None:
        """Delete what is too old, or too much."""
        agent = self._conf.agent
        self._cache.purge(agent.bitstream_cache_size * MIB, agent.bitstream_cache_age)

    @property
    def _most(self) -> int:
        return int(self._conf.agent.bitstream_max_size) * MIB

    def _from_directory(self, directory: Path, image_uuid: str) -> Bitstream:
        path = directory / image_uuid
        try:
            size = path.stat().st_size if path.is_file() else None
        except OSError as error:
            raise BitstreamError(f"Image {image_uuid} cannot be read: {error.strerror}") from error
        if size is None:
            raise _not_found(image_uuid)
        self._check_size(image_uuid, size)
        return Bitstream(image_uuid, path, {})

    def _from_glance(self, glance: Glance, image_uuid: str, project_id: str | None) -> Bitstream:
        image = glance.image(image_uuid, project_id)
        if image is None:
            raise _not_found(image_uuid)
        if image.status != "active":
            raise BitstreamError(f"Image {image_uuid} is {image.status}, not active.")
        if image.size is not None:
            self._check_size(image_uuid, image.size)
        digest = _digest(image)
        path = self._cache.pin(digest.file_name)
        try:
            if not _holds(path, digest):
                self._download(glance, image, digest)
        except OSError as error:
            self._cache.unpin(path)
            raise BitstreamError(f"Image {image_uuid} cannot be stored: {error}") from error
        except BaseException:
            self._cache.unpin(path)
            raise
        return Bitstream(image_uuid, path, image.properties)

    def _download(self, glance: Glance, image: Image, digest: _Digest) -> None:
        for left in reversed(range(self._conf.glance.num_retries + 1)):
            try:
                self._download_once(glance, image, digest)
                return
            except (ServiceUnavailable, _Broken) as error:
                LOG.warning("download failed image=%s left=%d: %s", image.uuid, left, error)
                if not left:
                    raise

    def _download_once(self, glance: Glance, image: Image, digest: _Digest) -> None:
        until = self._clock() + self._conf.agent.bitstream_download_timeout
        found = digest.start()
        size = 0
        with glance.data(image.uuid) as parts, self._cache.new_file(digest.file_name) as file:
            for part in parts:
                size += len(part)
                self._check_size(image.uuid, size)
                if self._clock() > until:
                    raise _Broken(f"The download of image {image.uuid} takes too long.")
                found.update(part)
                file.write(part)
            if found.hexdigest() != digest.value:
                raise _Broken(
                    f"The data of image {image.uuid} are not what Glance says: their "
                    f"{digest.algorithm} differs."
                )
        LOG.info("bitstream downloaded image=%s bytes=%d", image.uuid, size)

    def _check_size(self, image_uuid: str, size: int) -> None:
        if size == 0:
            raise BitstreamError(f"Image {image_uuid} is empty.")
        if size > self._most:
            raise BitstreamError(
                f"Image {image_uuid} is larger than [agent] bitstream_max_size allows."
            )


def _digest(image: Image) -> _Digest:
    """Return the strongest hash of an image that we can compute."""
    algorithm, value = image.hash_algorithm, image.hash_value
    if not (_is_known(algorithm) and value):
        algorithm, value = "md5", image.checksum
    if not (algorithm and value and _HEX.match(value)):
        raise BitstreamError(f"Image {image.uuid} has no hash, so it cannot be checked.")
    return _Digest(algorithm, value)


def _is_known(algorithm: str | None) -> bool:
    if algorithm is None or algorithm not in hashlib.algorithms_available:
        return False
    # Without a length of its own (SHAKE) there is nothing to compare.
    return hashlib.new(algorithm, usedforsecurity=False).digest_size > 0


def _holds(path: Path, digest: _Digest) -> bool:
    """Return whether a file is there and is what it should be."""
    try:
        with path.open("rb") as file:
            found = digest.start()
            for part in _parts(file.fileno()):
                found.update(part)
    except FileNotFoundError:
        return False
    except OSError as error:
        LOG.warning("bitstream cannot be read file=%s: %s", path, error)
        return False
    return found.hexdigest() == digest.value


def _parts(descriptor: int) -> Iterator[bytes]:
    while part := os.read(descriptor, _PART):
        yield part


def _not_found(image_uuid: str) -> BitstreamError:
    return BitstreamError(f"Image {image_uuid} could not be found.")
