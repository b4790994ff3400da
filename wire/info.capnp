@0x97f588b21291f285;
using Q = import "annotations.capnp";

enum Registration $Q.open {
  # Registration says who may sign up.
  open @0;   # anybody
  token @1;  # whoever holds a registration token
  closed @2; # nobody
}

struct Ping {
  # Ping asks for its data back.

  data @0 :Data $Q.max(1048576);
}

struct PingReply {
  # PingReply carries the data of the Ping and the server's clock.

  data @0 :Data $Q.max(1048576);
  time @1 :Int64 $Q.time;
}

struct ServerInfo {
  # ServerInfo asks a server what it is.

  client @0 :Text $Q.max(128);   # name and version of the client, for the operator's statistics
}

struct Limits {
  # Limits are the server's bounds, so that a client can refuse early with a good sentence.

  frame @0 :UInt32;             # bytes of a frame's payload
  devices @1 :UInt16;           # devices of an account
  keyPackages @2 :UInt16;       # one-time key packages of a device and suite
  vaultItem @3 :UInt32;         # bytes of a sealed vault item
  vaultItems @4 :UInt16;        # items of a vault
  passwordMinutes @5 :UInt16;   # how long a proof of the password holds
  linkMinutes @6 :UInt16;       # how long a link code holds
}

struct ServerInfoReply {
  # ServerInfoReply says who the server is and how to talk to it.

  domain @0 :Text $Q.min(1) $Q.max(255);   # the part after the @ of its users
  software @1 :Text $Q.max(128);           # name and version, for people
  protocol @2 :UInt16;                     # newest protocol version spoken; this document is 1
  protocolMin @3 :UInt16;                  # oldest protocol version spoken
  registration @4 :Registration;
  time @5 :Int64 $Q.time;                  # a client tells when its clock is 5 minutes off
  signingKey @6 :Data $Q.len(32);          # Ed25519: signs receipts and channel orders
  limits @7 :Limits;
  features @8 :List(Text) $Q.max(64) $Q.each(64); # names of optional capabilities
}
