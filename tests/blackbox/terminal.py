"""A command on a terminal of a given width."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(command, columns, environment, timeout=120):
    """Runs a command whose output and errors are a terminal; returns its exit status and all lines it ever showed there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = bytearray()
    # Reading fails once nobody has the other side open any more.
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        pass
    os.close(ours)
    status = process.wait(timeout)
    lines = re.split(r"[\r\n]+", CONTROL.sub("", shown.decode()))
    return status, [line.rstrip() for line in lines if line.strip()]
