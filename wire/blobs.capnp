@0x8953d9c7138b0f99;
using Q = import "annotations.capnp";

# Encrypted files. A blob belongs to the account that uploads it and to one channel, whose members may read it.

struct BlobUsage {
  # BlobUsage asks how much room the own account has for blobs.
}

struct BlobUsageReply {
  # BlobUsageReply says so: a client refuses early, with a good sentence.

  largest @0 :UInt64;                    # bytes that one blob may have
  quota @1 :UInt64;                      # bytes that all blobs of an account may have, each counted with overhead
  used @2 :UInt64;                       # bytes that they have now, uploads under way as a whole
  overhead @3 :UInt32;                   # bytes that each blob counts for besides its own
}

struct BlobCreate {
  # BlobCreate begins an upload, or goes on with one.

  channel @0 :Data $Q.channel;
  blob @1 :Data $Q.len(32);              # SHA-256 of the whole: the address
  size @2 :UInt64 $Q.min(1);
  once @3 :Bool;                         # it goes once another account has read it to its end
}

struct BlobCreateReply {
  # BlobCreateReply says how many bytes are durable already.

  offset @0 :UInt64;
  complete @1 :Bool;
}

struct BlobWrite {
  # BlobWrite appends bytes, which are durable when it is answered. The last ones make the blob complete, if its hash is right.

  channel @0 :Data $Q.channel;
  blob @1 :Data $Q.len(32);
  offset @2 :UInt64;                     # as the server said last: else blob-offset
  data @3 :Data $Q.min(1) $Q.max(1048576);
}

struct BlobWriteReply {
  # BlobWriteReply says how many bytes are durable now.

  offset @0 :UInt64;
  complete @1 :Bool;
}

struct BlobRead {
  # BlobRead reads a part of a complete blob, as a member of its channel.

  channel @0 :Data $Q.channel;
  blob @1 :Data $Q.len(32);
  offset @2 :UInt64;
  length @3 :UInt32 $Q.min(1) $Q.max(1048576);
}

struct BlobReadReply {
  # BlobReadReply carries it: less than was asked for only at the end.

  size @0 :UInt64;
  data @1 :Data $Q.max(1048576);
}

struct BlobDrop {
  # BlobDrop gives a blob up: one of the own account, or one to be read once, by the device that read it to its end.

  channel @0 :Data $Q.channel;
  blob @1 :Data $Q.len(32);
}

struct BlobDropReply {
  # BlobDropReply confirms that it is gone, whether it was there or not.
}
