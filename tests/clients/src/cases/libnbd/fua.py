h = connect()
expect(h.can_fua(), "FUA is offered")
FUA = nbd.CMD_FLAG_FUA
h.pwrite(b"a" * (64 * KIB), 0, FUA)
h.pwrite(b"b" * 512, 512, FUA)
h.pwrite(b"c" * (64 * KIB), MIB)
h.zero(4 * KIB, 8 * KIB, FUA)
h.trim(4 * KIB, 16 * KIB, FUA)
h.zero(8 * KIB, MIB, FUA | nbd.CMD_FLAG_NO_HOLE)
# The bit means nothing on these, and the specification lets a client set it.
h.pread(512, 0, 0)
h.flush()
# The last write is not followed by a flush: only its own flag makes it stable.
h.pwrite(b"d" * (256 * KIB), 2 * MIB, FUA)
os._exit(0)
