pytest_plugins = ["cyborg.tests.servers.plugin"]
