@0xd14f13253f3ddc45;
using Q = import "annotations.capnp";
using Delivery = import "delivery.capnp";

# What a server sends on its push stream. Any push may be repeated, and may be lost: with its connection, or because
# the client reads too slowly, which an InboxPush with number 0 tells. A push is a hint, and what counts is what a
# client reads afterwards; but for the row that an InboxPush carries and the payload of an EphemeralPush, which are
# the thing itself.

struct Push $Q.open {
  # Push is one event. A client ignores kinds that it does not know.

  event :union {
    inbox @0 :InboxPush;
    account @1 :AccountPush;
    superseded @2 :SupersededPush;
    draining @3 :DrainingPush;
    link @4 :LinkPush;
    keyPackages @5 :KeyPackagesPush;
    ephemeral @6 :EphemeralPush;
  }
}

struct InboxPush {
  # InboxPush says that the inbox holds rows up to this sequence number. Of a small message it carries the row itself,
  # unless much waits to be pushed. With number 0 it says that pushes were left out, of whatever kind.

  sequence @0 :UInt64;
  row @1 :Delivery.InboxRow $Q.optional; # whose number is that of the push
}

struct AccountPush {
  # AccountPush says that an account has a newer state: the own one, or a contact's.

  user @0 :Text $Q.user;
  version @1 :UInt64;
}

struct SupersededPush {
  # SupersededPush says that the same device opened a newer session; this one ends.
}

struct DrainingPush {
  # DrainingPush says that the server is about to stop: finish and connect again.

  seconds @0 :UInt16;              # until it closes
}

struct LinkPush {
  # LinkPush says that a new device left its request at the rendezvous.

  rendezvous @0 :Data $Q.len(16);
}

struct KeyPackagesPush {
  # KeyPackagesPush says that the key packages of this device run low.

  suite @0 :UInt16;
  left @1 :UInt32;
}

struct EphemeralPush {
  # EphemeralPush carries an unstored message: typing, presence.

  channel @0 :Data $Q.channel;
  payload @1 :Data $Q.max(4096);
}
