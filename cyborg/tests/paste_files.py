"""Paste files, with what deployment tools write into theirs."""

from __future__ import annotations

_COMMON = """
[app:api_v2]
paste.app_factory = cyborg.api.app:app_factory

[filter:authtoken]
acl_public_routes = /, /v2
paste.filter_factory = cyborg.api.middleware.auth_token:AuthTokenMiddleware.factory

[filter:request_id]
paste.filter_factory = oslo_middleware:RequestId.factory

[filter:cors]
oslo_config_project = cyborg
paste.filter_factory = oslo_middleware.cors:filter_factory
"""

#: Kolla-Ansible and OpenStack-Helm have the same sections: Helm sorted, Kolla with a filter
#: that no pipeline has, and whose module nobody has.
HELM = _COMMON + "\n[pipeline:main]\npipeline = cors request_id authtoken api_v2\n"
KOLLA = f"""\
[pipeline:main]
pipeline = cors request_id authtoken api_v2
{_COMMON}
[filter:osprofiler]
paste.filter_factory = cyborg.common.profiler:WsgiMiddleware.factory
"""

#: With keystonemiddleware's own filter, which knows no public routes.
PLAIN_KEYSTONE = f"""{_COMMON}
[filter:keystone]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory

[pipeline:main]
pipeline = request_id keystone api_v2
"""

#: Nobody authenticates, and there are no other filters.
OPEN = f"{_COMMON}\n[pipeline:main]\npipeline = api_v2\n"

URLMAP = f"""\
[composite:main]
use = egg:Paste#urlmap
/ = public
/accelerator = public

[pipeline:public]
pipeline = cors request_id authtoken api_v2
{_COMMON}
"""
