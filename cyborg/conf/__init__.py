"""Options: one module a group, all registered by :func:`cyborg.conf.opts.register`."""
