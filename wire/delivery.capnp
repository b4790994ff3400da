@0xe1a8559b05ed23f2;
using Q = import "annotations.capnp";
using Channels = import "channels.capnp";

# Messages on their way.

struct Send {
  # Send hands an MLS message to the hub of its channel: an application message, or a proposal.

  channel @0 :Data $Q.channel;
  id @1 :Data $Q.len(16);                # for repetitions: same id and payload is one message
  payload @2 :Data $Q.min(1) $Q.max(1048576);
  ttlSeconds @3 :UInt32;                 # 0: the server's default
  blobs @4 :List(Data) $Q.max(16) $Q.each(32); # addresses of blobs that the message needs: complete, and of the own account
}

struct SendReply {
  # SendReply is the hub's signed receipt: the message is durable, and no more is said. One signature is for all receipts of a commit, the leaves of a tree.

  sequence @0 :UInt64;                   # of the channel
  time @1 :Int64 $Q.time;
  signature @2 :Data $Q.len(64);         # over the root of the tree
  inbox @3 :UInt64;                      # number of the row in the own account's inbox, which is not pushed to who sent it; 0: unknown
  leafIndex @4 :UInt16;                  # of this receipt
  treeSize @5 :UInt16;                   # receipts in the tree
  path @6 :Data $Q.max(320);             # hashes of 32 bytes beside the way to the root, beginning at the leaf (RFC 9162, section 2.1.3)
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
  welcome @2; # for one device
  gap @3;     # application messages of this channel were dropped for lack of space, up to channelSequence
  removed @4; # the account is no longer a member
  left @5;    # an account ended its membership: somebody has to commit it, by the proposal that is the payload, if there is one
}

struct InboxRow {
  # InboxRow is one row of an account's inbox.

  sequence @0 :UInt64;                   # of the inbox
  kind @1 :InboxKind;
  channel @2 :Data $Q.channel;
  channelSequence @3 :UInt64;            # gaps are judged by this one; of a welcome that of its commit
  time @4 :Int64 $Q.time;
  from @5 :Channels.MemberDevice $Q.optional; # who handed it in, as the hub says; of left, the account
  id @6 :Data $Q.len(16) $Q.optional;    # of a message
  payload @7 :Data $Q.max(4194304);      # empty where it expired, or where this device sent it and nobody else still needs it
  receipt @8 :Channels.SlotReceipt $Q.optional; # of commits and welcomes
  device @9 :Data $Q.device $Q.optional; # of a welcome: whom it is for
}

struct InboxFetch {
  # InboxFetch reads rows after a sequence number; they stay until acknowledged.

  after @0 :UInt64;
  acknowledged @1 :UInt64;               # how far this device believes to have acknowledged
  limit @2 :UInt16;                      # rows; 0: as many as fit
  waitSeconds @3 :UInt16;                # long poll; the server waits at most 60
}

struct InboxFetchReply {
  # InboxFetchReply carries rows in order.

  rows @0 :List(InboxRow) $Q.max(1024);
  head @1 :UInt64;                       # newest sequence number there is
  acknowledged @2 :UInt64;               # how far this device acknowledged; below the request's, the server was restored from a copy
  lapsed @3 :Bool;                       # the device was away for so long that rows were dropped before it read them
}

struct InboxAck {
  # InboxAck advances this device's cursor: all rows up to it are done.

  sequence @0 :UInt64;
}

struct InboxAckReply {
  # InboxAckReply confirms it.
}
