a, b = connect(), connect()
expect(a.can_multi_conn() and b.can_multi_conn(), "CAN_MULTI_CONN is offered")
for round in range(200):
    data = random_bytes(4 * KIB * (1 + round % 9))
    offset = (round % 17) * 96 * KIB
    # An acknowledged write is seen everywhere at once; a flush on either connection covers it.
    a.pwrite(data, offset)
    expect_same(b.pread(len(data), offset), data, "round %d, before the flush" % round)
    (a if round % 2 else b).flush()
    expect_same(b.pread(len(data), offset), data, "round %d, after the flush" % round)
    b.zero(4 * KIB, offset)
    expect_same(a.pread(4 * KIB, offset), bytearray(4 * KIB), "round %d, zeroes of the other" % round)
    a, b = b, a
a.shutdown()
b.shutdown()
