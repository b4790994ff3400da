@0xdd3b7dfffa45e129;
using Q = import "annotations.capnp";
using import "vault.capnp".VaultKeys;
using import "vault.capnp".VaultItem;

struct AccountLookup {
  # AccountLookup asks for the account states of a user, oldest first.

  user @0 :Text $Q.user;
  after @1 :UInt64;                      # only versions above; 0 asks for the whole chain
}

struct AccountLookupReply {
  # AccountLookupReply carries a part of the chain. The caller verifies it; the server cannot forge it.

  states @0 :List(Data) $Q.max(64) $Q.each(65536);
  newest @1 :UInt64;                     # newest version there is; ask again while it is not reached
  proof @2 :Data $Q.max(65536);          # reserved for the transparency proof
}

struct AccountPublish {
  # AccountPublish appends an account state: a device added, revoked, renewed, or keys rotated. Without
  # the password a device may give back a state that the server lost, if it rotates no key; of keys
  # then only the wraps of devices that the server has none for are taken.

  state @0 :Data $Q.min(1) $Q.max(65536); # version: newest plus one, else version-conflict
  keys @1 :VaultKeys $Q.optional;        # required where devices or the vault key changed
  items @2 :List(VaultItem) $Q.max(256); # where the vault key changed: every item, sealed anew
}

struct AccountPublishReply {
  # AccountPublishReply confirms that the state is durable. Revoked devices are cut off by then.
}

struct AccountDelete {
  # AccountDelete deletes the account of the connection and all the server holds of it.

  user @0 :Text $Q.user;                 # must name the account: a guard against mistakes
}

struct AccountDeleteReply {
  # AccountDeleteReply confirms that nothing but a tombstone of the name is left.
}

struct AccountReset {
  # AccountReset announces that a user lost everything and starts anew; it counts after 72 hours.

  user @0 :Text $Q.user;
  token @1 :Text $Q.max(128) $Q.secret;  # how the operator lets the person prove who they are
  record @2 :Data $Q.exact(192);         # OPAQUE RegistrationRecord of the new identity
  state @3 :Data $Q.min(1) $Q.max(65536); # account state 1 of the new identity
  keys @4 :VaultKeys;
}

struct AccountResetReply {
  # AccountResetReply says when the announced reset takes effect.

  effective @0 :Int64 $Q.time;
}

struct AccountResetCancel {
  # AccountResetCancel cancels a reset announced for the account of the connection.
}

struct AccountResetCancelReply {
  # AccountResetCancelReply confirms the cancellation.
}
