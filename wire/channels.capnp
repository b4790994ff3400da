@0x9ac30622a3dda130;
using Q = import "annotations.capnp";

# Conversations as their hub knows them: who is a member, and in which order commits come. What members
# know beyond that is in conversations.capnp.

enum Role {
  # Role is what a member account may do.

  member @0;
  moderator @1;
  admin @2;
  owner @3;
}

struct MemberRole {
  # MemberRole gives an account its role in a channel.

  user @0 :Text $Q.user;
  role @1 :Role;
}

struct MemberDevice {
  # MemberDevice is one device of a member account.

  user @0 :Text $Q.user;
  device @1 :Data $Q.device;
}

struct Founding {
  # Founding is what a channel is from its beginning. Its encoding takes slot 0, and members find the same
  # bytes in their group context.

  channel @0 :Data $Q.channel;
  domain @1 :Text $Q.min(1) $Q.max(255); # of the hub
  hubKey @2 :Data $Q.len(32);            # Ed25519: signs receipts
  suite @3 :UInt16;
  creator @4 :MemberDevice;              # its only device at first; owner, but in a direct conversation
  peer @5 :Text $Q.user $Q.optional;     # of a direct conversation: the other account, which is a member too
  direct @6 :Bool;                       # two accounts, or one with itself; never another
}

struct Claim {
  # Claim is what a commit's committer says that it does: the authenticated data of the commit. The hub acts on
  # it; members compare it with the commit.

  slot @0 :UInt64;                       # that the commit takes
  parent @1 :UInt64;                     # the slot that it builds on, the last valid one
  roles @2 :List(MemberRole) $Q.max(1000); # accounts that become members, and new roles of members
  removed @3 :List(Text) $Q.max(1000) $Q.user; # accounts that are members no longer
  joined @4 :List(MemberDevice) $Q.max(1000);
  left @5 :List(MemberDevice) $Q.max(1000); # devices; of accounts removed too
  rekeys @6 :Bool;                       # the access key is a new one from this slot on
  policy @7 :ChannelPolicy $Q.optional;
}

struct ChannelPolicy {
  # ChannelPolicy is what the hub enforces.

  timerSeconds @0 :UInt32;               # messages disappear so long after they were read; members see to it, and say with each how long the hub keeps it; 0 is never
  maxPayload @1 :UInt32;                 # bytes; 0 is the server's limit
}

struct SealedAccessKey {
  # SealedAccessKey is a channel's access key sealed to the vault key of one account.

  user @0 :Text $Q.user;
  data @1 :Data $Q.max(4096);
}

struct GroupState {
  # GroupState is what a device needs to join by itself after a slot, under the channel's access key: the group info,
  # and the ratchet tree in chunks of 64 leaves, each known by the SHA-256 of its sealed form.

  groupInfo @0 :Data $Q.min(1) $Q.max(1048576); # without the tree
  manifest @1 :List(Data) $Q.min(1) $Q.max(64) $Q.each(32); # all chunks, in order
  chunks @2 :List(Data) $Q.max(64) $Q.each(1048576); # those that the hub may lack
  accessSlot @3 :UInt64;                 # the slot at which the access key was made
  accessKeys @4 :List(SealedAccessKey) $Q.max(1000); # of accounts that lack it
}

struct SlotReceipt {
  # SlotReceipt is the hub's signature over a slot: two for one slot prove a fork.

  slot @0 :UInt64;
  parent @1 :UInt64;
  previous @2 :Data $Q.len(32);          # hash of the receipt of the slot before
  commit @3 :Data $Q.len(32);            # SHA-256 of the commit, in slot 0 of the founding
  time @4 :Int64 $Q.time;
  signature @5 :Data $Q.len(64);
}

struct ChannelCreate {
  # ChannelCreate makes a channel whose hub is this server.

  founding @0 :Data $Q.min(1) $Q.max(4096); # Founding
  group @1 :GroupState;
}

struct ChannelCreateReply {
  # ChannelCreateReply names what there is: for a direct conversation made before, that one.

  channel @0 :Data $Q.channel;
  created @1 :Bool;
  receipt @2 :SlotReceipt $Q.optional;   # of slot 0, where it was created
}

struct ChannelCommit {
  # ChannelCommit takes the slot that the claim in the commit names. Repeating it changes nothing.

  channel @0 :Data $Q.channel;
  commit @1 :Data $Q.min(1) $Q.max(4194304);
  welcome @2 :Data $Q.max(4194304);      # for the devices that the claim names as joined; none where they joined by themselves
  group @3 :GroupState;
}

struct ChannelCommitReply {
  # ChannelCommitReply confirms that the commit is durable and has its slot.

  receipt @0 :SlotReceipt;
  sequence @1 :UInt64;                   # of the channel
}

struct ChannelGroup {
  # ChannelGroup asks for what a device needs to join by itself.

  channel @0 :Data $Q.channel;
  slot @1 :UInt64;                       # after which; a slot still to come stands for the newest
}

struct ChannelGroupReply {
  # ChannelGroupReply carries it, but for the chunks.

  generation @0 :UInt32;
  slot @1 :UInt64;
  groupInfo @2 :Data $Q.max(1048576);
  manifest @3 :List(Data) $Q.max(64) $Q.each(32);
  accessSlot @4 :UInt64;
  accessKey @5 :Data $Q.max(4096);       # sealed to the calling account; empty where nobody sealed it
  members @6 :List(Member) $Q.max(1000); # after the slot, as the claims say; but for those who left and devices that were revoked since
  policy @7 :ChannelPolicy;
}

struct ChannelChunks {
  # ChannelChunks asks for chunks of a channel's ratchet tree.

  channel @0 :Data $Q.channel;
  hashes @1 :List(Data) $Q.min(1) $Q.max(64) $Q.each(32);
}

struct ChannelChunksReply {
  # ChannelChunksReply carries the first ones asked for, as many as fit; at least one.

  chunks @0 :List(Data) $Q.max(64) $Q.each(1048576);
}

struct Member {
  # Member is one account of a channel as the hub knows it.

  user @0 :Text $Q.user;
  role @1 :Role;
  devices @2 :List(Data) $Q.max(16) $Q.device;
}

struct ChannelInfo {
  # ChannelInfo asks what the hub knows of a channel.

  channel @0 :Data $Q.channel;
}

struct ChannelInfoReply {
  # ChannelInfoReply tells it.

  founding @0 :Data $Q.max(4096);
  generation @1 :UInt32;
  head @2 :SlotReceipt;                  # of the newest slot
  sequence @3 :UInt64;
  policy @4 :ChannelPolicy;
  members @5 :List(Member) $Q.max(1000);
  creation @6 :SlotReceipt $Q.optional;  # of slot 0, while the hub has it: it proves that there was the channel, should it lose that
}

struct ChannelsList {
  # ChannelsList asks for the channels of the own account.
}

struct ChannelHead {
  # ChannelHead says how far a channel is.

  channel @0 :Data $Q.channel;
  slot @1 :UInt64;
  sequence @2 :UInt64;
  commit @3 :Data $Q.len(32);            # SHA-256 of what took the slot
}

struct ChannelsListReply {
  # ChannelsListReply lists them.

  channels @0 :List(ChannelHead) $Q.max(65536);
}

struct OfferedCommit {
  # OfferedCommit is a commit that the hub accepted once, as its receipt proves.

  commit @0 :Data $Q.min(1) $Q.max(4194304);
  receipt @1 :SlotReceipt;
  from @2 :MemberDevice;                 # who made it
}

struct ChannelOffer {
  # ChannelOffer gives a hub back what it lost: commits that follow its newest slot, in order. Repeating it changes nothing.

  channel @0 :Data $Q.channel;
  founding @1 :Data $Q.max(4096);        # where the hub lost the whole channel
  creation @2 :SlotReceipt $Q.optional;  # its receipt
  commits @3 :List(OfferedCommit) $Q.max(64);
  group @4 :GroupState;                  # after the last of them, with all chunks and access keys
}

struct ChannelOfferReply {
  # ChannelOfferReply says how far the channel is now.

  slot @0 :UInt64;
}

struct ChannelLeave {
  # ChannelLeave ends the membership of the own account. Members commit it when they see it.

  channel @0 :Data $Q.channel;
  goodbye @1 :Data $Q.max(8192);         # the proposal by which the last device of the account leaves the group; may be empty
}

struct ChannelLeaveReply {
  # ChannelLeaveReply confirms it: nothing more of the channel comes.
}
