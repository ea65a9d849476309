"""How Sphinx builds the documentation."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
sys.path.insert(0, str(HERE / "_ext"))

extensions = [
    "openstackdocstheme",
    "oslo_config.sphinxext",
    "oslo_policy.sphinxext",
    "errors",
    "openapi",
]

project = "Cyborg"
copyright = "OpenStack Foundation"
master_doc = "index"
html_theme = "openstackdocs"
pygments_style = "native"
nitpicky = True

openstackdocs_repo_name = "openstack/cyborg"
openstackdocs_auto_name = False
openstackdocs_use_storyboard = False
openstackdocs_bug_project = "openstack-cyborg"
openstackdocs_bug_tag = "doc"
