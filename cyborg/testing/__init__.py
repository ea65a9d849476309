"""What packages outside of this tree may use in their tests, and this tree's do too.

It needs pytest, and no server. It is shipped with the service, not with the service's tests.
"""
