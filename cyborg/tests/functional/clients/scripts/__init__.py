"""What runs inside the clients' virtual environment, where nothing of ours is installed.

``call.py`` is started as a program and reads one of the others from its file; nothing here may
import anything of this package.
"""
