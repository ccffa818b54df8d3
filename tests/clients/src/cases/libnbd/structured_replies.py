data = random_bytes(4 * MIB)
h = connect()
expect(h.get_structured_replies_negotiated(), "structured replies are negotiated")
expect(h.can_df(), "DF is offered")
h.pwrite(data, MIB)
h.flush()
wanted = bytearray(MIB) + data + bytearray(MIB)
chunks = []


def on_chunk(part, offset, status, error):
    chunks.append((offset, len(part), status))
    return 0


expect_same(h.pread_structured(6 * MIB, 0, on_chunk), wanted, "a structured read")
chunks.sort()
position = 0
for offset, length, status in chunks:
    expect(offset == position and status in (nbd.READ_DATA, nbd.READ_HOLE), "chunks neither overlap nor leave gaps")
    position += length
expect(position == 6 * MIB, "chunks cover the request")
# Not fragmented: one chunk of data, or the server says that it is too much.
chunks.clear()
expect_same(h.pread_structured(64 * KIB, MIB, on_chunk, nbd.CMD_FLAG_DF), data[: 64 * KIB], "a read with DF")
expect(len(chunks) == 1, "DF gives one chunk, found %r" % chunks)
h.shutdown()
# A client of before: simple replies, the same bytes.
h = connect(request_structured_replies=False)
expect(not h.get_structured_replies_negotiated(), "simple replies are possible")
expect_same(h.pread(6 * MIB, 0), wanted, "a simple read")
h.pwrite(b"z" * 512, 100)
expect_same(h.pread(512, 100), bytearray(b"z" * 512), "a simple write")
h.shutdown()
