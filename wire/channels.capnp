@0x9ac30622a3dda130;
using Q = import "annotations.capnp";

# Conversations. Planned: may change until servers answer these methods.

enum Role {
  # Role is what a member account may do.

  member @0;
  moderator @1;
  admin @2;
  owner @3;
}

struct Member {
  # Member is one account of a channel as the hub knows it.

  user @0 :Text $Q.user;
  role @1 :Role;
  devices @2 :List(Data) $Q.max(16) $Q.device;
}

struct Welcome {
  # Welcome is an MLS Welcome on its way to one device.

  user @0 :Text $Q.user;
  device @1 :Data $Q.device;
  data @2 :Data $Q.max(4194304);
}

struct SealedChunk {
  # SealedChunk is 64 leaves of the ratchet tree under the channel's access key.

  index @0 :UInt32;
  data @1 :Data $Q.max(1048576);
}

struct GroupState {
  # GroupState is what a device needs to rejoin by itself: sealed, and replaced by each commit.

  groupInfo @0 :Data $Q.max(1048576);    # without the tree
  chunks @1 :List(SealedChunk) $Q.max(1024); # in a commit: only those that changed
  accessKeys @2 :List(SealedAccessKey) $Q.max(1000); # where it was rotated
}

struct SealedAccessKey {
  # SealedAccessKey is a channel's access key sealed to the vault key of one account.

  user @0 :Text $Q.user;
  data @1 :Data $Q.max(4096);
}

struct ChannelPolicy {
  # ChannelPolicy is what the hub enforces.

  version @0 :UInt64;
  timerSeconds @1 :UInt32;               # disappearing messages; 0 is never
  maxPayload @2 :UInt32;                 # bytes; 0 is the server's limit
}

struct ChannelCreate {
  # ChannelCreate makes a channel whose hub is this server, with the creator's devices in it.

  channel @0 :Data $Q.channel;
  suite @1 :UInt16;
  peer @2 :Text $Q.user $Q.optional;     # of a DM: the other account
  policy @3 :ChannelPolicy;
  group @4 :GroupState;
}

struct ChannelCreateReply {
  # ChannelCreateReply names what there is: for a DM made twice, the first one.

  channel @0 :Data $Q.channel;
  hubKey @1 :Data $Q.len(32);
  created @2 :Bool;
}

struct ChannelCommit {
  # ChannelCommit takes the channel's next slot. The claim is in the commit's authenticated data.

  channel @0 :Data $Q.channel;
  generation @1 :UInt32;
  slot @2 :UInt64;
  commit @3 :Data $Q.max(4194304);
  welcomes @4 :List(Welcome) $Q.max(1000);
  group @5 :GroupState;
}

struct SlotReceipt {
  # SlotReceipt is the hub's signature over a slot: two for one slot prove a fork.

  slot @0 :UInt64;
  previous @1 :Data $Q.len(32);
  commit @2 :Data $Q.len(32);
  signature @3 :Data $Q.len(64);
}

struct ChannelCommitReply {
  # ChannelCommitReply confirms that the commit is durable and ordered.

  receipt @0 :SlotReceipt;
  sequence @1 :UInt64;
}

struct ChannelGroup {
  # ChannelGroup asks for what a rejoining device needs.

  channel @0 :Data $Q.channel;
  chunks @1 :List(UInt32) $Q.max(1024);  # empty: all
}

struct ChannelGroupReply {
  # ChannelGroupReply carries the newest group state.

  generation @0 :UInt32;
  slot @1 :UInt64;
  group @2 :GroupState;
}

struct ChannelInfo {
  # ChannelInfo asks what the hub knows of a channel.

  channel @0 :Data $Q.channel;
}

struct ChannelInfoReply {
  # ChannelInfoReply tells it.

  generation @0 :UInt32;
  slot @1 :UInt64;
  policy @2 :ChannelPolicy;
  members @3 :List(Member) $Q.max(1000);
}

struct ChannelsList {
  # ChannelsList asks for the channels of the own account.
}

struct ChannelsListReply {
  # ChannelsListReply lists them.

  channels @0 :List(Data) $Q.max(65536) $Q.channel;
}
