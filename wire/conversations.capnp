@0xb4a3c1f0d2e59617;
using Q = import "annotations.capnp";
using Channels = import "channels.capnp";

# What the members of a conversation agree on inside MLS. No server sees any of it.

struct Conversation {
  # Conversation is the content of the group context extension 0xF1D1: every commit that changes it is checked by all members.

  founding @0 :Data $Q.min(1) $Q.max(4096); # Founding; never changes
  title @1 :Text $Q.max(256);
  members @2 :List(Channels.MemberRole) $Q.min(1) $Q.max(1000); # all accounts, by user
  policy @3 :Channels.ChannelPolicy;
}

struct AccessGrant {
  # AccessGrant is the content of the group info extension 0xF1D2 in a welcome: the channel's access key for those who join.

  slot @0 :UInt64;                       # at which it was made
  key @1 :Data $Q.len(32);
}
