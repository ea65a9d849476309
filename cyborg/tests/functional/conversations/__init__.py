"""What clients say and what the API answers, one YAML file a subject.

Each conversation has a service of its own: the API, the conductor's use cases behind it, and a
database. Only the message queue, Keystone and the agents are left out.
"""
