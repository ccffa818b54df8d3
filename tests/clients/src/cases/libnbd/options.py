from urllib.parse import urlparse

parts = urlparse(URI)
HOST, PORT, NAME = parts.hostname, str(parts.port), parts.path[1:]


def negotiate(name=NAME):
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.set_export_name(name)
    h.connect_tcp(HOST, PORT)
    return h


h = negotiate()
names = []
expect(h.opt_list(lambda name, description: names.append(name) and 0 or 0) == 1, "one export is listed")
expect(names == [NAME], "the list names the vDisk, found %r" % names)
h.opt_info()
expect(h.get_size() == GIB, "INFO tells the size")
h.add_meta_context("base:allocation")
contexts = []
h.opt_list_meta_context(lambda name: contexts.append(name) and 0 or 0)
expect(contexts == ["base:allocation"], "contexts can be listed, found %r" % contexts)
# A name that is not there is refused, and negotiation goes on.
h.set_export_name("nobody")
expect_error(errno.ENOENT, h.opt_go)
h.set_export_name(NAME)
h.opt_go()
expect(h.pread(512, 0) == bytearray(512), "the vDisk can be read")
h.shutdown()
# ABORT ends it politely.
h = negotiate()
h.opt_abort()
# The option of before GO.
h = nbd.NBD()
h.set_request_structured_replies(False)
h.set_handshake_flags(nbd.HANDSHAKE_FLAG_FIXED_NEWSTYLE | nbd.HANDSHAKE_FLAG_NO_ZEROES)
h.set_opt_mode(True)
h.set_export_name(NAME)
h.connect_tcp(HOST, PORT)
h.opt_go()
h.pwrite(b"n" * 512, 0)
expect(h.pread(512, 0) == bytearray(b"n" * 512), "a second client can write")
h.shutdown()
