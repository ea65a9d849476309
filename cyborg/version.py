"""The version of this installation, as pbr recorded it."""

from importlib import metadata

DISTRIBUTION = "openstack-cyborg"


def version() -> str:
    """Return the installed version, or ``unknown`` when run from a bare tree."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
