h = connect()
SIZE, COUNT = 32 * MIB, 4
blocks = [random_bytes(SIZE) for _ in range(COUNT)]
# All in flight at once.
cookies = [h.aio_pwrite(nbd.Buffer.from_bytearray(block), i * SIZE) for i, block in enumerate(blocks)]
while h.aio_in_flight():
    h.poll(-1)
for cookie in cookies:
    expect(h.aio_command_completed(cookie), "a write of 32 MiB completes")
buffers = [nbd.Buffer(SIZE) for _ in blocks]
cookies = [h.aio_pread(buffer, i * SIZE) for i, buffer in enumerate(buffers)]
while h.aio_in_flight():
    h.poll(-1)
for cookie, buffer, block in zip(cookies, buffers, blocks):
    expect(h.aio_command_completed(cookie), "a read of 32 MiB completes")
    expect_same(buffer.to_bytearray(), block, "32 MiB")
# Not aligned to anything.
h.pwrite(blocks[0][: SIZE - 7], 300 * MIB + 13)
expect_same(h.pread(SIZE - 7, 300 * MIB + 13), blocks[0][: SIZE - 7], "almost 32 MiB at an odd place")
expect_same(h.pread(13, 300 * MIB), bytearray(13), "what is before it")
h.flush()
h.shutdown()
