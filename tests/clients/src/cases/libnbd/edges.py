h = connect()
size = h.get_size()
expect(size == GIB, "the size is what was asked for, found %d" % size)
h.pwrite(b"e" * 512, size - 512)
expect_same(h.pread(512, size - 512), bytearray(b"e" * 512), "the last sector")
h.pwrite(b"o", size - 1)
expect_same(h.pread(2, size - 2), bytearray(b"eo"), "the last byte")
# Beyond the end: an error, nothing done, and the connection lives on.
expect_error(errno.EINVAL, h.pread, 512, size)
expect_error(errno.EINVAL, h.pread, 512, size - 256)
for verb in (h.zero, h.trim):
    try:
        verb(MIB, size - 512)
        sys.exit("beyond the end is not refused")
    except nbd.Error as error:
        expect(error.errnum in (errno.EINVAL, errno.ENOSPC), "refused as beyond the end, found %s" % error)
try:
    h.pwrite(b"x" * 512, size - 256)
    sys.exit("a write beyond the end is not refused")
except nbd.Error as error:
    expect(error.errnum in (errno.EINVAL, errno.ENOSPC), "refused as beyond the end, found %s" % error)
expect_same(h.pread(2, size - 2), bytearray(b"eo"), "the last bytes after all that")
h.flush()
h.shutdown()
# A client that hangs up in the middle of a write harms nobody.
import socket
import struct
from urllib.parse import urlparse

parts = urlparse(URI)
for cut in range(12):
    s = socket.create_connection((parts.hostname, parts.port))
    s.recv(18, socket.MSG_WAITALL)
    name = parts.path[1:].encode()
    s.sendall(struct.pack(">I", 3))
    s.sendall(b"IHAVEOPT" + struct.pack(">III", 1, len(name), 0)[:8] + name)
    s.recv(10, socket.MSG_WAITALL)
    request = struct.pack(">IHHQQI", 0x25609513, 0, 1, 7, 0, 64 * KIB) + b"h" * (64 * KIB)
    s.sendall(request[: 1 + cut * 5000])
    s.close()
h = connect()
expect_same(h.pread(64 * KIB, 0), bytearray(64 * KIB), "half a write is no write")
h.shutdown()
