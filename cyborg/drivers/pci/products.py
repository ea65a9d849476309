"""Names of vendors and products, from the driver's table and the operator's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from cyborg.drivers.contract import ConfigurationError, plain

OPTION = "[pci] product_files"

_ID = "^[0-9a-f]{4}\\Z"
_TABLE = jsonschema.Draft202012Validator(
    {
        "type": "object",
        "propertyNames": {"pattern": _ID},
        "additionalProperties": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "pattern": "^[A-Z0-9_]{1,64}\\Z"},
                "products": {
                    "type": "object",
                    "propertyNames": {"pattern": _ID},
                    "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 255},
                },
            },
            "additionalProperties": False,
        },
    }
)


@dataclass(frozen=True, slots=True)
class Products:
    """Names by ids; a later file's take the place of an earlier one's."""

    #: Vendor's id to its name: capitals, digits and underscores.
    vendors: dict[str, str]
    #: Vendor's and product's id to the product's name.
    products: dict[tuple[str, str], str]

    def vendor(self, vendor_id: str) -> str | None:
        """Return a vendor's name."""
        return self.vendors.get(vendor_id)

    def model(self, vendor_id: str, product_id: str) -> str:
        """Return a product's name; its ids where it has none."""
        return self.products.get((vendor_id, product_id), f"{vendor_id}:{product_id}")


def load_products(paths: Sequence[str]) -> Products:
    """Return the names of the driver's own table, and of these files.

    :raises ConfigurationError: one cannot be read, or has another form.
    """
    own = resources.files("cyborg.drivers.pci").joinpath("products.yaml").read_text()
    found = Products({}, {})
    _add(found, yaml.safe_load(own))
    for path in paths:
        _add(found, _checked(path))
    return found


def _checked(path: str) -> Any:
    try:
        table = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise _refused(path, str(error)) from error
    wrong = jsonschema.exceptions.best_match(_TABLE.iter_errors(table))
    if wrong is not None:
        where = ".".join(str(part) for part in wrong.absolute_path)
        raise _refused(path, f"{where}: {wrong.message}" if where else wrong.message)
    return table


def _add(found: Products, table: dict[str, Any]) -> None:
    for vendor_id, vendor in table.items():
        if "name" in vendor:
            found.vendors[vendor_id] = vendor["name"]
        for product_id, name in vendor.get("products", {}).items():
            found.products[vendor_id, product_id] = plain(name, 255)


def _refused(path: str, why: str) -> ConfigurationError:
    return ConfigurationError(plain(f"{OPTION}: {path}: {why}", 400))
