h = connect()
expect(h.can_zero(), "WRITE_ZEROES is offered")
NO_HOLE, FAST = nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_FAST_ZERO
h.pwrite(b"x" * (4 * MIB), 0)
wanted = bytearray(b"x" * (4 * MIB))
for offset, length, flags in [
    (0, 4 * KIB, 0),
    (64 * KIB, 64 * KIB, NO_HOLE),
    (MIB, MIB, nbd.CMD_FLAG_FUA),
    # Odd ends must be zero to the byte.
    (2 * MIB + 1, 10 * KIB + 7, 0),
    (3 * MIB + 512, 512, NO_HOLE),
]:
    h.zero(length, offset, flags)
    wanted[offset : offset + length] = bytes(length)
expect_same(h.pread(4 * MIB, 0), wanted, "zeroes")
# Fast or refused: both are right, wrong bytes are not. (That ours offers it, nbdinfo says.)
for offset, length in [(3 * MIB, 128 * KIB), (512 * KIB, 4 * KIB)]:
    if not h.can_fast_zero():
        break
    try:
        h.zero(length, offset, FAST)
        wanted[offset : offset + length] = bytes(length)
    except nbd.Error as error:
        expect(error.errnum == errno.EOPNOTSUPP, "FAST_ZERO is refused with ENOTSUP, found %s" % error)
expect_same(h.pread(4 * MIB, 0), wanted, "zeroes after FAST_ZERO")
# A length has 32 bits.
h.pwrite(b"y" * MIB, 6 * GIB)
h.zero(4 * GIB - 4 * KIB, 4 * GIB, 0)
expect_same(h.pread(MIB, 6 * GIB), bytearray(MIB), "zeroes of almost 4 GiB")
h.flush()
h.shutdown()
