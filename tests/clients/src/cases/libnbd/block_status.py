h = connect()
expect(h.can_meta_context("base:allocation"), "base:allocation is offered")
HOLE = nbd.STATE_HOLE | nbd.STATE_ZERO
h.pwrite(b"x" * MIB, 16 * MIB)
h.pwrite(b"y" * MIB, 32 * MIB)
h.flush()


def merged(length, offset):
    """All of a range, by as many requests as it takes."""
    found, end = [], offset + length
    while offset < end:
        for extent, flags in extents(h, end - offset, offset):
            extent = min(extent, end - offset)
            if found and found[-1][1] == flags:
                found[-1] = (found[-1][0] + extent, flags)
            else:
                found.append((extent, flags))
            offset += extent
            if offset == end:
                break
    return found


expect(
    merged(64 * MIB, 0) == [(16 * MIB, HOLE), (MIB, 0), (15 * MIB, HOLE), (MIB, 0), (31 * MIB, HOLE)],
    "the map is %r" % merged(64 * MIB, 0),
)
expect(merged(MIB, 16 * MIB + 512 * KIB) == [(512 * KIB, 0), (512 * KIB, HOLE)], "a range begins and ends anywhere")
one = extents(h, 64 * MIB, 0, nbd.CMD_FLAG_REQ_ONE)
expect(len(one) == 1 and one[0][1] == HOLE and 0 < one[0][0] <= 16 * MIB, "REQ_ONE gives one extent: %r" % one)
one = extents(h, 8 * KIB, 16 * MIB, nbd.CMD_FLAG_REQ_ONE)
expect(one == [(8 * KIB, 0)], "REQ_ONE does not reach beyond the request: %r" % one)
# A discard becomes a hole.
h.trim(MIB, 16 * MIB)
expect(merged(20 * MIB, 0) == [(20 * MIB, HOLE)], "a discard is a hole: %r" % merged(20 * MIB, 0))
# The whole disk in one request.
expect(sum(length for length, _ in merged(h.get_size(), 0)) == h.get_size(), "the whole disk has a status")
h.shutdown()
