h = connect()
wanted = bytearray(b"a" * (64 * KIB))
wanted[512:1024] = b"b" * 512
wanted[8 * KIB : 12 * KIB] = bytes(4 * KIB)
wanted[16 * KIB : 20 * KIB] = bytes(4 * KIB)
expect_same(h.pread(64 * KIB, 0), wanted, "the first 64 KiB")
expect_same(h.pread(64 * KIB, MIB), bytearray(8 * KIB) + b"c" * (56 * KIB), "the second MiB")
expect_same(h.pread(256 * KIB, 2 * MIB), bytearray(b"d" * (256 * KIB)), "the write with FUA alone")
h.shutdown()
