"""How Sphinx builds the API reference."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "doc" / "source" / "_ext"))

from cyborg.api import microversions  # noqa: E402 -- from the checkout, whose path comes first

extensions = ["openstackdocstheme", "os_api_ref", "errors"]

project = "Accelerator API Reference"
copyright = "OpenStack Foundation"
master_doc = "index"
html_theme = "openstackdocs"
html_theme_options = {"sidebar_mode": "toc"}
pygments_style = "native"
nitpicky = True

os_api_ref_min_microversion = microversions.text(microversions.MINIMUM)
os_api_ref_max_microversion = microversions.text(microversions.MAXIMUM)

openstackdocs_repo_name = "openstack/cyborg"
openstackdocs_auto_name = False
openstackdocs_use_storyboard = False
openstackdocs_bug_project = "openstack-cyborg"
openstackdocs_bug_tag = "api-ref"
