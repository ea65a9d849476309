"""How Sphinx builds the release notes."""

extensions = ["openstackdocstheme", "reno.sphinxext"]

project = "Cyborg Release Notes"
copyright = "OpenStack Foundation"
master_doc = "index"
html_theme = "openstackdocs"
pygments_style = "native"

openstackdocs_repo_name = "openstack/cyborg"
openstackdocs_auto_name = False
openstackdocs_use_storyboard = False
openstackdocs_bug_project = "openstack-cyborg"
openstackdocs_bug_tag = ""
