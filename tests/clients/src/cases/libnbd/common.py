import errno
import os
import sys

import nbd

URI = sys.argv[1]
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def connect(**options):
    """A handle on the vDisk; options are libnbd's setters without `set_`."""
    handle = nbd.NBD()
    handle.add_meta_context("base:allocation")
    # What the server gets is what the test says, not what the library would allow.
    handle.set_strict_mode(0)
    for name, value in options.items():
        getattr(handle, "set_" + name)(value)
    handle.connect_uri(URI)
    return handle


def expect(condition, what):
    if not condition:
        sys.exit("not so: " + what)


def expect_error(number, function, *arguments, **named):
    """The call fails with this error of the server's."""
    try:
        function(*arguments, **named)
    except nbd.Error as error:
        expect(error.errnum == number, "errno %s, found %s" % (errno.errorcode[number], error))
        return
    sys.exit("not refused: %s%r" % (function.__name__, arguments))


def expect_same(found, wanted, what):
    if found != wanted:
        at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), min(len(found), len(wanted)))
        sys.exit("%s differs at byte %d of %d" % (what, at, len(wanted)))


def random_bytes(length):
    return bytearray(os.urandom(length))


def extents(handle, length, offset, flags=0):
    """Block status as a list of (length, flags)."""
    found = []

    def on_extents(context, at, entries, error):
        expect(context == "base:allocation" and at == offset, "status is for what was asked")
        found.extend(zip(entries[0::2], entries[1::2]))
        return 0

    handle.block_status(length, offset, on_extents, flags)
    expect(found, "status has at least one extent")
    return found
