@0xd9585d9f48f88cfa;
using Q = import "annotations.capnp";

struct TokenCreate {
  # TokenCreate makes a registration token.

  uses @0 :UInt32 $Q.min(1);             # how many accounts may be made with it
  expires @1 :Int64 $Q.time;             # zero: never
  note @2 :Text $Q.max(256);             # for the administrator
}

struct TokenCreateReply {
  # TokenCreateReply carries the token, which the server does not keep in the clear.

  id @0 :Data $Q.len(16);
  token @1 :Text $Q.min(1) $Q.max(128) $Q.secret;
}

struct TokensList {
  # TokensList asks for the registration tokens.
}

struct TokenEntry {
  # TokenEntry is a registration token without its secret.

  id @0 :Data $Q.len(16);
  left @1 :UInt32;                       # uses left
  created @2 :Int64 $Q.time;
  expires @3 :Int64 $Q.time;
  note @4 :Text $Q.max(256);
}

struct TokensListReply {
  # TokensListReply lists the tokens, newest first.

  tokens @0 :List(TokenEntry) $Q.max(1024);
}

struct TokenRevoke {
  # TokenRevoke ends a registration token.

  id @0 :Data $Q.len(16);
}

struct TokenRevokeReply {
  # TokenRevokeReply confirms it.
}
