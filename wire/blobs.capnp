@0x8953d9c7138b0f99;
using Q = import "annotations.capnp";

# Encrypted files. Planned: may change until servers answer these methods.

struct BlobCreate {
  # BlobCreate begins or resumes an upload.

  blob @0 :Data $Q.len(32);              # SHA-256 of the whole: the address
  size @1 :UInt64;
}

struct BlobCreateReply {
  # BlobCreateReply says how many bytes are there already.

  offset @0 :UInt64;
}

struct BlobWrite {
  # BlobWrite appends bytes; the last ones make it durable once its hash is right.

  blob @0 :Data $Q.len(32);
  offset @1 :UInt64;
  data @2 :Data $Q.min(1) $Q.max(4194304);
}

struct BlobWriteReply {
  # BlobWriteReply says how many bytes are there now.

  offset @0 :UInt64;
  complete @1 :Bool;
}

struct BlobRead {
  # BlobRead reads a part of a blob.

  blob @0 :Data $Q.len(32);
  offset @1 :UInt64;
  length @2 :UInt32 $Q.min(1) $Q.max(4194304);
}

struct BlobReadReply {
  # BlobReadReply carries it.

  size @0 :UInt64;
  data @1 :Data $Q.max(4194304);
}
