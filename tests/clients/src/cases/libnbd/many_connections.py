COUNT, BLOCK, DEPTH = 64, 64 * KIB, 8
handles = [connect() for _ in range(COUNT)]
blocks = {}
for round in range(3):
    writes = []
    for i, h in enumerate(handles):
        for j in range(DEPTH):
            offset = (i * DEPTH + j) * BLOCK
            blocks[offset] = random_bytes(BLOCK)
            writes.append((h, h.aio_pwrite(nbd.Buffer.from_bytearray(blocks[offset]), offset)))
    for h in handles:
        while h.aio_in_flight():
            h.poll(-1)
    for h, cookie in writes:
        expect(h.aio_command_completed(cookie), "a write completes")
    handles[round].flush()
    # Each is read on another connection than it was written on.
    for i, h in enumerate(handles):
        for j in range(DEPTH):
            offset = (((i + 7) % COUNT) * DEPTH + j) * BLOCK
            expect_same(h.pread(BLOCK, offset), blocks[offset], "block at %d" % offset)
for h in handles:
    h.shutdown()
