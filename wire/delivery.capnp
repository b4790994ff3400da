@0xe1a8559b05ed23f2;
using Q = import "annotations.capnp";

# Messages on their way. Planned: may change until servers answer these methods.

struct Send {
  # Send hands an MLS message to the hub of its channel.

  channel @0 :Data $Q.channel;
  generation @1 :UInt32;
  epoch @2 :UInt64;
  id @3 :Data $Q.len(16);                # for repetitions: same id and payload is one message
  payload @4 :Data $Q.min(1) $Q.max(1048576);
  ttlSeconds @5 :UInt32;                 # 0: the server's default
}

struct SendReply {
  # SendReply is the hub's signed receipt: the message is durable, and no more is said.

  sequence @0 :UInt64;
  time @1 :Int64 $Q.time;
  signature @2 :Data $Q.len(64);
}

struct SendEphemeral {
  # SendEphemeral hands on a message that nobody stores: typing, presence.

  channel @0 :Data $Q.channel;
  payload @1 :Data $Q.max(4096);
}

struct SendEphemeralReply {
  # SendEphemeralReply confirms the attempt.
}

enum InboxKind $Q.open {
  # InboxKind says what an inbox row carries.

  message @0;
  commit @1;
  welcome @2;
  gap @3;     # messages were dropped for lack of space
  removed @4; # the account is no longer a member
}

struct InboxRow {
  # InboxRow is one row of an account's inbox.

  sequence @0 :UInt64;                   # of the inbox
  kind @1 :InboxKind;
  channel @2 :Data $Q.channel;
  channelSequence @3 :UInt64;            # gaps are judged by this one
  time @4 :Int64 $Q.time;
  payload @5 :Data $Q.max(4194304);
  receipt @6 :Data $Q.max(256);
}

struct InboxFetch {
  # InboxFetch reads rows after a sequence number; they stay until acknowledged.

  after @0 :UInt64;
  limit @1 :UInt16;
  waitSeconds @2 :UInt16;                # long poll; the server waits at most 60
}

struct InboxFetchReply {
  # InboxFetchReply carries rows in order.

  rows @0 :List(InboxRow) $Q.max(1024);
  head @1 :UInt64;                       # newest sequence number there is
}

struct InboxAck {
  # InboxAck advances this device's cursor: all rows up to it are done.

  sequence @0 :UInt64;
}

struct InboxAckReply {
  # InboxAckReply confirms it.
}
